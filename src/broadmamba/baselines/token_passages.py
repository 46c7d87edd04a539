"""What an encoder of tokens reads for each utterance: stretches of its conversation, cut by tensor operations alone.

Shapes: `T` utterances of a batch, packed; `S` tokens of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Passages(NamedTuple):
    """What is read for each utterance.

    Attributes:
        ids: `(T, longest)`, of which those beyond the end mean nothing.
        lengths: `(T,)`, tokens.
        own: `(T, longest)` bool, which tokens are of the utterance itself and its speaker.
    """

    ids: Tensor
    lengths: Tensor
    own: Tensor


@dataclass(frozen=True)
class Turns:
    """All turns of a batch, one after another in one stream of tokens.

    Attributes:
        stream: `(S + 2,)` ids; after those of the turns, the two that begin a passage and end a part of it.
        start: `(T,)`, where in the stream a turn begins, with its speaker.
        end: `(T,)`, where it ends.
        first: `(T,)`, where its conversation begins.
        last: `(T,)`, where its conversation ends.
    """

    stream: Tensor
    start: Tensor
    end: Tensor
    first: Tensor
    last: Tensor

    @property
    def cls(self) -> tuple[Tensor, Tensor]:
        """The token that begins a passage, as a stretch of the stream for each turn."""
        return self._special(2)

    @property
    def sep(self) -> tuple[Tensor, Tensor]:
        """The token that ends a part of a passage, likewise."""
        return self._special(1)

    def _special(self, back: int) -> tuple[Tensor, Tensor]:
        return torch.full_like(self.start, len(self.stream) - back), torch.ones_like(self.start)

    def join(self, stretches: Sequence[tuple[Tensor, Tensor]]) -> Passages:
        """Passages made of stretches of the stream: where each begins, `(T,)`, and how many tokens it has, `(T,)`."""
        ends = torch.stack([count for _, count in stretches]).cumsum(0)
        place = torch.arange(int(ends[-1].max()), device=self.stream.device).expand(len(self.start), -1)
        source = torch.zeros_like(place)
        for (begin, count), end in zip(stretches, ends, strict=True):
            here = (place >= (end - count)[:, None]) & (place < end[:, None])
            source = torch.where(here, place + (begin - end + count)[:, None], source)
        own = (source >= self.start[:, None]) & (source < self.end[:, None])
        return Passages(self.stream[source], ends[-1], own & (place < ends[-1][:, None]))


def padded(packed: Tensor, mask: Tensor) -> Tensor:
    """`(T, ·)`, one row for each utterance of `mask` `(B, L)`, to `(B, L, ·)`, zero on padding."""
    rows = packed.new_zeros(*mask.shape, packed.shape[1])
    rows[mask] = packed
    return rows
