"""Diagonal state space models and their convolution kernels (Eq. 1-5).

Every channel has its own continuous system h'(t) = A h(t) + B x(t), y(t) = C h(t) (Eq. 1) with a diagonal
complex A, as in S4D: states come in conjugate pairs, of which one half is kept, so that a sum over all states
is twice the real part of the sum over the kept ones. B is fixed to 1: only the product of B and C matters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from broadmamba.data.conversation import near
from broadmamba.errors import InputError

# Powers of Ā smaller than e^-40 are zero: they change nothing (4e-18), but as denormal numbers they would
# make every later matrix product about ten times slower.
_SMALLEST_EXPONENT = -40.0


class Terms(NamedTuple):
    """The discretised system K[l] = 2 Re Σ_p gain_p · exp(l · rate_p); each part is `(directions, D, N/2)`.

    Attributes:
        rate_real: Re ΔA, negative, per step.
        rate_imag: Im ΔA, radians per step.
        gain_real: Re C·B̄.
        gain_imag: Im C·B̄.
    """

    rate_real: Tensor
    rate_imag: Tensor
    gain_real: Tensor
    gain_imag: Tensor


class _Powers(torch.autograd.Function):
    """exp(t · rate) as real and imaginary part; the backward reuses them instead of taking sines again."""

    @staticmethod
    def forward(ctx: Any, rate_real: Tensor, rate_imag: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        steps = steps.to(rate_real.dtype).unsqueeze(-1)
        exponent = rate_real.unsqueeze(-2) * steps
        magnitude = exponent.exp().masked_fill_(exponent < _SMALLEST_EXPONENT, 0.0)
        angle = rate_imag.unsqueeze(-2) * steps
        real, imag = magnitude * angle.cos(), magnitude.mul_(angle.sin_())
        ctx.save_for_backward(real, imag, steps)
        return real, imag

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_real: Tensor, grad_imag: Tensor) -> tuple[Tensor, Tensor, None]:
        real, imag, steps = ctx.saved_tensors
        along = torch.addcmul(grad_real * real, grad_imag, imag).mul_(steps)
        across = torch.addcmul(grad_imag * real, grad_real, imag, value=-1).mul_(steps)
        return along.sum(-2), across.sum(-2), None


def powers(terms: Terms, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Ā^t for each step t.

    Args:
        terms: the system.
        steps: `(T,)` whole numbers, at least 0.

    Returns:
        Real and imaginary part, each `(directions, D, T, N/2)`.
    """
    result = _Powers.apply(terms.rate_real, terms.rate_imag, steps)  # type: ignore[no-untyped-call]
    return cast(tuple[Tensor, Tensor], result)


def zero_order_hold(
    decay: Tensor, frequency: Tensor, rate_real: Tensor, rate_imag: Tensor, step: Tensor
) -> tuple[Tensor, Tensor]:
    """B̄ = A⁻¹ (exp(ΔA) - 1) (Eq. 2), exact for an input that is constant during a step.

    Args:
        decay: Re A.
        frequency: Im A.
        rate_real: Re ΔA.
        rate_imag: Im ΔA.
        step: Δ; not used here.

    Returns:
        Real and imaginary part of B̄.
    """
    # exp(a + ib) - 1 without the cancellation that small Δ would bring.
    real = rate_real.expm1() * rate_imag.cos() - 2 * (rate_imag / 2).sin().square()
    imag = rate_real.exp() * rate_imag.sin()
    norm = decay.square() + frequency.square()
    return (real * decay + imag * frequency) / norm, (imag * decay - real * frequency) / norm


def first_order(
    decay: Tensor, frequency: Tensor, rate_real: Tensor, rate_imag: Tensor, step: Tensor
) -> tuple[Tensor, Tensor]:
    """B̄ ≈ Δ (Eq. 3), the first term of the Taylor series, as in Mamba; arguments as in `zero_order_hold`."""
    return step.expand_as(decay), torch.zeros_like(decay)


DISCRETISATIONS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "zoh": zero_order_hold,
    "euler": first_order,
}


