"""Pictures in another size: bilinear, smoothed where they shrink, to the very bytes that PyTorch's `interpolate` makes.

Rows are resampled, then columns. Each new pixel is a mean of old ones, weighted by a triangle that reaches as far as to
the next new or old pixel, whichever is further away. Weights are whole numbers of at most 15 bits over a power of two,
and means are rounded to whole grey levels.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_CHANNELS = 3
_AT_ONCE = 8  # new pixels by one product of matrices: of a larger matrix most would be zero
_MOST_BITS, _LARGEST = 22, 2**15


def resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A picture `(…, …, 3)` in another size."""
    lines = pixels.reshape(len(pixels), -1)
    if pixels.shape[1] != width:
        made = np.empty((len(lines), width * _CHANNELS), dtype=np.uint8)
        _resample(lines, made, _CHANNELS)
        lines = made
    if len(lines) != height:
        made = np.empty((height, width * _CHANNELS), dtype=np.uint8)
        _resample(lines.T, made.T, 1)
        lines = made
    return lines.reshape(height, width, _CHANNELS)


def _resample(lines: NDArray[np.uint8], made: NDArray[np.uint8], channels: int) -> None:
    """Resample lines `(lines, old pixels · channels)` into others `(lines, new pixels · channels)`.

    Grey levels are counted from 128, so that their sums have few enough bits to be exact in single precision; where a
    picture shrinks to less than an eighth, one pixel in some ten thousand may be a grey level off.
    """
    levels, signed = (lines ^ 128).view(np.int8), made.view(np.int8)
    starts, matrices, shift = _products(lines.shape[1] // channels, made.shape[1] // channels, channels)
    length, count = matrices.shape[1:]
    for number, (start, matrix) in enumerate(zip(starts, matrices, strict=True)):
        target = slice(number * count, (number + 1) * count)  # of the last one, as many as there are
        sums = (levels[:, start : start + length].astype(np.float32) @ matrix)[:, : len(shift[target])]
        sums += shift[target]
        signed[:, target] = np.floor(sums, out=sums)
    np.bitwise_xor(made, 128, out=made)


@lru_cache(maxsize=16)  # the pictures of a recording have one size
def _products(old: int, new: int, channels: int) -> tuple[list[int], NDArray[np.float32], NDArray[np.float32]]:
    """What makes new pixels of old ones, `_AT_ONCE` at a time.

    Returns:
        Where the old ones start, in numbers of a line; matrices `(products, old numbers, new numbers)`; and what is
        added to each number of a line.
    """
    which, source, weights = _weights(old, new)
    shift = 128 * (np.bincount(which, weights) - 1) + 0.5  # since levels count from 128, and to round
    product, place = np.divmod(which, _AT_ONCE)
    edges = np.searchsorted(product, np.arange(product[-1] + 2))
    starts, ends = np.minimum.reduceat(source, edges[:-1]), np.maximum.reduceat(source, edges[:-1]) + 1
    length = int((ends - starts).max())
    starts = np.minimum(starts, old - length)
    matrices = np.zeros((len(starts), length, channels, _AT_ONCE, channels), dtype=np.float32)
    for channel in range(channels):
        matrices[product, source - starts[product], channel, place, channel] = weights
    numbers = matrices.reshape(len(starts), length * channels, _AT_ONCE * channels)
    return (starts * channels).tolist(), numbers, np.repeat(shift, channels).astype(np.float32)


def _weights(old: int, new: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Of which new pixel, ascending, which old one is a part, and with what weight."""
    scale = old / new
    reach = max(scale, 1.0)
    middles = (np.arange(new)[:, None] + 0.5) * scale
    places = np.floor(middles - reach).astype(np.int64) + np.arange(math.ceil(2 * reach) + 2)
    weights = np.maximum(1 - np.abs(places + 0.5 - middles) / reach, 0) * ((places >= 0) & (places < old))
    weights /= weights.sum(axis=1, keepdims=True)
    largest = float(weights.max())
    bits = next(b for b in range(_MOST_BITS + 1) if b == _MOST_BITS or largest * 2 ** (b + 1) + 0.5 >= _LARGEST)
    weights = np.floor(weights * 2**bits + 0.5) / 2**bits
    which, tap = np.nonzero(weights)
    return which, places[which, tap], weights[which, tap]
