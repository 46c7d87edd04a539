"""The figures of the field, all from one confusion matrix (and one from the probabilities)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import LabelSet
from broadmamba.errors import InputError

BINS = 15
"""Equal-width bins of the expected calibration error."""


@dataclass(frozen=True)
class Metrics:
    """How well predictions meet the labels.

    Attributes:
        labels: the order of classes.
        confusion: `(C, C)` counts; rows are the true class, columns the predicted one.
        calibration_error: expected calibration error of the top class, `BINS` bins.
    """

    labels: LabelSet
    confusion: NDArray[np.int64]
    calibration_error: float

    @property
    def utterances(self) -> int:
        """Labelled utterances."""
        return int(self.confusion.sum())

    @property
    def support(self) -> NDArray[np.int64]:
        """Utterances of each class."""
        return np.asarray(self.confusion.sum(1))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Of each class; 0 where the class does not occur."""
        return _ratio(np.diag(self.confusion), self.support)

    @property
    def precision(self) -> NDArray[np.float64]:
        """Of each class; 0 where the class is never predicted."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(0))

    @property
    def f1(self) -> NDArray[np.float64]:
        """Of each class: 2·TP / (predicted + true), 0 where it neither occurs nor is predicted."""
        return _ratio(2 * np.diag(self.confusion), self.confusion.sum(0) + self.support)

    @property
    def weighted_f1(self) -> float:
        """F1 of the classes, weighted by how often each occurs (W-F1 of the paper)."""
        return float((self.f1 * self.support).sum() / max(self.utterances, 1))

    @property
    def macro_f1(self) -> float:
        """Plain mean of the F1 of the classes that occur or are predicted."""
        seen = (self.support + self.confusion.sum(0)) > 0
        return float(self.f1[seen].mean()) if seen.any() else 0.0

    @property
    def accuracy(self) -> float:
        """Share of utterances with the right label (the paper's W-Acc)."""
        return float(np.trace(self.confusion) / max(self.utterances, 1))

    @property
    def unweighted_recall(self) -> float:
        """Mean recall of the classes that occur (UAR)."""
        occurs = self.support > 0
        return float(self.recall[occurs].mean()) if occurs.any() else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        by_class: Mapping[str, float] = {n: float(v) for n, v in zip(self.labels, self.f1, strict=True)}
        return {
            "weighted_f1": self.weighted_f1,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "uar": self.unweighted_recall,
            "ece": self.calibration_error,
            "f1": dict(by_class),
            "confusion": self.confusion.tolist(),
            "utterances": self.utterances,
        }


def measure(labels: LabelSet, truth: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> Metrics:
    """Compare predictions with labels.

    Args:
        labels: the order of classes.
        truth: `(U,)` class indices; negative ones (no label) are left out.
        probabilities: `(U, C)`; the prediction is the largest.

    Raises:
        InputError: no utterance has a label.
    """
    known = truth >= 0
    if not known.any():
        raise InputError("nothing to measure: no utterance has a label")
    truth, probabilities = truth[known], probabilities[known]
    predicted = probabilities.argmax(1)
    C = len(labels)
    confusion = np.bincount(truth * C + predicted, minlength=C * C).reshape(C, C)
    return Metrics(labels, confusion, expected_calibration_error(truth, probabilities))


def expected_calibration_error(truth: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> float:
    """How far the top probability is from the share that is right, over `BINS` equal-width bins (Guo et al. 2017)."""
    confidence = probabilities.max(1).astype(np.float64)
    right = (probabilities.argmax(1) == truth).astype(np.float64)
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(truth))


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.divide(above, below, out=np.zeros(len(above)), where=below > 0))