class DiagonalSSM(nn.Module):
    """Independent diagonal SSMs, one a channel and direction (Eq. 1-5), initialised as S4D-Lin.

    Attributes:
        log_step: `(directions, D)`, log Δ.
        log_decay: `(directions, D, N/2)`, log(-Re A): stable whatever is learned.
        frequency: `(directions, D, N/2)`, Im A.
        output: `(directions, D, N/2, 2)`, C as real and imaginary part.
        skip: `(D,)`, the d of Eq. 11 and D of Eq. 4.

    Args:
        d_model: channels D.
        d_state: real states N a channel, even: N/2 conjugate pairs.
        discretisation: `zoh` (Eq. 2) or `euler` (Eq. 3).
        directions: how many independent kernels each channel has.
        dt_min: smallest initial step Δ, in utterances; 1/Δ is about how far a channel remembers.
        dt_max: largest initial step. Steps are spaced evenly in log Δ over the channels.

    Raises:
        InputError: an unknown discretisation, an odd or too small d_state, or steps out of order.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int,
        *,
        discretisation: str = "zoh",
        directions: int = 2,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
    ) -> None:
        super().__init__()
        if discretisation not in DISCRETISATIONS:
            raise InputError(
                f"unknown discretisation {discretisation!r}; known are {', '.join(DISCRETISATIONS)}"
                f"{near(discretisation, list(DISCRETISATIONS))}"
            )
        if d_state < 2 or d_state % 2:
            raise InputError(f"d_state: expected an even number of at least 2 (conjugate pairs), found {d_state}")
        if not 0 < dt_min <= dt_max:
            raise InputError(f"expected 0 < dt_min <= dt_max, found dt_min={dt_min} and dt_max={dt_max}")
        self.discretisation = discretisation
        pairs = d_state // 2
        steps = torch.linspace(math.log(dt_min), math.log(dt_max), d_model)
        self.log_step = nn.Parameter(steps.repeat(directions, 1))
        self.log_decay = nn.Parameter(torch.full((directions, d_model, pairs), math.log(0.5)))
        self.frequency = nn.Parameter((math.pi * torch.arange(pairs)).repeat(directions, d_model, 1))
        self.output = nn.Parameter(torch.randn(directions, d_model, pairs, 2) * math.sqrt(0.5))
        self.skip = nn.Parameter(torch.ones(d_model))

    def terms(self) -> Terms:
        """The system after discretisation (Eq. 2 or 3)."""
        step = self.log_step.exp().unsqueeze(-1)
        decay = -self.log_decay.exp()
        rate_real, rate_imag = decay * step, self.frequency * step
        in_real, in_imag = DISCRETISATIONS[self.discretisation](decay, self.frequency, rate_real, rate_imag, step)
        out_real, out_imag = self.output.unbind(-1)
        return Terms(
            rate_real,
            rate_imag,
            out_real * in_real - out_imag * in_imag,
            out_real * in_imag + out_imag * in_real,
        )

    def kernel(self, length: int) -> Tensor:
        """The convolution kernels K̄ of Eq. 5, up to lag `length - 1`.

        Every power is a product of two: Ā^(i·w + j) = Ā^(i·w) · Ā^j. Two small real tables and one matrix
        product replace `length` complex exponentials a state.

        Returns:
            `(directions, D, length)`, real.
        """
        terms = self.terms()
        width = 1 << ((length - 1).bit_length() + 1) // 2  # a power of two, at least √length
        rows = -(-length // width)
        fine_real, fine_imag = powers(terms, torch.arange(width, device=self.skip.device))
        real, imag = powers(terms, torch.arange(0, rows * width, width, device=self.skip.device))
        gain_real, gain_imag = 2 * terms.gain_real.unsqueeze(-2), 2 * terms.gain_imag.unsqueeze(-2)
        # Re(ab) = Re a Re b - Im a Im b, summed over the states: one product of real matrices.
        coarse = torch.cat((real * gain_real - imag * gain_imag, -(real * gain_imag) - imag * gain_real), dim=-1)
        fine = torch.cat((fine_real, fine_imag), dim=-1)
        kernel = torch.bmm(coarse.flatten(0, 1), fine.flatten(0, 1).transpose(1, 2))
        return kernel.view(*terms.rate_real.shape[:2], rows * width)[..., :length]

    def kernel_reference(self, length: int) -> Tensor:
        """The same as `kernel`, straight from Eq. 2, 3 and 5 in complex numbers: slow and obvious."""
        A, dt, C = torch.complex(-self.log_decay.exp(), self.frequency), self.log_step.exp(), self.output
        A_bar = torch.exp(dt.unsqueeze(-1) * A)
        B_bar = (A_bar - 1) / A if self.discretisation == "zoh" else dt.unsqueeze(-1)
        gain = torch.view_as_complex(C) * B_bar
        return torch.stack([2 * (gain * A_bar**lag).real.sum(-1) for lag in range(length)], dim=-1)
