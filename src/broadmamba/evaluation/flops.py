"""Counting floating-point operations as torch does, with Fourier transforms besides."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def count_flops(work: Callable[[], object]) -> int:
    """Floating-point operations of matrix products, convolutions, attention and Fourier transforms.

    Pointwise operations are not counted, as is usual. A product and a sum are two operations. Layers that torch runs
    as one operation of a vendor's library (an LSTM of padded sequences) are not seen: pack the sequences.

    Args:
        work: what is done; it is run once.
    """
    with FlopCounterMode(display=False, custom_mapping=_TRANSFORMS) as counter:
        work()
    return int(counter.get_total_flops())


def _real_to_complex(shape: Any, axes: Any, *_: object, **__: object) -> int:
    return _transform(shape, [shape[axis] for axis in axes], 2.5)


def _complex_to_real(shape: Any, axes: Any, _: object, last: int, *, out_shape: Any, **__: object) -> int:
    lengths = [shape[axis] for axis in axes]
    return _transform(out_shape, [*lengths[:-1], last], 2.5)


def _complex_to_complex(shape: Any, axes: Any, *_: object, **__: object) -> int:
    return _transform(shape, [shape[axis] for axis in axes], 5.0)


def _transform(shape: Any, lengths: list[int], factor: float) -> int:
    """The usual 5·n·log₂n of a complex transform of n numbers, half of it where one side is real."""
    operations: float = factor * math.prod(shape) * math.log2(max(2, math.prod(lengths)))
    return round(operations)


_TRANSFORMS: dict[Any, Any] = {
    torch.ops.aten._fft_r2c: _real_to_complex,
    torch.ops.aten._fft_c2r: _complex_to_real,
    torch.ops.aten._fft_c2c: _complex_to_complex,
}
