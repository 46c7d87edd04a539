"""Whether one system is better than another: over dialogues by bootstrap, over seeds by t-test, Holm over several.

Utterances of one dialogue are not independent, so whole dialogues are drawn. What is compared is the mean over seeds of
the weighted F1: the bootstrap says what other dialogues might have given to these models, the t-test what other seeds
might have given on these dialogues.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError

RESAMPLES = 10_000
CHUNK = 1_000
"""Resamples worked on at once, which bounds the memory."""


@dataclass(frozen=True)
class BootstrapResult:
    """How far two systems are apart.

    Attributes:
        difference: mean weighted F1 of the second system less that of the first, 0–1.
        low: 2.5 % quantile of the difference over resampled dialogues.
        high: 97.5 % quantile.
        p: two-sided: twice the smaller share of resamples whose difference is not above, or not below, zero.
    """

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class TTestResult:
    """Whether the figures of paired seeds differ.

    Attributes:
        t: the statistic; infinite where all pairs differ by the same amount.
        p: two-sided.
        effect: mean difference over its standard deviation (Cohen's d for paired samples).
    """

    t: float
    p: float
    effect: float


def paired_bootstrap(
    truth: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    dialogues: NDArray[np.int64],
    classes: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> BootstrapResult:
    """Compare two systems on the same utterances, resampling dialogues with replacement.

    A dialogue's counts are summed once; each resample weighs them by how often the dialogue was drawn.

    Args:
        truth: `(U,)` class indices; negative ones (no label) are left out.
        first: `(S, U)`, predicted classes of the first system, a row a seed.
        second: `(S', U)` of the second one.
        dialogues: `(U,)`, the dialogue of each utterance, numbered from 0.
        classes: C.
        resamples: how often dialogues are drawn.
        seed: of the draws.

    Raises:
        InputError: no utterance has a label.
    """
    known = truth >= 0
    if not known.any():
        raise InputError("nothing to compare: no utterance has a label")
    _, dialogues = np.unique(dialogues[known], return_inverse=True)  # those without any label do not count
    truth, first, second = truth[known], first[:, known], second[:, known]
    parts = [DialogueCounts.of(truth, predicted, dialogues, classes) for predicted in (first, second)]
    return bootstrap_counts(*parts, resamples=resamples, seed=seed)


def bootstrap_counts(
    first: DialogueCounts, second: DialogueCounts, *, resamples: int = RESAMPLES, seed: int = 0
) -> BootstrapResult:
    """Compare two systems of which only the counts of each dialogue are known, see `paired_bootstrap`."""
    count = len(first.support)
    one, other = (part.weighted_f1(np.ones((1, count))) for part in (first, second))
    random = np.random.default_rng(seed)
    found = []
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        drawn = random.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)
        found.append(second.weighted_f1(weights) - first.weighted_f1(weights))
    differences = np.concatenate(found)
    low, high = np.quantile(differences, [0.025, 0.975])
    tail = 1 + min((differences <= 0).sum(), (differences >= 0).sum())  # the systems as they are count as a resample
    return BootstrapResult(
        float((other - one)[0]), float(low), float(high), min(1.0, 2 * float(tail) / (resamples + 1))
    )


@dataclass(frozen=True)
class DialogueCounts:
    """What weighted F1 needs, by dialogue.

    Attributes:
        right: `(n, S·C)`, utterances of each class that each seed recognised.
        predicted: `(n, S·C)`, utterances that each seed took for each class.
        support: `(n, C)`, utterances of each class.
    """

    right: NDArray[np.float64]
    predicted: NDArray[np.float64]
    support: NDArray[np.float64]

    @classmethod
    def of(
        cls, truth: NDArray[np.int64], predicted: NDArray[np.int64], dialogues: NDArray[np.int64], classes: int
    ) -> DialogueCounts:
        """Count.

        Args:
            truth: `(U,)` class indices, none negative.
            predicted: `(S, U)` class indices, a row a seed.
            dialogues: `(U,)`, numbered from 0.
            classes: C.
        """
        count = int(dialogues.max()) + 1

        def tally(classes_of: NDArray[np.int64], weights: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
            cells = np.bincount(dialogues * classes + classes_of, weights, minlength=count * classes)
            return cells.reshape(count, classes).astype(np.float64)

        return cls(
            np.concatenate([tally(row, row == truth) for row in predicted], axis=1),
            np.concatenate([tally(row) for row in predicted], axis=1),
            tally(truth),
        )

    def weighted_f1(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(R, n)`, how often each dialogue counts → `(R,)`, mean over seeds of the weighted F1."""
        support = (weights @ self.support)[:, None, :]
        shape = (len(weights), -1, support.shape[-1])
        right, predicted = ((weights @ part).reshape(shape) for part in (self.right, self.predicted))
        below = predicted + support
        f1 = np.divide(2 * right, below, out=np.zeros_like(below), where=below > 0)
        means: NDArray[np.float64] = (f1 * support).sum(-1).mean(1) / support.sum((1, 2))
        return means


def paired_t_test(first: Sequence[float], second: Sequence[float]) -> TTestResult:
    """Student's t-test of paired figures, two-sided.

    Args:
        first: a figure of each seed.
        second: of the same seeds.

    Raises:
        InputError: there are fewer than two pairs, or the lengths differ.
    """
    if len(first) != len(second) or len(first) < 2:
        raise InputError(f"a paired t-test needs at least two pairs, found {len(first)} and {len(second)} figures")
    differences = np.subtract(second, first)
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    if deviation == 0:
        effect = math.copysign(math.inf, mean) if mean else 0.0
        return TTestResult(effect, 0.0 if mean else 1.0, effect)
    effect = mean / deviation
    t = effect * math.sqrt(len(differences))
    return TTestResult(t, _student_tail(t, len(differences) - 1), effect)


def _student_tail(t: float, freedom: int) -> float:
    """P(|T| ≥ |t|), by the finite series for a whole number of degrees of freedom (Abramowitz & Stegun 26.7.3–4)."""
    angle = math.atan(abs(t) / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = total = (cosine if odd else 1.0) if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return max(0.0, 1 - inside)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several comparisons, adjusted so that the chance of any false alarm is bounded (Holm 1979)."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
