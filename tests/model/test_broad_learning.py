"""Nodes against many small maps (Eq. 12–13), and ridge regression against trusted solvers (Eq. 14–15)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch.nn import functional as F

from broadmamba.errors import InputError
from broadmamba.model.broad_learning import BroadNodes, solve_ridge


def nodes(*, random: bool = False, n: int = 10, m: int = 30) -> BroadNodes:
    torch.manual_seed(0)
    return BroadNodes(7, n=n, m=m, d_z=4, d_h=3, random=random).double()


@pytest.mark.parametrize("random", [False, True])
def test_wide_maps_are_ten_and_thirty_separate_ones(random: bool) -> None:
    broad = nodes(random=random)
    x = torch.randn(5, 7, dtype=torch.float64)
    feature = broad.feature
    Z = [
        x @ W.T + b for W, b in zip(feature.weight.split(4), feature.bias.split(4), strict=True)
    ]  # Eq. 12: Z_i = x W_ei + β_ei
    Zn = torch.cat(Z, dim=1)
    enhancement = broad.enhancement
    H = [
        F.relu(Zn @ W.T + b) for W, b in zip(enhancement.weight.split(3), enhancement.bias.split(3), strict=True)
    ]  # Eq. 13: H_j = ReLU(Zⁿ W_hj + β_hj), which reads all of Zⁿ
    assert (len(Z), len(H)) == (10, 30)
    A = broad(x)
    assert A.shape == (5, broad.width) == (5, 10 * 4 + 30 * 3)
    torch.testing.assert_close(A, torch.cat([*Z, *H], dim=1), rtol=1e-12, atol=1e-12)


def test_random_nodes_are_never_trained() -> None:
    broad = nodes(random=True)
    before = {name: p.clone() for name, p in broad.named_parameters()}
    x = torch.randn(20, 7, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.AdamW([*broad.parameters(), x], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        broad(x).square().sum().backward()
        optimiser.step()
    assert x.grad is not None and x.grad.abs().sum() > 0  # what is below them learns
    for name, p in broad.named_parameters():
        assert torch.equal(p, before[name])


def test_random_nodes_are_of_order_one() -> None:
    torch.manual_seed(0)
    broad = BroadNodes(64, n=10, m=30, d_z=12, d_h=8, random=True)
    Z, H = broad(torch.randn(500, 64)).split([120, 240], dim=1)
    assert 0.5 < Z.std() < 2
    assert 0.5 < H.std() < 3


def problem(T: int, K: int, C: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(T, K, dtype=torch.float64, generator=generator)
    return A, torch.randn(T, C, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (1, 5), (9, 9)])
@pytest.mark.parametrize("ridge", [1e-6, 1e-2, 30.0])
def test_ridge_is_least_squares_of_the_augmented_system(shape: tuple[int, int], ridge: float) -> None:
    A, Y = problem(*shape)
    stacked = np.vstack([A.numpy(), np.sqrt(ridge) * np.eye(shape[1])])
    targets = np.vstack([Y.numpy(), np.zeros((shape[1], 3))])
    expected, *_ = np.linalg.lstsq(stacked, targets, rcond=None)
    np.testing.assert_allclose(solve_ridge(A, Y, ridge).numpy(), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
def test_ridge_is_that_of_scikit_learn(shape: tuple[int, int]) -> None:
    A, Y = problem(*shape)
    model = Ridge(alpha=0.3, fit_intercept=False, solver="svd").fit(A.numpy(), Y.numpy())
    np.testing.assert_allclose(solve_ridge(A, Y, 0.3).numpy(), model.coef_.T, rtol=1e-9, atol=1e-11)


def exact_ridge(A: torch.Tensor, Y: torch.Tensor, ridge: float) -> np.ndarray:
    """(AᵀA + λI)⁻¹AᵀY (Eq. 15) by Gauss-Jordan elimination in fractions, without any rounding."""
    rows = [[Fraction(v) for v in row] for row in A.tolist()]
    targets = [[Fraction(v) for v in row] for row in Y.tolist()]
    K, C = A.shape[1], Y.shape[1]
    system = [
        [sum(r[i] * r[j] for r in rows) + (Fraction(ridge) if i == j else 0) for j in range(K)]
        + [sum(r[i] * t[c] for r, t in zip(rows, targets, strict=True)) for c in range(C)]
        for i in range(K)
    ]
    for i in range(K):
        system[i] = [v / system[i][i] for v in system[i]]
        for k in range(K):
            if k != i:
                system[k] = [a - system[k][i] * b for a, b in zip(system[k], system[i], strict=True)]
    return np.array([[float(v) for v in row[K:]] for row in system])


@pytest.mark.parametrize("ridge", [1e-10, 1e-8, 1e-6, 1.0])
def test_nearly_dependent_columns_cost_no_more_accuracy_than_they_must(ridge: float) -> None:
    A, Y = problem(8, 4)
    A[:, 3] = A[:, 0] + 1e-7 * A[:, 1]
    expected = exact_ridge(A, Y, ridge)

    def error(W: torch.Tensor) -> float:
        return float(np.abs(W.numpy() - expected).max() / np.abs(expected).max())

    found = error(solve_ridge(A, Y, ridge))
    assert found < 1e-15 * max(1 / ridge, 10)  # the best that a change of A in its last digit allows
    if ridge < 1:
        assert found < error(torch.linalg.solve(A.T @ A + ridge * torch.eye(4), A.T @ Y)) / 5


@settings(max_examples=60, deadline=None)
@given(
    T=st.integers(1, 30),
    K=st.integers(1, 30),
    ridge=st.floats(1e-6, 1e3),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    seed=st.integers(0, 1000),
)
def test_the_gradient_of_eq_14_vanishes_at_the_solution(T: int, K: int, ridge: float, scale: float, seed: int) -> None:
    A, Y = problem(T, K, seed=seed)
    A = scale * A
    A[:, -1] = A[:, 0]
    W = solve_ridge(A, Y, ridge)
    gradient = A.T @ (A @ W - Y) + ridge * W
    size = torch.sqrt(A.square().sum() + ridge * K)  # of the augmented system
    assert gradient.norm() <= 1e-13 * size * (size * W.norm() + Y.norm())


def test_no_other_solution_has_a_smaller_objective() -> None:
    A, Y = problem(20, 6)
    W = solve_ridge(A, Y, 0.5)

    def objective(W: torch.Tensor) -> float:
        return float((A @ W - Y).square().sum() + 0.5 * W.square().sum())

    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        assert objective(W) < objective(W + 1e-3 * torch.randn(W.shape, generator=generator, dtype=torch.float64))


def test_without_ridge_it_is_plain_least_squares() -> None:
    A, Y = problem(20, 6)
    torch.testing.assert_close(solve_ridge(A, Y, 0.0), torch.linalg.lstsq(A, Y).solution, rtol=1e-10, atol=1e-12)


def test_float32_is_solved_in_float64() -> None:
    A, Y = problem(30, 8)
    A[:, 7] = A[:, 0] + 1e-3 * A[:, 1]
    A, Y = A.float(), Y.float()
    W = solve_ridge(A, Y, 1e-6)
    assert W.dtype == torch.float32
    torch.testing.assert_close(W, solve_ridge(A.double(), Y.double(), 1e-6).float())


@pytest.mark.parametrize("shape", [(5, 8), (30, 8), (0, 8)])
def test_without_ridge_dependent_columns_are_refused(shape: tuple[int, int]) -> None:
    A, Y = problem(*shape)
    if len(A) > 8:
        A[:, 5] = A[:, 1] - 2 * A[:, 2]
    with pytest.raises(InputError, match=r"rank \d but 8 columns.*use λ > 0"):
        solve_ridge(A, Y, 0.0)
    assert solve_ridge(A, Y, 1e-3).isfinite().all()


@pytest.mark.parametrize("ridge", [-1.0, float("nan"), float("inf")])
def test_a_ridge_that_is_no_weight_is_refused(ridge: float) -> None:
    with pytest.raises(InputError, match="finite λ of at least 0"):
        solve_ridge(*problem(5, 2), ridge)


def test_rows_that_do_not_match_are_refused() -> None:
    A, Y = problem(5, 2)
    with pytest.raises(InputError, match=r"equal T, found \(5, 2\) and \(4, 3\)"):
        solve_ridge(A, Y[:4], 1.0)
    with pytest.raises(InputError, match="equal T"):
        solve_ridge(A, Y[:, 0], 1.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    A, Y = problem(5, 2)
    A[1, 1] = value
    with pytest.raises(InputError, match="NaN or infinity"):
        solve_ridge(A, Y, 1.0)
