"""Between padded `(B, L, ·)` and packed `(T, ·)`, where `T` counts the utterances and nothing is padding.

Everything pointwise runs packed; only the state-space layer, which moves along the conversation, needs padding.
"""

from __future__ import annotations

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
