"""The bidirectional state space model, BiSSM (Eq. 11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from broadmamba.model.convolution import (
    fft_apply,
    fft_convolution,
    spectrum,
    toeplitz_apply,
    toeplitz_matrix,
    two_sided,
)
from broadmamba.model.recurrence import chunk_matrices, chunked_recurrence
from broadmamba.model.state_space import DiagonalSSM

_T = TypeVar("_T")


def choose_path(length: int, batch: int, d_state: int, *, learning: bool) -> str:
    """Which of the three ways of computing Eq. 11 is the fastest.

    Args:
        length: L, utterances of the longest conversation.
        batch: B, conversations.
        d_state: N, real states a channel.
        learning: whether gradients will be asked for, so that nothing can be cached.

    Returns:
        `toeplitz`, `fft` or `chunked`.
    """
    # Measured with D = 128 on one core. Learning, FFT and recurrence meet at L = 3000 (N = 16) and 9500
    # (N = 64), cached at 4000 and 8500; B hardly matters.
    if length >= 128 * (d_state + 12):
        return "chunked"
    # Cached, Toeplitz and FFT meet at L = 45 (B = 1), 60 (2), 95 (4), 140 (8) and 190 (16), where the matrix
    # becomes large. Learning, the matrix and its gradient cost more than FFTs at every length (10 against 6 ms
    # at B = 16, L = 64).
    if not learning and length <= min(128, 32 + 16 * batch):
        return "toeplitz"
    return "fft"


def cached_length(length: int) -> int:
    """The length that a cached kernel is made for: few values, at most a quarter more than needed."""
    step = 1 << max(4, (length - 1).bit_length() - 3)
    return -(-length // step) * step


class KernelCache:
    """What was last computed from some parameters, for as long as their values stay the same.

    Values are compared, not versions: a moving average that is swapped in through `.data` changes no version.
    It costs some microseconds. Copies and pickles of a cache are empty.
    """

    def __init__(self) -> None:
        self._entries: tuple[list[Tensor], dict[tuple[str, int], Any]] = ([], {})

    def get(self, key: tuple[str, int], parameters: Sequence[Tensor], make: Callable[[], _T]) -> _T:
        """The value kept under a key, made anew if the parameters are not what they were."""
        known, values = self._entries
        if not _same(known, parameters):
            values = {}
            self._entries = ([p.detach().clone() for p in parameters], values)
        if key not in values:
            if len(values) >= 16:  # lengths seen are many, lengths in use at one time few
                values.pop(next(iter(values)))
            values[key] = make()
        return cast(_T, values[key])

    def __deepcopy__(self, memo: dict[int, Any]) -> KernelCache:
        return KernelCache()

    def __reduce__(self) -> tuple[type[KernelCache], tuple[()]]:
        return KernelCache, ()


def _same(known: Sequence[Tensor], parameters: Sequence[Tensor]) -> bool:
    return len(known) == len(parameters) and all(
        a.device == b.device and a.dtype == b.dtype and torch.equal(a, b)
        for a, b in zip(known, parameters, strict=True)
    )


class BiSSM(nn.Module):
    """y_j = Σ_{l≤j} κ_f[j-l] x_l + Σ_{l≥j} κ_b[l-j] x_l + d x_j (Eq. 11), channel by channel.

    Lag 0 is in both sums. Computed in the parameters' precision, under autocast too.

    Args:
        d_model: channels D.
        d_state: real states N a channel and direction, even.
        discretisation: `zoh` (Eq. 2) or `euler` (Eq. 3).
        dt_min: smallest initial step Δ.
        dt_max: largest initial step Δ.

    Raises:
        InputError: an unknown discretisation, an odd d_state, or steps out of order.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int,
        *,
        discretisation: str = "zoh",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
    ) -> None:
        super().__init__()
        self.ssm = DiagonalSSM(d_model, d_state, discretisation=discretisation, dt_min=dt_min, dt_max=dt_max)
        self._cache = KernelCache()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply Eq. 11.

        Args:
            x: `(B, L, D)`. Padding must be zero, or the mask given: κ_b reads what comes after the end.
            mask: `(B, L)`, true at real utterances; x is set to zero elsewhere.

        Returns:
            `(B, L, D)`; places of padding hold no meaning.
        """
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.ssm.skip.dtype)
            if mask is not None:
                x = x.masked_fill(~mask.unsqueeze(-1), 0.0)
            learned = x.requires_grad or any(p.requires_grad for p in self.ssm.parameters())
            learning = torch.is_grad_enabled() and learned
            path = choose_path(x.shape[1], x.shape[0], self.ssm.d_state, learning=learning)
            return self._learn(x, path) if learning else self._infer(x, path)

    def _learn(self, x: Tensor, path: str) -> Tensor:
        if path == "chunked":
            return chunked_recurrence(x, chunk_matrices(self.ssm))
        return fft_convolution(x, self._two_sided(x.shape[1]))

    def _infer(self, x: Tensor, path: str) -> Tensor:
        length = x.shape[1]
        size = 0 if path == "chunked" else cached_length(length)

        def cached(make: Callable[[], _T]) -> _T:
            return self._cache.get((path, size), list(self.ssm.parameters()), make)

        if path == "chunked":
            return chunked_recurrence(x, cached(lambda: chunk_matrices(self.ssm, dtype=torch.float64)))
        if path == "fft":
            return fft_apply(x, cached(lambda: spectrum(self._exact(size))), size - 1)
        matrix = cached(lambda: toeplitz_matrix(self._exact(size)))
        return toeplitz_apply(x, matrix[:, :length, :length])  # the corner is a shorter sequence's matrix

    def _two_sided(self, length: int) -> Tensor:
        return two_sided(self.ssm.kernel(length), self.ssm.skip)

    def _exact(self, length: int) -> Tensor:
        """The same in double precision, rounded at the end: it is made once and used often."""
        skip = self.ssm.skip
        return two_sided(self.ssm.kernel(length, torch.float64), skip.double()).to(skip.dtype)


def bissm_reference(x: Tensor, kernel_f: Tensor, kernel_b: Tensor, d: Tensor) -> Tensor:
    """Eq. 11 as it stands: an explicit double sum.

    Args:
        x: `(B, L, D)`.
        kernel_f: κ_f `(D, L)`.
        kernel_b: κ_b `(D, L)`.
        d: `(D,)`.
    """
    length = x.shape[1]
    rows = []
    for j in range(length):
        y = d * x[:, j]
        for before in range(j + 1):
            y = y + kernel_f[:, j - before] * x[:, before]
        for after in range(j, length):
            y = y + kernel_b[:, after - j] * x[:, after]
        rows.append(y)
    return torch.stack(rows, dim=1)


def recurrence_reference(x: Tensor, ssm: DiagonalSSM) -> Tensor:
    """Eq. 11 as two recurrences of Eq. 4, one from each end, step by step.

    Args:
        x: `(B, L, D)`.
        ssm: with two directions.
    """
    rate, gain = ssm.terms()  # the gain C·B̄ is applied on the way out; on the way in it is 1
    A_bar = torch.exp(rate)
    steps = x.unbind(1)
    outputs = []
    for direction, inputs in enumerate((steps, steps[::-1])):
        state = torch.zeros(x.shape[0], *A_bar.shape[1:], dtype=A_bar.dtype, device=x.device)
        rows = []
        for value in inputs:
            state = A_bar[direction] * state + value.unsqueeze(-1)
            rows.append(2 * (gain[direction] * state).real.sum(-1))
        outputs.append(torch.stack(rows, dim=1))
    return outputs[0] + outputs[1].flip(1) + ssm.skip * x
