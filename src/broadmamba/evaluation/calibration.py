"""Temperature scaling: one number that makes probabilities mean what they say (Guo et al. 2017).

p′ ∝ p^(1/T), which is softmax(logits / T). The order of the classes stays, so no figure but the calibration changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.bundle.manifest import COLDEST, HOTTEST
from broadmamba.errors import InputError


def scale(probabilities: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float32]:
    """Probabilities at another temperature.

    Args:
        probabilities: `(U, C)`, of temperature 1.
        temperature: above 1 for less certain ones, below 1 for more certain ones.

    Returns:
        `(U, C)`; each row sums to 1. The order of a row's classes is kept, but for two that differ by rounding.
    """
    powers = _log(probabilities) / temperature
    powers = np.exp(powers - powers.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)


def fit_temperature(truth: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> float:
    """The temperature with the smallest negative log-likelihood, from `COLDEST` to `HOTTEST`.

    The log-likelihood is concave in 1/T: its derivative, the mean over utterances of log p of the true class less the
    expectation of log p under p′, falls with 1/T, and bisection finds where it is zero.

    Args:
        truth: `(U,)` class indices; negative ones (no label) are left out.
        probabilities: `(U, C)`.

    Raises:
        InputError: no utterance has a label.
    """
    known = truth >= 0
    if not known.any():
        raise InputError("no temperature can be fitted: no utterance has a label")
    logs = _log(probabilities[known])
    wanted = float(logs[np.arange(len(logs)), truth[known]].mean())

    def likelier_if_colder(beta: float) -> bool:
        powers = np.exp(beta * (logs - logs.max(1, keepdims=True)))
        return bool(wanted > ((powers * logs).sum(1) / powers.sum(1)).mean())

    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if likelier_if_colder(middle) else (low, middle)
    return float(np.clip(2 / (low + high), COLDEST, HOTTEST))


def _log(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Logarithms; a probability that was rounded to zero counts as the smallest that float32 has."""
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
