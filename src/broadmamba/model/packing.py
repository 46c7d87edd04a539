"""Between padded `(B, L, ·)` and packed `(T, ·)`, where `T` counts the utterances and nothing is padding.

Everything pointwise runs packed; only the state-space layer, which moves along the conversation, needs padding.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Packing:
    """The places of a batch that hold an utterance.

    Args:
        mask: `(B, L)` bool, True on utterances.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask
        self._full = bool(mask.all())
        self._places = mask.flatten().nonzero().squeeze(-1)

    def pack(self, padded: Tensor) -> Tensor:
        """`(B, L, ·)` → `(T, ·)`."""
        flat = padded.flatten(0, 1)
        return flat if self._full else flat[self._places]

    def pad(self, packed: Tensor) -> Tensor:
        """`(T, ·)` → `(B, L, ·)`, zero on padding."""
        shape = (*self.mask.shape, *packed.shape[1:])
        if self._full:
            return packed.reshape(shape)
        flat = packed.new_zeros((self.mask.numel(), *packed.shape[1:]))
        return flat.index_copy(0, self._places, packed).reshape(shape)


class SpeakerTurns:
    """The utterances of a batch as one sequence for each speaker of each conversation: `G` of them, `K` the longest.

    Args:
        packing: of the batch.
        speakers: `(T,)` packed speaker numbers; unknown ones (-1) of a conversation are taken for one speaker.
    """

    def __init__(self, packing: Packing, speakers: Tensor) -> None:
        conversation = packing.pack(torch.arange(len(packing.mask), device=speakers.device)[:, None] + 0 * packing.mask)
        group = conversation * (int(speakers.max()) + 2) + speakers + 1
        self._order = torch.argsort(group, stable=True)
        _, sequence, counts = torch.unique_consecutive(group[self._order], return_inverse=True, return_counts=True)
        place = torch.arange(len(group), device=group.device) - (counts.cumsum(0) - counts)[sequence]
        self._shape = (len(counts), int(counts.max()))
        self._places = sequence * self._shape[1] + place

    def split(self, packed: Tensor) -> Tensor:
        """`(T, ·)` → `(G, K, ·)`, zero after a speaker's last turn."""
        flat = packed.new_zeros((self._shape[0] * self._shape[1], *packed.shape[1:]))
        return flat.index_copy(0, self._places, packed[self._order]).reshape(*self._shape, *packed.shape[1:])

    def join(self, padded: Tensor) -> Tensor:
        """`(G, K, ·)` → `(T, ·)`, in the order of the batch."""
        sequences = padded.flatten(0, 1)[self._places]
        return torch.empty_like(sequences).index_copy(0, self._order, sequences)
