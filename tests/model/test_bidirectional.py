from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from broadmamba.model import bidirectional
from broadmamba.model.bidirectional import (
    BiSSM,
    bissm_reference,
    cached_length,
    choose_path,
    recurrence_reference,
)
from broadmamba.model.convolution import (
    fast_size,
    fft_convolution,
    toeplitz_apply,
    toeplitz_matrix,
    two_sided,
)
from broadmamba.model.recurrence import ChunkMatrices, chunk_matrices, chunked_recurrence

PATHS: dict[str, Callable[[Tensor, BiSSM], Tensor]] = {
    "toeplitz": lambda x, model: toeplitz_apply(x, toeplitz_matrix(kernel_of(model, x.shape[1]))),
    "fft": lambda x, model: fft_convolution(x, kernel_of(model, x.shape[1])),
    "chunked": lambda x, model: chunked_recurrence(x, chunk_matrices(model.ssm)),
    "small chunks": lambda x, model: chunked_recurrence(x, chunk_matrices(model.ssm, 5)),
}
LENGTHS = [1, 2, 3, 33, 110, 1000]


def kernel_of(model: BiSSM, length: int) -> Tensor:
    return two_sided(model.ssm.kernel(length), model.ssm.skip)


def make(d_model: int = 4, d_state: int = 6, dtype: torch.dtype = torch.float64, **settings: object) -> BiSSM:
    torch.manual_seed(0)
    model = BiSSM(d_model, d_state, **settings).to(dtype)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def force(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(bidirectional, "choose_path", lambda *args, **kwargs: path)


@pytest.mark.parametrize("length", LENGTHS[:-1])
def test_two_recurrences_equal_the_double_sum(length: int) -> None:
    model, x = make(), torch.randn(2, length, 4, dtype=torch.float64)
    kernel_f, kernel_b = model.ssm.kernel_reference(length)
    expected = bissm_reference(x, kernel_f, kernel_b, model.ssm.skip)
    torch.testing.assert_close(recurrence_reference(x, model.ssm), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("discretisation", ["zoh", "euler"])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("path", PATHS)
def test_every_path_computes_equation_11(path: str, length: int, discretisation: str) -> None:
    model = make(discretisation=discretisation)
    x = torch.randn(2, length, 4, dtype=torch.float64)
    expected = recurrence_reference(x, model.ssm)
    torch.testing.assert_close(PATHS[path](x, model), expected, rtol=1e-10, atol=1e-10)
    narrow = PATHS[path](x.float(), copy.deepcopy(model).float())
    assert (narrow - expected).abs().max() < 1e-4 * expected.abs().max().clamp(min=1.0)


@pytest.mark.parametrize("length", [1, 3, 33, 110])
@pytest.mark.parametrize("path", PATHS)
def test_every_path_has_the_gradient_of_the_recurrences(path: str, length: int) -> None:
    model = make()
    x = torch.randn(2, length, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, length, 4, dtype=torch.float64)
    leaves = [x, *model.parameters()]
    slow = torch.autograd.grad((recurrence_reference(x, model.ssm) * weights).sum(), leaves)
    fast = torch.autograd.grad((PATHS[path](x, model) * weights).sum(), leaves)
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("path", ["fft", "chunked"])
def test_paths_agree_on_a_long_sequence_with_slow_decay(path: str) -> None:
    model = make(3, 4)
    with torch.no_grad():
        model.ssm.log_decay.fill_(-9.0)  # remembers for about a million steps
    x = torch.randn(1, 3000, 3, dtype=torch.float64, requires_grad=True)
    leaves = [x, *model.parameters()]
    expected = PATHS["toeplitz"](x, model)
    y = PATHS[path](x, model)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    weights = torch.randn_like(x)
    for ours, theirs in zip(
        torch.autograd.grad((y * weights).sum(), leaves),
        torch.autograd.grad((expected * weights).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 6])
def test_gradient_of_the_convolutions(length: int) -> None:
    x = torch.randn(2, length, 3, dtype=torch.float64, requires_grad=True)
    kernels = torch.randn(2, 3, length, dtype=torch.float64, requires_grad=True)
    skip = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, k, d: fft_convolution(x, two_sided(k, d)), (x, kernels, skip))
    assert gradcheck(lambda x, k, d: toeplitz_apply(x, toeplitz_matrix(two_sided(k, d))), (x, kernels, skip))


@pytest.mark.parametrize("length", [1, 4, 11])
def test_gradient_of_the_chunked_recurrence(length: int) -> None:
    x = torch.randn(2, length, 2, dtype=torch.float64, requires_grad=True)
    matrices = [m.detach().requires_grad_() for m in chunk_matrices(make(2, 4).ssm, 4)]
    assert gradcheck(lambda x, *m: chunked_recurrence(x, ChunkMatrices(*m)), (x, *matrices))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 3), st.integers(1, 9), st.integers(0, 99))
