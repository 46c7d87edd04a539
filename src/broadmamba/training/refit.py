"""Fitting the broad read-outs in closed form (Eq. 15) instead of by gradient."""

from __future__ import annotations

import torch

from broadmamba.data.batching import Prepared
from broadmamba.errors import InputError
from broadmamba.model.broad_learning import solve_ridge
from broadmamba.model.network import BroadMamba, ModalityBranch
from broadmamba.training.ridge import nodes_and_targets


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
    for m, (A, Y) in nodes_and_targets(model, train).items():
        branch = model.branches[m]
        assert isinstance(branch, ModalityBranch)
        if branch.readout is None:
            raise InputError("this model has no read-out of labels to fit (targets is not 'labels')")
        branch.readout.weight.copy_(solve_ridge(A, Y, ridge * len(A)).T)
