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
    """The discretised system: K[l] = 2 Re Σ_p gain_p · exp(l · rate_p).

    Attributes:
        rate: ΔA per step, `(directions, D, N/2)` complex with negative real part.
        gain: C·B̄, `(directions, D, N/2)` complex.
    """

    rate: Tensor
    gain: Tensor


def powers(rate: Tensor, steps: Tensor) -> Tensor:
    """Ā^t = exp(t · rate) for each step t, by real functions: a complex exponential takes ten times as long.

    Args:
        rate: `(..., P)` complex, real part never positive.
        steps: `(T,)` whole numbers, at least 0.

    Returns:
        `(..., T, P)` complex.
    """
    times = steps.to(rate.real.dtype).unsqueeze(-1)
    exponent = rate.real.contiguous().unsqueeze(-2) * times
    magnitude = nn.functional.threshold(exponent, _SMALLEST_EXPONENT, -math.inf).exp_()
    angle = rate.imag.contiguous().unsqueeze(-2) * times
    return torch.complex(magnitude * angle.cos(), magnitude * angle.sin())


class _Kernel(torch.autograd.Function):
    """K[l] = 2 Re Σ_p gain_p z_p^l with z = exp(rate), for lags l = i·w + j: z^l = z^(iw) · z^j.

    Two small tables and one product of real matrices replace an exponential for every lag and state. Where g is
    the gradient of K, the gradients are twice the conjugates of S0 = Σ_l g_l z^l for the gain, and of gain · S1,
    S1 = Σ_l l g_l z^l, for the rate; both sums are matrix products with the same tables.
    """

    @staticmethod
    def forward(ctx: Any, rate: Tensor, gain: Tensor, length: int) -> Tensor:
        width = 1 << ((length - 1).bit_length() + 1) // 2  # a power of two, at least √length
        rows = -(-length // width)
        steps = torch.arange(width, device=rate.device)
        flat = rate.flatten(0, 1)
        fine = torch.view_as_real(powers(flat, steps)).flatten(2)  # (directions · D, w, N)
        coarse = powers(flat, steps[:rows] * width)
        # Re(ab) = Re a Re b - Im a Im b
        start = (2 * gain.flatten(0, 1).unsqueeze(1) * coarse).conj_physical()
        ctx.save_for_backward(fine, coarse, gain)
        kernel = torch.bmm(torch.view_as_real(start).flatten(2), fine.transpose(1, 2))
        return kernel.view(*rate.shape[:2], rows * width)[..., :length]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        fine, coarse, gain = ctx.saved_tensors
        width, (rows, pairs) = fine.shape[1], coarse.shape[1:]
        with torch.autocast(grad.device.type, enabled=False):
            grad = nn.functional.pad(grad.flatten(0, 1), (0, rows * width - grad.shape[2]))
            lags = torch.arange(rows * width, device=grad.device, dtype=grad.dtype)
            weights = torch.stack((grad, lags * grad), dim=1).view(-1, 2 * rows, width)
            sums = torch.view_as_complex(torch.bmm(weights, fine).view(-1, 2, rows, pairs, 2))
            zeroth, first = sums.mul_(coarse.unsqueeze(1)).sum(2).view(*gain.shape[:2], 2, pairs).unbind(2)
        return 2 * (gain * first).conj(), 2 * zeroth.conj(), None


def zero_order_hold(A: Tensor, rate: Tensor, step: Tensor) -> Tensor:
    """B̄ = A⁻¹ (exp(ΔA) - 1) (Eq. 2), exact for an input that is constant during a step.

    Args:
        A: complex.
        rate: ΔA, complex.
        step: Δ.
    """
    real, imag = rate.real, rate.imag
    # exp(a + ib) - 1 without the cancellation that small Δ would bring.
    grown = torch.complex(real.expm1() * imag.cos() - 2 * (imag / 2).sin().square(), real.exp() * imag.sin())
    return grown / A


def first_order(A: Tensor, rate: Tensor, step: Tensor) -> Tensor:
    """B̄ ≈ Δ (Eq. 3), the first term of the Taylor series, as in Mamba; arguments as in `zero_order_hold`."""
    return step.expand_as(A)


DISCRETISATIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
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
        self.d_state, self.discretisation = d_state, discretisation
        pairs = d_state // 2
        steps = torch.linspace(math.log(dt_min), math.log(dt_max), d_model)
        self.log_step = nn.Parameter(steps.repeat(directions, 1))
        self.log_decay = nn.Parameter(torch.full((directions, d_model, pairs), math.log(0.5)))
        self.frequency = nn.Parameter((math.pi * torch.arange(pairs)).repeat(directions, d_model, 1))
        self.output = nn.Parameter(torch.randn(directions, d_model, pairs, 2) * math.sqrt(0.5))
        self.skip = nn.Parameter(torch.ones(d_model))

    def terms(self, dtype: torch.dtype | None = None) -> Terms:
        """The system after discretisation (Eq. 2 or 3), in the parameters' precision or another."""
        step = self.log_step.to(dtype).exp().unsqueeze(-1)
        A = torch.complex(-self.log_decay.to(dtype).exp(), self.frequency.to(dtype))
        rate = step * A
        output = torch.view_as_complex(self.output.to(dtype))
        return Terms(rate, output * DISCRETISATIONS[self.discretisation](A, rate, step))

    def kernel(self, length: int, dtype: torch.dtype | None = None) -> Tensor:
        """The convolution kernels K̄ of Eq. 5, up to lag `length - 1`.

        Args:
            length: L.
            dtype: precision to compute in, if not the parameters': the phase of a state that decays slowly grows to
                thousands of radians, of which float32 keeps few digits.

        Returns:
            `(directions, D, length)`, real, in that precision; differentiable.
        """
        kernel = _Kernel.apply(*self.terms(dtype), length)  # type: ignore[no-untyped-call]
        return cast(Tensor, kernel)

    def kernel_reference(self, length: int) -> Tensor:
        """The same as `kernel`, straight from Eq. 2, 3 and 5 in complex numbers: slow and obvious."""
        A, dt, C = torch.complex(-self.log_decay.exp(), self.frequency), self.log_step.exp(), self.output
        A_bar = torch.exp(dt.unsqueeze(-1) * A)
        B_bar = (A_bar - 1) / A if self.discretisation == "zoh" else dt.unsqueeze(-1)
        gain = torch.view_as_complex(C) * B_bar
        return torch.stack([2 * (gain * A_bar**lag).real.sum(-1) for lag in range(length)], dim=-1)
