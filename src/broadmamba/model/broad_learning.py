"""Sections 3.3 and 4.1: the broad learning system and its ridge regression (Eq. 6–8, 12–15).

Feature nodes Zⁿ are linear maps of what the state-space layer gives, enhancement nodes Hᵐ a ReLU of all of Zⁿ; both
together, A = [Zⁿ | Hᵐ], are the broad space that is read out linearly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.errors import InputError


class BroadNodes(nn.Module):
    """Feature and enhancement nodes, A = [Zⁿ | Hᵐ] (Eq. 12–13).

    The n groups share one wide linear map, and so do the m groups: the same numbers as n (m) small
    maps, in one product.

    Args:
        D: channels in.
        n: groups of feature nodes.
        m: groups of enhancement nodes.
        d_z: nodes in a feature group.
        d_h: nodes in an enhancement group.
        random: draw both maps once and never train them, as in the original broad learning system; otherwise they
            are learned.
    """

    def __init__(self, D: int, *, n: int, m: int, d_z: int, d_h: int, random: bool) -> None:
        super().__init__()
        self.width = n * d_z + m * d_h
        self.feature = nn.Linear(D, n * d_z)
        self.enhancement = nn.Linear(n * d_z, m * d_h)
        if random:
            # Uniform in ±1 as Chen & Liu draw them, scaled by the fan-in so that node values stay of order one.
            for layer in (self.feature, self.enhancement):
                nn.init.uniform_(layer.weight, -1, 1)
                nn.init.uniform_(layer.bias, -1, 1)
                with torch.no_grad():
                    layer.weight.mul_((3 / layer.in_features) ** 0.5)
                layer.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """`(T, D)` → A `(T, n·d_z + m·d_h)`."""
        Z = self.feature(x)
        H = F.relu(self.enhancement(Z))
        return torch.cat([Z, H], dim=-1)


def solve_ridge(A: Tensor, Y: Tensor, ridge: float) -> Tensor:
    """Ridge regression in closed form, W = (AᵀA + λI)⁻¹AᵀY (Eq. 15), the minimum of ‖AW − Y‖² + λ‖W‖² (Eq. 14).

    Computed in float64 through a QR decomposition of A stacked on √λ·I, which never forms AᵀA and so keeps the full
    accuracy where A is nearly rank-deficient.

    Args:
        A: `(T, K)` nodes, one row an utterance.
        Y: `(T, C)` targets.
        ridge: λ ≥ 0.

    Returns:
        W `(K, C)`, in the dtype of `A`.

    Raises:
        InputError: λ is negative or not finite, a value is not finite, the rows do not match, or λ = 0 while the
            columns of A are linearly dependent, so that no single solution exists.
    """
    if A.ndim != 2 or Y.ndim != 2 or len(A) != len(Y):
        raise InputError(
            f"ridge regression needs A (T, K) and Y (T, C) with equal T, found {tuple(A.shape)} and {tuple(Y.shape)}"
        )
    if not (0 <= ridge < float("inf")):
        raise InputError(f"ridge regression needs a finite λ of at least 0, found {ridge}")
    if not (A.isfinite().all() and Y.isfinite().all()):
        raise InputError("ridge regression needs finite values, found NaN or infinity in A or Y")
    exact, K = A.double(), A.shape[1]
    if ridge == 0:
        rank = int(torch.linalg.matrix_rank(exact)) if A.numel() else 0
        if rank < K:
            raise InputError(f"A has rank {rank} but {K} columns: with λ = 0 there is no single solution, use λ > 0")
    stacked = torch.cat([exact, ridge**0.5 * torch.eye(K, dtype=exact.dtype, device=exact.device)])
    targets = torch.cat([Y.double(), torch.zeros(K, Y.shape[1], dtype=exact.dtype, device=exact.device)])
    Q, R = torch.linalg.qr(stacked)
    W: Tensor = torch.linalg.solve_triangular(R, Q.mT @ targets, upper=True)
    return W.to(A.dtype)
