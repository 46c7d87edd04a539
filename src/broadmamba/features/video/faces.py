"""A face in a picture, and what it looks like as a square of fixed size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


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


def as_batch(crops: NDArray[np.uint8]) -> Tensor:
    """Pictures `(batch, height, width, 3)` as numbers 0…255 `(batch, 3, height, width)`, channels last in memory."""
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float()


def resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A picture `(…, …, 3)` in another size: bilinear, smoothed where it shrinks."""
    if pixels.shape[:2] == (height, width):
        return pixels
    picture = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).unsqueeze(0)
    resized: Tensor = F.interpolate(picture, (height, width), mode="bilinear", antialias=True)
    return resized.squeeze(0).permute(1, 2, 0).contiguous().numpy()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread while the block runs.

    The work on one picture is so small that threads spend their time waiting for each other, busily: with two it is
    slower, on a busy machine many times.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
