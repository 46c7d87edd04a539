"""The runtime that training uses, for compared systems and to check the other against; the extra `train`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from broadmamba.bundle.folder import Bundle
from broadmamba.data.batching import Batch, unlabelled
from broadmamba.data.rows import Rows
from broadmamba.errors import InputError
from broadmamba.evaluation.scores import Scores
from broadmamba.evaluation.scoring import score
from broadmamba.sessions import DEVICES
from broadmamba.training.checkpoint import Checkpoint


class _Output(NamedTuple):
    """What scoring reads, in the processor's memory."""

    probabilities: Tensor
    modality_weights: Tensor


class TorchRuntime:
    """Scores conversations with torch.

    Args:
        bundle: the model.
        device: see `sessions.DEVICES`.

    Raises:
        InputError: there is no such device.
        CheckpointError: the model is damaged.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        if device not in DEVICES:
            raise InputError(f"device {device!r}: expected one of {', '.join(DEVICES)}")
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("device 'cuda': torch finds no graphics processor here")
        self._device = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
        self._modalities = bundle.modalities
        self._model = Checkpoint.load(bundle.path).model.to(self._device)

    def scores(self, rows: Rows) -> Scores:
        """Predictions for conversations: see `Runtime.scores`."""
        return score(self._run, unlabelled(rows), self._modalities)

    def _run(self, batch: Batch) -> _Output:
        output = self._model(batch.to(self._device))
        return _Output(output.probabilities.cpu(), output.modality_weights.cpu())
