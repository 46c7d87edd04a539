"""A model's predictions for prepared conversations, in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from broadmamba.data.batching import Batch, Prepared
from broadmamba.data.conversation import LabelSet
from broadmamba.evaluation.metrics import Metrics, measure
from broadmamba.evaluation.scores import Scores

BATCH_SIZE = 32
"""Conversations scored at once."""


class ModelOutput(Protocol):
    """What scoring reads of a model's output; see `broadmamba.model.interface.Output`."""

    @property
    def probabilities(self) -> Tensor:
        """`(B, L, C)`."""

    @property
    def modality_weights(self) -> Tensor:
        """`(B, L, M)`."""


def score(model: Callable[[Batch], ModelOutput], prepared: Prepared, modalities: tuple[str, ...]) -> Scores:
    """Run a model, which the caller has put into evaluation mode, over conversations.

    Args:
        model: anything called as `BroadMamba` is.
        prepared: the conversations.
        modalities: the model's, in their order.
    """
    starts = np.concatenate([[0], np.cumsum(prepared.lengths)])
    rows: list[NDArray[np.int64]] = []
    parts: list[tuple[Tensor, Tensor]] = []
    with torch.inference_mode():
        for indices, batch in prepared.batches(BATCH_SIZE):
            output = model(batch)
            parts.append((output.probabilities[batch.mask], output.modality_weights[batch.mask]))
            rows.extend(np.arange(starts[i], starts[i + 1]) for i in indices)
    order = np.argsort(np.concatenate(rows))
    utterances = len(order)
    absent = torch.zeros(utterances, dtype=torch.bool)
    return Scores(
        probabilities=torch.cat([p for p, _ in parts]).numpy()[order],
        modality_weights=torch.cat([w for _, w in parts]).numpy()[order],
        present=torch.stack([prepared.present.get(m, absent) for m in modalities], dim=1).numpy(),
    )


def evaluate(
    model: Callable[[Batch], ModelOutput], prepared: Prepared, labels: LabelSet, modalities: tuple[str, ...]
) -> Metrics:
    """Score and measure in one step."""
    return measure(labels, prepared.labels.numpy(), score(model, prepared, modalities).probabilities)
