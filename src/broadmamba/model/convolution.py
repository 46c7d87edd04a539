"""Eq. 11 as one two-sided convolution, for short sequences (Toeplitz matrix) and middling ones (FFT).

Both sums and the skip of Eq. 11 are one convolution with a *two-sided kernel* w of shape `(D, 2L - 1)`: entry
`L - 1 + k` weighs the utterance that lies k before (k > 0) or after (k < 0), lag 0 holds κ_f[0] + κ_b[0] + d:
y_j = Σ_l x_l · w[L - 1 + j - l]. The gradient with respect to x is the same convolution with w reversed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK_BYTES = 1 << 20  # of real rows: with their transforms, what a core keeps in its cache
_BLOCK_ROWS = 8


class _TwoSided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernels: Tensor, skip: Tensor) -> Tensor:
        forward, backward = kernels.unbind(0)
        kernel = torch.cat((backward.flip(1), forward[:, 1:]), dim=1)
        kernel[:, forward.shape[1] - 1] += forward[:, 0] + skip
        return kernel

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        length = (grad.shape[1] + 1) // 2
        return torch.stack((grad[:, length - 1 :], grad[:, :length].flip(1))), grad[:, length - 1]


def two_sided(kernels: Tensor, skip: Tensor) -> Tensor:
    """Join both kernels and the skip of Eq. 11; differentiable.

    Args:
        kernels: `(2, D, L)`, κ_f and κ_b.
        skip: `(D,)`, d.

    Returns:
        `(D, 2L - 1)`.
    """
    return cast(Tensor, _TwoSided.apply(kernels, skip))  # type: ignore[no-untyped-call]


def channels_first(x: Tensor) -> Tensor:
    """`(B, L, D)` to a contiguous copy `(D, B, L)`; as a plain matrix transpose, which torch does fast."""
    rows = x.flatten(0, 1).t().clone(memory_format=torch.contiguous_format)
    return rows.view(x.shape[2], x.shape[0], x.shape[1])


def channels_last(rows: Tensor) -> Tensor:
    """`(D, B, L)` to a contiguous `(B, L, D)`, the inverse of `channels_first`."""
    return rows.flatten(1).t().contiguous().view(rows.shape[1], rows.shape[2], rows.shape[0])


# Short: a Toeplitz matrix


class _ToeplitzMatrix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernel: Tensor) -> Tensor:
        return kernel.unfold(1, (kernel.shape[1] + 1) // 2, 1).flip(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        # Sums along the diagonals: in rows of 2L that are read again as rows of 2L - 1, every row starts one
        # place further right than the one before.
        channels, length, _ = grad.shape
        sheared = grad.new_zeros(channels, length, 2 * length)
        sheared[..., :length] = grad.flip(1)
        rows = sheared.view(channels, -1)[:, : length * (2 * length - 1)].view(channels, length, -1)
        return rows.sum(1)


def toeplitz_matrix(kernel: Tensor) -> Tensor:
    """The matrix T[l, j] = w[L - 1 + j - l] of each channel, `(D, 2L - 1)` to `(D, L, L)`; differentiable."""
    return cast(Tensor, _ToeplitzMatrix.apply(kernel))  # type: ignore[no-untyped-call]


def toeplitz_apply(x: Tensor, matrix: Tensor) -> Tensor:
    """Convolve by matrix products: x `(B, L, D)` with a matrix `(D, L, L)`; differentiable."""
    return channels_last(torch.bmm(channels_first(x), matrix))


# Middling: FFT


def fast_size(least: int) -> int:
    """The smallest even 5-smooth number (2^a · 3^b · 5^c) that is at least `least`: FFTs of it are fast."""
    best = 1 << max(1, (least - 1).bit_length())
    five = 1
    while five < best:
        three = five
        while three < best:
            quotient = -(-least // three)
            best = min(best, three << max(1, (quotient - 1).bit_length()))
            three *= 3
        five *= 5
    return best


def spectrum(kernel: Tensor) -> Tensor:
    """What `fft_apply` multiplies by: the Fourier transform of a two-sided kernel, `(D, M/2 + 1)` complex."""
    transform: Tensor = torch.fft.rfft(kernel, n=fast_size(kernel.shape[1]))
    return transform


def fft_apply(x: Tensor, kernel_spectrum: Tensor, centre: int) -> Tensor:
    """Convolve x `(B, L, D)` by FFT, a block of channels at a time.

    Args:
        x: the input.
        kernel_spectrum: of `spectrum`, for this L or a longer one.
        centre: where that kernel has lag 0, at least L - 1.
    """
    rows = channels_first(x)
    for row, factor, transform in _transforms(rows, kernel_spectrum):
        _write_circle(row, transform.mul_(factor), centre)
    return channels_last(rows)


def _transforms(rows: Tensor, kernel_spectrum: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """A block of rows `(D, B, L)`, the kernel's part for it, and the block's Fourier transform, one by one."""
    channels, batch, length = rows.shape
    size = 2 * (kernel_spectrum.shape[1] - 1)
    if rows.device.type == "cpu":
        block_rows = max(_BLOCK_ROWS, _BLOCK_BYTES // (size * rows.element_size()))
        channels = min(channels, -(-block_rows // batch))
    padded = rows.new_zeros(channels, batch, size)  # the end stays zero from block to block
    factors = torch.split(kernel_spectrum.unsqueeze(1), channels)
    for row, factor in zip(torch.split(rows, channels), factors, strict=True):
        padded[: len(row), :, :length] = row
        yield row, factor, torch.fft.rfft(padded[: len(row)])


def _write_circle(row: Tensor, product: Tensor, centre: int) -> None:
    """Transform back and write the L places of the output, which start at the centre.

    A circle as long as the kernel is enough: what wraps around lands outside of the places that are read.
    """
    circle = torch.fft.irfft(product, n=2 * (product.shape[2] - 1))
    row.copy_(circle[..., centre : centre + row.shape[2]])


class _Fourier(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        rows, transforms = channels_first(x), []
        for row, factor, transform in _transforms(rows, spectrum(kernel)):
            transforms.append(transform)
            _write_circle(row, transform * factor, x.shape[1] - 1)
        ctx.save_for_backward(kernel, *transforms)
        return channels_last(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        kernel, *inputs = ctx.saved_tensors
        with torch.autocast(grad.device.type, enabled=False):
            rows, sums, length = channels_first(grad), [], grad.shape[1]
            blocks = _transforms(rows, spectrum(kernel.flip(1)))
            for (row, factor, transform), other in zip(blocks, inputs, strict=True):
                _write_circle(row, transform * factor, length - 1)
                # The correlation Σ_j g_j x_{j+n}, summed over the batch: the gradient of the weight at lag -n.
                sums.append(transform.conj_physical_().mul_(other).sum(1))
            size = fast_size(kernel.shape[1])
            lags = torch.fft.irfft(torch.cat(sums), n=size)
            grad_kernel = torch.cat((lags[:, size - length + 1 :], lags[:, :length]), dim=1).flip(1)
            return channels_last(rows), grad_kernel


def fft_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve x `(B, L, D)` with a two-sided kernel `(D, 2L - 1)` by FFT; differentiable."""
    return cast(Tensor, _Fourier.apply(x, kernel))  # type: ignore[no-untyped-call]
