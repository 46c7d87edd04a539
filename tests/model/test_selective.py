from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from broadmamba.errors import InputError
from broadmamba.model.selective import BiSelectiveSSM, ScanInputs, selective_reference, selective_scan
from broadmamba.model.sequence import SEQUENCE_MODELS


def make(d_model: int = 6, d_state: int = 4, heads: int = 3) -> BiSelectiveSSM:
    torch.manual_seed(0)
    return BiSelectiveSSM(d_model, d_state, heads=heads, dt_max=1.0).double()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 150), st.integers(1, 40), st.integers(0, 99))
def test_chunked_scan_equals_the_loop(length: int, chunk: int, seed: int) -> None:
    torch.manual_seed(seed)
    inputs = make().scan_inputs(torch.randn(2, length, 6, dtype=torch.float64))
    expected = selective_reference(inputs)
    torch.testing.assert_close(selective_scan(inputs, chunk), expected, rtol=1e-10, atol=1e-10)
    narrow = selective_scan(ScanInputs(*(tensor.float() for tensor in inputs)), chunk)
    torch.testing.assert_close(narrow, expected.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [1, 2, 3, 33, 110])
def test_layer_is_two_loops_and_a_skip(length: int) -> None:
    """Written out again from the equations, one direction, head and channel at a time."""
    model, x = make(), torch.randn(1, length, 6, dtype=torch.float64)
    expected = model.skip * x
    for direction in range(2):
        order = range(length) if direction == 0 else reversed(range(length))
        states = torch.zeros(6, 4, dtype=torch.float64)
        for t in order:
            row = model.maps(x[0, t]).view(2, -1)[direction]
            absorb, emit, step = row[:4], row[4:8], torch.nn.functional.softplus(row[8:])
            for channel in range(6):
                head = channel // 2
                decay = torch.exp(-step[head] * model.log_rate[direction, head].exp())
                states[channel] = decay * states[channel].clone() + step[head] * absorb * x[0, t, channel]
                expected[0, t, channel] = expected[0, t, channel] + emit @ states[channel]
    torch.testing.assert_close(model(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [1, 7, 40])
def test_gradients_equal_those_of_the_loop(length: int) -> None:
    model = make()
    x = torch.randn(2, length, 6, dtype=torch.float64)
    weights = torch.randn_like(model.scan_inputs(x).values)
    leaves = [p for name, p in model.named_parameters() if name != "skip"]
    fast, slow = (
        torch.autograd.grad((scan(model.scan_inputs(x)) * weights).sum(), leaves)
        for scan in (selective_scan, selective_reference)
    )
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_gradcheck_of_the_layer() -> None:
    model, x = make(2, 2, 1), torch.randn(1, 5, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(model, (x,))


def test_padding_is_not_read() -> None:
    model, mask = make(), torch.ones(2, 50, dtype=torch.bool)
    mask[0, 21:] = False
    x = torch.randn(2, 50, 6, dtype=torch.float64)
    x[0, 21:] = torch.nan
    y = model(x, mask)
    torch.testing.assert_close(y[:1, :21], model(x[:1, :21]), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(y[1:], model(x[1:]), rtol=1e-10, atol=1e-10)


def test_gradients_reach_every_parameter_and_stay_finite_with_padding() -> None:
    model, mask = make(), torch.ones(2, 50, dtype=torch.bool)
    mask[0, 21:] = False
    model(torch.randn(2, 50, 6, dtype=torch.float64), mask)[mask].square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool((parameter.grad != 0).any()), name


def test_it_depends_on_the_data() -> None:
    model, x = make(), torch.randn(1, 20, 6, dtype=torch.float64)
    assert not torch.allclose(model(2 * x), 2 * model(x))


def test_a_long_forgetting_input_does_not_overflow() -> None:
    model = BiSelectiveSSM(8, 4, heads=2)
    assert bool(model(100 * torch.randn(1, 500, 8)).isfinite().all())


def test_autocast_keeps_float32() -> None:
    model, x = BiSelectiveSSM(8, 4, heads=2), torch.randn(1, 40, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(x)
    torch.testing.assert_close(y, model(x), rtol=0, atol=0)


def test_bad_settings_are_named() -> None:
    with pytest.raises(InputError, match="divide the 6 channels evenly, found 4"):
        BiSelectiveSSM(6, 4, heads=4)
    with pytest.raises(InputError, match="d_state"):
        BiSelectiveSSM(6, 0, heads=2)
    with pytest.raises(InputError, match="dt_min"):
        BiSelectiveSSM(6, 4, heads=2, dt_min=0.0)


@pytest.mark.parametrize("name", SEQUENCE_MODELS)
def test_sequence_models_are_called_alike(name: str) -> None:
    model = SEQUENCE_MODELS[name](16, 4)
    x, mask = torch.randn(2, 9, 16), torch.ones(2, 9, dtype=torch.bool)
    assert model(x, mask).shape == model(x).shape == x.shape
