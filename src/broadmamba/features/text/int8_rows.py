"""Matrices of weights in a quarter of their size: whole numbers from -127 to 127, and a scale for each row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROWS, SCALES = ".int8", ".scales"
"""Ends of the names under which the parts of a matrix are kept."""

LARGEST = 127
"""Of the whole numbers; the largest value of each row becomes this or its negative."""


def to_int8_rows(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a matrix to steps of a size of its own in each row.

    Args:
        matrix: (rows, columns), finite.

    Returns:
        (rows, columns) whole numbers, and (rows,) scales: their product is off by half a scale at the most.
    """
    steps = np.abs(matrix).max(axis=1) / np.float32(LARGEST)
    scales = np.maximum(steps, np.finfo(np.float32).tiny)  # below, numbers of 32 bits are coarser than the steps
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales
