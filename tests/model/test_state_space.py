from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.signal import cont2discrete
from torch.autograd import gradcheck

from broadmamba.errors import InputError
from broadmamba.model.state_space import DiagonalSSM, Terms, powers


def make(d_model: int = 3, d_state: int = 6, dtype: torch.dtype = torch.float64, **settings: object) -> DiagonalSSM:
    torch.manual_seed(0)
    ssm = DiagonalSSM(d_model, d_state, **settings).to(dtype)  # type: ignore[arg-type]
    with torch.no_grad():  # away from the regular initial values
        for parameter in ssm.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return ssm


def scipy_kernel(ssm: DiagonalSSM, direction: int, channel: int, length: int) -> np.ndarray:
    """Markov parameters of the full real system (2 x 2 blocks for conjugate pairs), by scipy."""
    decay = -ssm.log_decay[direction, channel].exp().detach().numpy()
    frequency = ssm.frequency[direction, channel].detach().numpy()
    step = ssm.log_step[direction, channel].exp().item()
    c = ssm.output[direction, channel].detach().numpy()
    n = 2 * len(decay)
    A, B, C = np.zeros((n, n)), np.zeros((n, 1)), np.zeros((1, n))
    for p in range(len(decay)):
        i = slice(2 * p, 2 * p + 2)
        A[i, i] = [[decay[p], -frequency[p]], [frequency[p], decay[p]]]
        B[2 * p] = 1
        C[0, i] = 2 * c[p, 0], -2 * c[p, 1]  # 2 Re(c h)
    if ssm.discretisation == "zoh":
        A_bar, B_bar, *_ = cont2discrete((A, B, C, np.zeros((1, 1))), step, method="zoh")
    else:
        A_bar, B_bar = expm(step * A), step * B
    return np.array([(C @ np.linalg.matrix_power(A_bar, lag) @ B_bar).item() for lag in range(length)])


@pytest.mark.parametrize("discretisation", ["zoh", "euler"])
def test_kernel_is_that_of_the_real_system_discretised_by_scipy(discretisation: str) -> None:
    ssm = make(discretisation=discretisation)
    kernel = ssm.kernel(40).detach().numpy()
    for direction in range(2):
        for channel in range(3):
            expected = scipy_kernel(ssm, direction, channel, 40)
            np.testing.assert_allclose(kernel[direction, channel], expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(length=st.integers(1, 300), pairs=st.integers(1, 5), seed=st.integers(0, 99))
def test_two_level_kernel_equals_the_reference(length: int, pairs: int, seed: int) -> None:
    torch.manual_seed(seed)
    for discretisation in ("zoh", "euler"):
        ssm = DiagonalSSM(2, 2 * pairs, discretisation=discretisation, dt_max=1.0).double()
        assert ssm.kernel(length).shape == (2, 2, length)
        torch.testing.assert_close(ssm.kernel(length), ssm.kernel_reference(length), rtol=1e-10, atol=1e-12)


def test_kernel_in_float32() -> None:
    ssm = make(16, 64, torch.float32)
    exact = make(16, 64, torch.float32).double().kernel_reference(1000)
    assert (ssm.kernel(1000) - exact).abs().max() < 1e-4 * exact.abs().max()


def test_a_short_kernel_is_the_start_of_a_long_one() -> None:
    ssm = make()
    torch.testing.assert_close(ssm.kernel(37), ssm.kernel(500)[..., :37], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("discretisation", ["zoh", "euler"])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_kernel_gradient(length: int, discretisation: str) -> None:
    ssm = make(2, 4, discretisation=discretisation)
    names, values = zip(*((n, p.detach().requires_grad_()) for n, p in ssm.named_parameters()), strict=True)

    def kernel(*values: torch.Tensor) -> torch.Tensor:
        for name, value in zip(names, values, strict=True):
            delattr(ssm, name)
            setattr(ssm, name, value)
        return ssm.kernel(length)

    assert gradcheck(kernel, values)


def test_gradient_of_a_long_kernel_equals_the_reference() -> None:
    ssm = make()
    weights = torch.randn(2, 3, 150, dtype=torch.float64)
    parameters = [p for name, p in ssm.named_parameters() if name != "skip"]
    fast = torch.autograd.grad((ssm.kernel(150) * weights).sum(), parameters)
    slow = torch.autograd.grad((ssm.kernel_reference(150) * weights).sum(), parameters)
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_slowly_decaying_states_keep_their_length() -> None:
    ssm = make(2, 4)
    with torch.no_grad():
        ssm.log_decay.fill_(-12.0)
    length = 5000
    rate, gain = ssm.terms()
    lags = torch.arange(length, dtype=torch.float64)
    expected = 2 * (gain.unsqueeze(-1) * torch.exp(rate.unsqueeze(-1) * lags)).real.sum(-2)
    assert expected[..., -100:].abs().max() > 0.5 * expected.abs().max()
    torch.testing.assert_close(ssm.kernel(length), expected, rtol=1e-8, atol=1e-10)


def test_powers_are_never_denormal() -> None:
    rate = torch.complex(torch.tensor([-0.5, -30.0, -2000.0]), torch.zeros(3))
    table = powers(rate, torch.arange(0, 400, 3)).real
    assert bool(((table == 0) | (table > 1e-18)).all())
    assert table[0].tolist() == [1, 1, 1]


def test_every_state_is_stable_and_the_kernel_stays_finite() -> None:
    ssm = make(4, 8, torch.float32)
    with torch.no_grad():
        ssm.log_decay.uniform_(-20, 5)
    terms: Terms = ssm.terms()
    assert bool((terms.rate.real < 0).all())
    assert bool(ssm.kernel(20_000).isfinite().all())


def test_bad_settings_are_named() -> None:
    with pytest.raises(InputError, match=r"unknown discretisation 'eulr'; known are zoh, euler.*euler"):
        DiagonalSSM(4, 4, discretisation="eulr")
    with pytest.raises(InputError, match=r"d_state.*even.*5"):
        DiagonalSSM(4, 5)
    with pytest.raises(InputError, match="dt_min"):
        DiagonalSSM(4, 4, dt_min=1.0, dt_max=0.1)
