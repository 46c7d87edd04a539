"""A face in a picture, and what it looks like as a square of fixed size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broadmamba.features.video.resampling import resized


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture, in the picture's pixels.

    Attributes:
        x: of its left side.
        y: of its upper side.
        width: from side to side.
        height: from brow to chin.
    """

    x: float
    y: float
    width: float
    height: float

    @property
    def size(self) -> float:
        """Side of a square of the same area."""
        return float((self.width * self.height) ** 0.5)

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle, `(x, y)`."""
        return self.x + self.width / 2, self.y + self.height / 2


def crop(pixels: NDArray[np.uint8], face: Face, size: int) -> NDArray[np.uint8]:
    """A face as a square picture.

    The square is as large as the face's longer side, so that nothing is stretched; what lies outside the picture is
    black.

    Args:
        pixels: `(height, width, 3)`.
        face: in it.
        size: of the result.

    Returns:
        `(size, size, 3)`.
    """
    side = max(1, round(max(face.width, face.height)))
    left, top = (round(middle - side / 2) for middle in face.centre)
    height, width = pixels.shape[:2]
    rows, columns = slice(max(0, top), min(height, top + side)), slice(max(0, left), min(width, left + side))
    square = np.zeros((side, side, 3), dtype=np.uint8)
    seen = pixels[rows, columns]
    if seen.size:
        y, x = rows.start - top, columns.start - left
        square[y : y + seen.shape[0], x : x + seen.shape[1]] = seen
    return resized(square, size, size)
