"""What ridge regression (Eq. 15) needs of the training split: AᵀA and AᵀY of the broad nodes of each modality.

With them W = (AᵀA + λI)⁻¹AᵀY is solved again for other λ or with further rows, without the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError


@dataclass(frozen=True, eq=False)
class RidgeStatistics:
    """Sums over the labelled utterances of the training split that have the modality.

    Attributes:
        gram: AᵀA `(K, K)` float64.
        targets: AᵀY `(K, C)` float64, Y one-hot.
        count: how many utterances.
    """

    gram: NDArray[np.float64]
    targets: NDArray[np.float64]
    count: int


def ridge_arrays(statistics: Mapping[str, RidgeStatistics]) -> dict[str, NDArray[Any]]:
    """As arrays with names, to be stored."""
    arrays: dict[str, NDArray[Any]] = {}
    for m, found in statistics.items():
        arrays |= {f"{m}.AtA": found.gram, f"{m}.AtY": found.targets, f"{m}.count": np.array([found.count])}
    return arrays


def ridge_statistics(
    arrays: Mapping[str, NDArray[Any]], widths: Mapping[str, int], classes: int
) -> dict[str, RidgeStatistics]:
    """From what `ridge_arrays` gave.

    Args:
        arrays: by name.
        widths: modality → K, for every modality that has statistics.
        classes: C.

    Raises:
        InputError: there are others, or they have other sizes, types or non-finite values.
    """
    expected = {f"{m}.{part}" for m in widths for part in ("AtA", "AtY", "count")}
    if set(arrays) != expected:
        odd = sorted(set(arrays) ^ expected)[0]
        raise InputError(f"the ridge statistics are those of {', '.join(widths)}, but for {odd!r}")
    found = {}
    for m, K in widths.items():
        gram, targets, count = (arrays[f"{m}.{part}"] for part in ("AtA", "AtY", "count"))
        shapes = [(a.shape, a.dtype.name) for a in (gram, targets, count)]
        if shapes != [((K, K), "float64"), ((K, classes), "float64"), ((1,), "int64")]:
            raise InputError(
                f"the ridge statistics of {m} are {shapes}, expected those of {K} nodes, {classes} classes"
            )
        if not (np.isfinite(gram).all() and np.isfinite(targets).all() and count[0] >= 0):
            raise InputError(f"the ridge statistics of {m} have non-finite values or a negative count")
        found[m] = RidgeStatistics(np.array(gram), np.array(targets), int(count[0]))
    return found
