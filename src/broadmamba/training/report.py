"""What is reported of a model on a split: the figures, those without repeated texts or modalities, and the cost."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from broadmamba.data.conversation import Utterance
from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.evaluation.flops import count_flops
from broadmamba.evaluation.metrics import measure
from broadmamba.training.checkpoint import Checkpoint

SUBSET_FIGURES = ("weighted_f1", "accuracy", "macro_f1", "ece")
"""What is told of a model that is given some of its modalities."""


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
        InputError: there is no such split, or it has no labels.
        IncompatibleError: labels or feature specs differ.
    """
    split = corpus.split(name)
    if not corpus.has_labels(name):
        raise InputError(f"split {name!r} of corpus {corpus.name!r} has no labels, so that there is nothing to score")
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
    uncalibrated = replace(checkpoint, temperature=1.0).score(prepared)
    report["ece_before_calibration"] = measure(checkpoint.labels, truth, uncalibrated.probabilities).calibration_error
    report["cost"] = {
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
        "seconds": seconds,
        "flops": count_flops(lambda: checkpoint.score(prepared)),
        "peak_memory_bytes": _peak_memory(),
    }
    return report


def report_subsets(checkpoint: Checkpoint, corpus: Corpus, name: str) -> dict[str, dict[str, float]]:
    """Score one split with each non-empty subset of the modalities that both the model and the corpus have.

    The others are withheld as if the corpus did not have them, and every utterance counts, also one that is left with
    nothing.

    Args:
        checkpoint: the model.
        corpus: of the same labels and feature specs.
        name: of the split.

    Returns:
        Subset, such as `text+audio`, smaller ones first → `SUBSET_FIGURES`.

    Raises:
        IncompatibleError: labels or feature specs differ.
    """
    prepared = checkpoint.prepare_split(corpus.split(name))
    given = [m for m in checkpoint.modalities if m in prepared.features]
    reports = {}
    for subset in (chosen for size in range(1, len(given) + 1) for chosen in combinations(given, size)):
        some = replace(
            prepared,
            features={m: prepared.features[m] for m in subset},
            present={m: prepared.present[m] for m in subset},
        )
        probabilities = checkpoint.score(some).probabilities
        figures = measure(checkpoint.labels, prepared.labels.numpy(), probabilities).to_dict()
        reports["+".join(subset)] = {figure: figures[figure] for figure in SUBSET_FIGURES}
    return reports


def unseen(utterances: tuple[Utterance, ...], training: tuple[Utterance, ...]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which utterances have a text that no training utterance has, letter for letter."""
    known = {u.text for u in training}
    return np.array([u.text not in known for u in utterances])


def _peak_memory() -> int:
    """The most memory that this process ever held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
