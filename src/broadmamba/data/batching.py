"""From features on disk to padded, masked batches that are bucketed by length.

Shapes: `B` conversations in a batch, `L` utterances in the longest of them, `U` utterances in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from broadmamba.data.conversation import Conversation, LabelSet
from broadmamba.data.rows import Rows

UNLABELLED = -1
"""Class index of an utterance without a label, and of padding."""


@dataclass(frozen=True)
class Batch:
    """Conversations padded to the longest of them.

    Attributes:
        features: modality → `(B, L, width)` float; zero where padded or missing. A modality may be absent.
        present: modality → `(B, L)` bool; whether the utterance has this modality. Same keys as `features`.
        mask: `(B, L)` bool; True on utterances, False on padding. Utterances stand first in each row.
        speakers: `(B, L)` int; numbered from 0 within a conversation by first appearance, -1 where unknown.
        labels: `(B, L)` int; class index, `UNLABELLED` on padding and where there is none.
    """

    features: Mapping[str, Tensor]
    present: Mapping[str, Tensor]
    mask: Tensor
    speakers: Tensor
    labels: Tensor

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Batch:
        """The same batch on another device, its features in another dtype if one is given."""
        return Batch(
            features={m: x.to(device=device, dtype=dtype) for m, x in self.features.items()},
            present={m: x.to(device) for m, x in self.present.items()},
            mask=self.mask.to(device),
            speakers=self.speakers.to(device),
            labels=self.labels.to(device),
        )

    def without(self, *modalities: str) -> Batch:
        """The same batch with whole modalities taken away."""
        keep = [m for m in self.features if m not in modalities]
        return replace(
            self,
            features={m: self.features[m] for m in keep},
            present={m: self.present[m] for m in keep},
        )


@dataclass(frozen=True)
class Prepared:
    """Conversations with normalised features, ready to be batched.

    Attributes:
        lengths: utterances of each conversation.
        features: modality → `(U, width)` float32, normalised (token ids are not); zero where missing.
        present: modality → `(U,)` bool.
        speakers: `(U,)` int, see `Batch`.
        labels: `(U,)` int, see `Batch`.
    """

    lengths: tuple[int, ...]
    features: dict[str, Tensor]
    present: dict[str, Tensor]
    speakers: Tensor
    labels: Tensor

    def batch(self, indices: Sequence[int]) -> Batch:
        """Pad the conversations with these positions into one batch, in this order."""
        lengths = torch.tensor([self.lengths[i] for i in indices])
        starts = torch.tensor(self._starts())[torch.as_tensor(indices)]
        place = torch.arange(int(lengths.max()))
        mask = place < lengths[:, None]
        rows = torch.where(mask, starts[:, None] + place, 0)
        return Batch(
            features={m: x[rows] * mask[..., None] for m, x in self.features.items()},
            present={m: x[rows] & mask for m, x in self.present.items()},
            mask=mask,
            speakers=torch.where(mask, self.speakers[rows], -1),
            labels=torch.where(mask, self.labels[rows], UNLABELLED),
        )

    def batches(self, size: int, generator: torch.Generator | None = None) -> Iterator[tuple[list[int], Batch]]:
        """Batches of conversations of like length, with their positions.

        Args:
            size: conversations a batch, at the most.
            generator: shuffles which conversations meet and the order of batches; None keeps a fixed order.
        """
        for indices in bucket(self.lengths, size, generator):
            yield indices, self.batch(indices)

    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(np.int64)


def prepare(conversations: Sequence[Conversation], labels: LabelSet, rows: Rows) -> Prepared:
    """Rows as tensors, with their labels as numbers.

    Args:
        conversations: what the rows belong to, in order.
        labels: the order of classes.
        rows: of the conversations.
    """
    utterances = [u for c in conversations for u in c]
    classes = [UNLABELLED if u.label is None else labels.index(u.label) for u in utterances]
    return replace(unlabelled(rows), labels=torch.tensor(classes, dtype=torch.long))


def unlabelled(rows: Rows) -> Prepared:
    """Rows as tensors, without labels."""
    return Prepared(
        lengths=rows.lengths,
        features={m: torch.from_numpy(values) for m, values in rows.features.items()},
        present={m: torch.from_numpy(present) for m, present in rows.present.items()},
        speakers=torch.from_numpy(rows.speakers),
        labels=torch.full((len(rows.speakers),), UNLABELLED),
    )


def bucket(lengths: Sequence[int], size: int, generator: torch.Generator | None = None) -> list[list[int]]:
    """Group conversations of like length, so that padding costs little.

    With a generator, lengths are jittered by up to a tenth before sorting and the groups come in random order: which
    conversations meet changes from epoch to epoch, yet a group stays of like length.
    """
    keys = torch.tensor(lengths, dtype=torch.float64)
    if generator is not None:
        keys = keys * (1 + 0.1 * torch.rand(len(lengths), generator=generator, dtype=torch.float64))
    order = torch.argsort(keys, stable=True).tolist()
    groups = [order[i : i + size] for i in range(0, len(order), size)]
    if generator is not None:
        groups = [groups[i] for i in torch.randperm(len(groups), generator=generator).tolist()]
    return groups


def padding_share(lengths: Sequence[int], groups: Sequence[Sequence[int]]) -> float:
    """The share of a batch's places that are padding, over all groups."""
    places = sum(max(lengths[i] for i in group) * len(group) for group in groups)
    return 1 - sum(lengths) / places if places else 0.0
