"""What is reported of a model on a split: the figures, those without repeated texts, and what they cost."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

from broadmamba.data.conversation import Utterance
from broadmamba.data.corpus import Corpus
from broadmamba.evaluation.metrics import measure
from broadmamba.training.checkpoint import Checkpoint


def report_split(checkpoint: Checkpoint, corpus: Corpus, name: str) -> dict[str, Any]:
    """Score one split.

    Args:
        checkpoint: the model.
        corpus: of the same labels and feature specs.
        name: of the split.

    Returns:
        The figures of `Metrics.to_dict`; `ece_before_calibration`, at temperature 1; `modalities`, those that the
        corpus has; `without_repeats`, the figures over the utterances whose text does not stand verbatim in the
        training split; and `cost` of one pass.

    Raises:
        IncompatibleError: labels or feature specs differ.
    """
    split = corpus.split(name)
    prepared = checkpoint.prepare_split(split)
    begun = time.perf_counter()
    scores = checkpoint.score(prepared)
    seconds = time.perf_counter() - begun
    truth = prepared.labels.numpy()
    new = (
        unseen(split.utterances, corpus.split("train").utterances)
        if "train" in corpus.splits
        else np.ones(len(truth), bool)
    )
    report = measure(checkpoint.labels, truth, scores.probabilities).to_dict()
    report["modalities"] = [m for m in checkpoint.modalities if m in prepared.features]
    if name != "train" and (truth[new] >= 0).any():
        report["without_repeats"] = measure(checkpoint.labels, truth[new], scores.probabilities[new]).to_dict()
    with FlopCounterMode(display=False) as counter:
        uncalibrated = replace(checkpoint, temperature=1.0).score(prepared)
    report["ece_before_calibration"] = measure(checkpoint.labels, truth, uncalibrated.probabilities).calibration_error
    report["cost"] = {
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
        "seconds": seconds,
        "flops": counter.get_total_flops(),  # of matrix products; Fourier transforms are not counted
        "peak_memory_bytes": _peak_memory(),
    }
    return report


def unseen(utterances: tuple[Utterance, ...], training: tuple[Utterance, ...]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which utterances have a text that no training utterance has, letter for letter."""
    known = {u.text for u in training}
    return np.array([u.text not in known for u in utterances])


def _peak_memory() -> int:
    """The most memory that this process ever held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