def test_any_shape(length: int, batch: int, d_model: int, seed: int) -> None:
    torch.manual_seed(seed)
    model = BiSSM(d_model, 4, dt_max=1.0).double()
    x = torch.randn(batch, length, d_model, dtype=torch.float64)
    untouched, expected = x.clone(), PATHS["toeplitz"](x, model)
    with torch.no_grad():
        torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(PATHS["chunked"](x, model), expected, rtol=1e-9, atol=1e-10)
    turned = x.transpose(0, 1).contiguous().transpose(0, 1)  # same values, other strides
    torch.testing.assert_close(PATHS["fft"](turned, model), expected, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(PATHS["chunked"](turned, model), expected, rtol=1e-9, atol=1e-10)
    assert torch.equal(x, untouched)


@pytest.mark.parametrize("path", PATHS)
def test_tied_kernels_make_it_symmetric_in_time(path: str) -> None:
    model, x = make(), torch.randn(2, 50, 4, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.shape[0] == 2:
                parameter[1] = parameter[0]
    torch.testing.assert_close(PATHS[path](x.flip(1), model), PATHS[path](x, model).flip(1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("path", ["toeplitz", "fft", "chunked"])
@pytest.mark.parametrize("length", [5, 16, 100, 150])
def test_cached_inference(monkeypatch: pytest.MonkeyPatch, path: str, length: int) -> None:
    force(monkeypatch, path)
    model = make()
    for size in (length, length + 30, length):  # the second finds the cache filled for another length
        x = torch.randn(2, size, 4, dtype=torch.float64)
        with torch.no_grad():
            for _ in range(2):
                y = model(x)
        torch.testing.assert_close(y, recurrence_reference(x, model.ssm), rtol=1e-10, atol=1e-10)


def _step(model: BiSSM, optimizer: torch.optim.Optimizer) -> None:
    model(torch.randn(1, 20, 4)).square().sum().backward()
    optimizer.step()


CHANGES: dict[str, Callable[[BiSSM], object]] = {
    "sgd": lambda model: _step(model, torch.optim.SGD(model.parameters(), lr=0.1)),
    "fused adam": lambda model: _step(model, torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)),
    "load": lambda model: model.load_state_dict(make(dtype=torch.float32, discretisation="euler").state_dict()),
    "data": lambda model: [p.data.mul_(1.1) for p in model.parameters()],
    "no_grad": lambda model: torch.nn.init.normal_(model.ssm.output),
    "double": lambda model: model.double(),
}


@pytest.mark.parametrize("path", ["toeplitz", "fft", "chunked"])
@pytest.mark.parametrize("change", CHANGES)
def test_cache_follows_the_parameters(monkeypatch: pytest.MonkeyPatch, change: str, path: str) -> None:
    force(monkeypatch, path)
    model, x = BiSSM(4, 6), torch.randn(2, 30, 4)
    with torch.no_grad():
        before = model(x)
    CHANGES[change](model)
    with torch.no_grad():
        after = model(x)
        expected = recurrence_reference(x.to(after.dtype), model.ssm)
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-4)
    assert (change == "double") == torch.allclose(before, after.float(), atol=1e-6)


def test_cache_is_neither_saved_nor_copied() -> None:
    model, x = BiSSM(4, 6), torch.randn(1, 30, 4)
    with torch.inference_mode():
        expected = model(x)
    assert set(model.state_dict()) == {f"ssm.{name}" for name, _ in model.ssm.named_parameters()}
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with torch.no_grad():
            torch.testing.assert_close(twin(x), expected)
            twin.ssm.skip += 1
            torch.testing.assert_close(twin(x), expected + x)
            torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("path", ["toeplitz", "fft", "chunked"])
def test_cache_made_in_inference_mode_serves_outside_of_it(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    force(monkeypatch, path)
    model, x = BiSSM(4, 6).requires_grad_(False), torch.randn(1, 30, 4)
    with torch.inference_mode():
        expected = model(x)
    torch.testing.assert_close(model(x), expected)
    if path != "toeplitz":
        leaf = x.clone().requires_grad_()
        model(leaf).sum().backward()
        assert leaf.grad is not None


@pytest.mark.parametrize("learning", [False, True])
@pytest.mark.parametrize("length", [20, 150])
def test_output_does_not_depend_on_padding(length: int, learning: bool) -> None:
    model, x = make(), torch.randn(1, length, 4, dtype=torch.float64)
    padded = torch.full((2, 2 * length, 4), torch.nan, dtype=torch.float64)
    padded[0, :length], padded[1] = x, torch.randn(2 * length, 4)
    mask = torch.ones(2, 2 * length, dtype=torch.bool)
    mask[0, length:] = False
    with torch.set_grad_enabled(learning):
        torch.testing.assert_close(model(padded, mask)[:1, :length], model(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [20, 150, 2500])
def test_autocast_keeps_float32(length: int) -> None:
    model, x = BiSSM(4, 4), torch.randn(2, length, 4)
    leaves = list(model.parameters())
    expected = model(x)
    exact = torch.autograd.grad(expected.square().sum(), leaves)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(x)
        gradients = torch.autograd.grad(y.square().sum(), leaves)
        with torch.no_grad():
            cached = model(x)
    assert y.dtype == cached.dtype == torch.float32
    torch.testing.assert_close(y, expected, rtol=0, atol=0)
    torch.testing.assert_close(cached, expected, rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(gradients, exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_an_outlier_stays_local_in_the_chunked_form() -> None:
    model = BiSSM(4, 16, dt_min=0.1)
    x = torch.randn(1, 4000, 4)
    x[0, 0] = 1e4
    exact = PATHS["chunked"](x.double(), copy.deepcopy(model).double())
    assert (PATHS["chunked"](x, model) - exact)[0, 2000:].abs().max() < 1e-4


@given(st.integers(1, 20_000))
def test_fast_sizes(least: int) -> None:
    size = fast_size(least)
    assert least <= size <= max(4, 1.25 * least)
    assert size % 2 == 0
    for prime in (2, 3, 5):
        while size % prime == 0:
            size //= prime
    assert size == 1


def test_path_and_cached_length_by_length() -> None:
    assert [choose_path(n, 16, 16, learning=False) for n in (1, 128, 129, 3583, 3584)] == [
        "toeplitz",
        "toeplitz",
        "fft",
        "fft",
        "chunked",
    ]
    assert choose_path(64, 16, 64, learning=True) == "fft"
    assert choose_path(131_072, 1, 16, learning=True) == "chunked"
    assert all(n <= cached_length(n) <= max(16, n + 15, 1.25 * n + 1) for n in range(1, 3000))
    assert len({cached_length(n) for n in range(128, 257)}) <= 6
