"""Eq. 11 as one two-sided convolution, for short sequences (Toeplitz matrix) and middling ones (FFT).

Both sums and the skip of Eq. 11 are one convolution with a *two-sided kernel* w of shape `(D, 2L - 1)`: entry
`L - 1 + k` weighs the utterance that lies k before (k > 0) or after (k < 0), lag 0 holds κ_f[0] + κ_b[0] + d:
y_j = Σ_l x_l · w[L - 1 + j - l]. The gradient with respect to x is the same convolution with w reversed.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK_BYTES = 2 << 20  # what a core keeps in its cache between the steps of one block
_BLOCK_ROWS = 8


def two_sided(kernels: Tensor, skip: Tensor) -> Tensor:
    """Join both kernels and the skip of Eq. 11.

    Args:
        kernels: `(2, D, L)`, κ_f and κ_b.
        skip: `(D,)`, d.

    Returns:
        `(D, 2L - 1)`.
    """
    forward, backward = kernels.unbind(0)
    centre = (forward[:, 0] + backward[:, 0] + skip).unsqueeze(1)
    return torch.cat((backward[:, 1:].flip(1), centre, forward[:, 1:]), dim=1)


def channels_first(x: Tensor) -> Tensor:
    """`(B, L, D)` to a contiguous `(D, B, L)`; as a plain matrix transpose, which torch does fast."""
    return x.flatten(0, 1).t().contiguous().view(x.shape[2], x.shape[0], x.shape[1])


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
    return torch.bmm(channels_first(x), matrix).permute(1, 2, 0).contiguous()


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


def _channels_per_block(x: Tensor, size: int) -> int:
    if x.device.type != "cpu":
        return x.shape[2]
    row = size * x.element_size()
    return max(1, -(-max(_BLOCK_ROWS, _BLOCK_BYTES // row) // max(1, x.shape[0])))


def spectrum(kernel: Tensor) -> Tensor:
    """What `fft_apply` multiplies by: the Fourier transform of a two-sided kernel, `(D, M/2 + 1)` complex."""
    transform: Tensor = torch.fft.rfft(kernel, n=fast_size(kernel.shape[1]))
    return transform


def fft_apply(x: Tensor, kernel_spectrum: Tensor, keep: list[Tensor] | None = None) -> Tensor:
    """Convolve x `(B, L, D)` by FFT, a block of channels at a time.

    Args:
        x: the input.
        kernel_spectrum: of `spectrum`, for the same L.
        keep: if given, the Fourier transforms of x are appended, block by block.

    Returns:
        `(B, L, D)`. A circle of 2L - 1 places is long enough: what wraps around lands outside of the L places
        that are read.
    """
    length, size = x.shape[1], 2 * (kernel_spectrum.shape[1] - 1)
    block = _channels_per_block(x, size)
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows = torch.split(channels_first(x), block)
    for channel, row, factor in zip(
        range(0, x.shape[2], block), rows, torch.split(kernel_spectrum.unsqueeze(1), block), strict=True
    ):
        transform = torch.fft.rfft(row, n=size)
        product = transform * factor if keep is not None else transform.mul_(factor)
        out = torch.fft.irfft(product, n=size)[..., length - 1 : 2 * length - 1]
        y[..., channel : channel + block] = out.permute(1, 2, 0)
        if keep is not None:
            keep.append(transform)
    return y


class _Fourier(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        transforms: list[Tensor] = []
        y = fft_apply(x, spectrum(kernel), transforms)
        ctx.save_for_backward(kernel, *transforms)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        kernel, *transforms = ctx.saved_tensors
        length = grad.shape[1]
        with torch.autocast(grad.device.type, enabled=False):
            if not ctx.needs_input_grad[1]:
                return fft_apply(grad, spectrum(kernel.flip(1))), None
            grads: list[Tensor] = []
            grad_x = fft_apply(grad, spectrum(kernel.flip(1)), grads)
            # The correlation Σ_j g_j x_{j+n}, summed over the batch, is the gradient of the weight at lag -n.
            products = [(g.conj_physical_().mul_(x)).sum(1) for g, x in zip(grads, transforms, strict=True)]
            size = 2 * (products[0].shape[1] - 1)
            lags = torch.fft.irfft(torch.cat(products), n=size)
        return grad_x, torch.cat((lags[:, size - length + 1 :], lags[:, :length]), dim=1).flip(1)


def fft_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve x `(B, L, D)` with a two-sided kernel `(D, 2L - 1)` by FFT; differentiable."""
    return cast(Tensor, _Fourier.apply(x, kernel))  # type: ignore[no-untyped-call]
