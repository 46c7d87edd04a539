"""Broad nodes and targets of the training split: what Eq. 15 is solved from."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from broadmamba.bundle.ridge import RidgeStatistics
from broadmamba.data.batching import UNLABELLED, Prepared
from broadmamba.model.network import BroadMamba

BATCH_SIZE = 32


@torch.no_grad()
def nodes_and_targets(model: BroadMamba, train: Prepared) -> dict[str, tuple[Tensor, Tensor]]:
    """Modality → A `(T, K)` without dropout and Y `(T, C)` one-hot, of the labelled utterances that have it.

    Args:
        model: its mode is left as it is.
        train: the training split.
    """
    was_training = model.training
    model.eval()
    batches = [batch for _, batch in train.batches(BATCH_SIZE)]
    found = {}
    for m in model.branches:
        rows, targets = [], []
        for batch in (one for one in batches if m in one.features):
            known = (batch.present[m] & (batch.labels != UNLABELLED))[batch.mask]
            rows.append(model.nodes(batch, m)[known])
            targets.append(F.one_hot(batch.labels[batch.mask][known], model.config.classes).to(rows[-1].dtype))
        if rows:
            found[m] = torch.cat(rows), torch.cat(targets)
    model.train(was_training)
    return found


def summed(model: BroadMamba, train: Prepared) -> dict[str, RidgeStatistics]:
    """Modality → AᵀA and AᵀY over the training split."""
    found = {}
    for m, (A, Y) in nodes_and_targets(model, train).items():
        exact = A.double()
        found[m] = RidgeStatistics((exact.T @ exact).numpy(), (exact.T @ Y.double()).numpy(), len(A))
    return found
