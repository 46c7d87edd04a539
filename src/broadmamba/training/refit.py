"""Fitting the broad read-outs in closed form (Eq. 15) instead of by gradient."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from broadmamba.data.batching import UNLABELLED, Prepared
from broadmamba.errors import InputError
from broadmamba.model.broad_learning import solve_ridge
from broadmamba.model.network import BroadMamba, ModalityBranch

BATCH_SIZE = 32


@torch.no_grad()
def refit_readouts(model: BroadMamba, train: Prepared, ridge: float) -> None:
    """Set each modality's W_b to the solution of Eq. 15 over the training split's nodes and one-hot labels.

    Args:
        model: with read-outs of labels; its mode is left as it is, the nodes are taken without dropout.
        train: the training split.
        ridge: λ of Eq. 14, of the mean over utterances as in the loss.

    Raises:
        InputError: the model reads no labels out of its nodes.
    """
    was_training = model.training
    model.eval()
    batches = [batch for _, batch in train.batches(BATCH_SIZE)]
    for modality, branch in model.branches.items():
        assert isinstance(branch, ModalityBranch)
        if branch.readout is None:
            raise InputError("this model has no read-out of labels to fit (targets is not 'labels')")
        rows, targets = [], []
        for batch in batches:
            known = (batch.present[modality] & (batch.labels != UNLABELLED))[batch.mask]
            rows.append(model.nodes(batch, modality)[known])
            labels = batch.labels[batch.mask][known]
            targets.append(F.one_hot(labels, model.config.classes).to(rows[-1].dtype))
        A = torch.cat(rows)
        branch.readout.weight.copy_(solve_ridge(A, torch.cat(targets), ridge * len(A)).T)
    model.train(was_training)
