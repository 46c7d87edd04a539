"""The model under test, and conversations of random numbers to put before it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from broadmamba.data.batching import UNLABELLED, Batch, Prepared

OUTPUTS = ("logits", "probabilities", "modality_weights", "fused", "modality_probabilities")
"""What a model's output has, each `(B, L, …)`; see `broadmamba.model.interface.Output`."""


@dataclass(frozen=True)
class Subject:
    """A model under test, with what has to be known of it.

    Attributes:
        model: called as `model(batch)`, in evaluation mode.
        widths: modality → width of its features, in the model's order.
        classes: C.
        rebuild: makes another model of the same settings, with weights of its own.
    """

    model: nn.Module
    widths: Mapping[str, int]
    classes: int
    rebuild: Callable[[], nn.Module]

    def conversations(self, lengths: Sequence[int], *, seed: int = 0) -> Prepared:
        """Conversations of these lengths that the model can read."""
        return random_conversations(self.widths, self.classes, lengths, seed=seed)

    def precise(self) -> nn.Module:
        """A copy of the model in float64."""
        return copy.deepcopy(self.model).double()


def random_conversations(widths: Mapping[str, int], classes: int, lengths: Sequence[int], *, seed: int = 0) -> Prepared:
    """Conversations with random features, speakers and labels.

    About a fifth of the modalities is missing here and there, the second utterance has none at all, and about a fifth
    of the labels is missing.

    Args:
        widths: modality → width.
        classes: C.
        lengths: utterances of each conversation.
        seed: of the random numbers; equal arguments give equal conversations.
    """
    generator = torch.Generator().manual_seed(seed)
    U = sum(lengths)
    present = {m: torch.rand(U, generator=generator) < 0.8 for m in widths}
    for rows in present.values():
        rows[:1] = True
        rows[1:2] = False
    features = {m: torch.randn(U, width, generator=generator) * present[m][:, None] for m, width in widths.items()}
    labels = torch.randint(classes, (U,), generator=generator)
    labels[torch.rand(U, generator=generator) < 0.2] = UNLABELLED
    labels[:1] = 0
    speakers = torch.cat([torch.arange(length) % 2 for length in lengths])
    return Prepared(tuple(lengths), features, present, speakers, labels)


def outputs(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """What the model says of a batch, without gradients; features are brought to the model's precision."""
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    with torch.no_grad():
        output: Any = model(batch.to("cpu", dtype))
    return {name: getattr(output, name) for name in OUTPUTS}
