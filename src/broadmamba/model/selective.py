"""A bidirectional data-dependent scan: the alternative reading of the paper's "data-dependent" SSM.

This is Mamba-2's scan (SSD: one scalar decay a head and step), in its chunked form of matrix products. It is
another model than Mamba-1's S6, which has a decay for every channel and state and no such form. Step Δ_t,
input map B_t and output map C_t depend on the utterance; with the first-order rule of Eq. 3, for each head
with channels x_t:

    h_t = exp(Δ_t a) h_{t-1} + Δ_t B_t x_tᵀ,   y_t = C_tᵀ h_t

One scan runs from each end, with parameters of its own, and both are added as in Eq. 11.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from broadmamba.errors import InputError

_CHUNK = 32


class ScanInputs(NamedTuple):
    """What a scan reads, G scans side by side (here the two directions) with H heads of P channels each.

    Attributes:
        values: Δ_t x_t, `(B, L, G, H, P)`.
        log_decay: Δ_t a, never positive, `(B, L, G, H)`.
        absorb: B_t, `(B, L, G, N)`.
        emit: C_t, `(B, L, G, N)`.
    """

    values: Tensor
    log_decay: Tensor
    absorb: Tensor
    emit: Tensor


def selective_scan(inputs: ScanInputs, chunk: int = _CHUNK) -> Tensor:
    """Run the scan in chunks: matrix products inside a chunk, a carried state from one to the next.

    Args:
        inputs: any length; it is filled up to whole chunks with steps that change nothing.
        chunk: places in a chunk.

    Returns:
        y, `(B, L, G, H, P)`.
    """
    length = inputs.values.shape[1]
    chunk = min(chunk, length)
    # (B, chunks, G, c, ...): what a chunk's products need is next to each other.
    values, log_decay, absorb, emit = (_chunks(tensor, chunk) for tensor in inputs)
    values, log_decay = (
        values.transpose(3, 4),
        log_decay.transpose(3, 4),
    )  # (B, chunks, G, H, c, P), (..., H, c)

    total = log_decay.cumsum(-1)
    between = total.unsqueeze(-1) - total.unsqueeze(-2)
    later = torch.ones(chunk, chunk, dtype=torch.bool, device=total.device).triu(1)
    weights = (emit @ absorb.transpose(-1, -2)).unsqueeze(3) * between.masked_fill(later, -math.inf).exp()
    y = weights @ values  # from inside the chunk

    to_end = (total[..., -1:] - total).exp().unsqueeze(-1)
    contributions = absorb.unsqueeze(3).transpose(-1, -2) @ (values * to_end)  # (B, chunks, G, H, N, P)
    decays = total[..., -1, None, None].exp()
    state = torch.zeros_like(contributions[:, 0])
    reaching = []
    for decay, contribution in zip(decays.unbind(1), contributions.unbind(1), strict=True):
        reaching.append(state)
        state = torch.addcmul(contribution, decay, state)
    y = y + (emit.unsqueeze(3) @ torch.stack(reaching, dim=1)) * total.exp().unsqueeze(-1)
    return y.transpose(3, 4).transpose(2, 3).flatten(1, 2)[:, :length]


def _chunks(tensor: Tensor, chunk: int) -> Tensor:
    """`(B, L, G, ...)` to `(B, chunks, G, c, ...)`, zeros at the end."""
    missing = -tensor.shape[1] % chunk
    if missing:
        tensor = torch.cat((tensor, tensor.new_zeros(tensor.shape[0], missing, *tensor.shape[2:])), dim=1)
    return tensor.reshape(tensor.shape[0], -1, chunk, *tensor.shape[2:]).transpose(2, 3)


def selective_reference(inputs: ScanInputs) -> Tensor:
    """The same as `selective_scan`, step by step."""
    batch, _, groups, heads, width = inputs.values.shape
    state = inputs.values.new_zeros(batch, groups, heads, inputs.absorb.shape[-1], width)
    rows = []
    for value, log_decay, absorb, emit in zip(*(tensor.unbind(1) for tensor in inputs), strict=True):
        state = log_decay.exp()[..., None, None] * state + torch.einsum("bgn,bghp->bghnp", absorb, value)
        rows.append(torch.einsum("bgn,bghnp->bghp", emit, state))
    return torch.stack(rows, dim=1)


class BiSelectiveSSM(nn.Module):
    """Two selective scans, one from each end, added as in Eq. 11, plus d x.

    Attributes:
        maps: from an utterance to B, C and Δ before its softplus, for both directions.
        log_rate: `(2, heads)`, log(-a).
        skip: `(D,)`, d.

    Args:
        d_model: channels D.
        d_state: states N of each channel.
        heads: into how many heads the channels are divided; each has its own decay and step.
        dt_min: smallest initial step Δ, for an utterance of zeros.
        dt_max: largest initial step; spaced evenly in log Δ over the heads.

    Raises:
        InputError: heads do not divide the channels, or steps are out of order.
    """

    def __init__(
        self, d_model: int, d_state: int, *, heads: int = 8, dt_min: float = 1e-3, dt_max: float = 1e-1
    ) -> None:
        super().__init__()
        if heads < 1 or d_model % heads:
            raise InputError(f"heads must divide the {d_model} channels evenly, found {heads} heads")
        if d_state < 1:
            raise InputError(f"d_state must be at least 1, found {d_state}")
        if not 0 < dt_min <= dt_max:
            raise InputError(f"expected 0 < dt_min <= dt_max, found dt_min={dt_min} and dt_max={dt_max}")
        self.heads, self.d_state = heads, d_state
        self.maps = nn.Linear(d_model, 2 * (2 * d_state + heads))
        self.log_rate = nn.Parameter(torch.linspace(1, 16, heads).log().repeat(2, 1))
        self.skip = nn.Parameter(torch.ones(d_model))
        steps = torch.linspace(math.log(dt_min), math.log(dt_max), heads).exp()
        with torch.no_grad():
            bias = self.maps.bias.zero_().view(2, -1)
            bias[:, 2 * d_state :] = steps.expm1().log()  # the inverse of softplus

    def scan_inputs(self, x: Tensor, mask: Tensor | None = None) -> ScanInputs:
        """Everything the two scans read, with the second direction reversed in time.

        Args:
            x: `(B, L, D)`, zero at padding.
            mask: `(B, L)`; where it is false, Δ is zero: the state passes unchanged.
        """
        maps = self.maps(x).view(*x.shape[:2], 2, -1)
        absorb, emit, step = torch.split(maps, [self.d_state, self.d_state, self.heads], dim=-1)
        step = nn.functional.softplus(step)
        if mask is not None:
            step = step * mask[..., None, None]
        values = step.unsqueeze(-1) * x.reshape(*x.shape[:2], 1, self.heads, -1)
        return ScanInputs(*map(_reverse_second, (values, -step * self.log_rate.exp(), absorb, emit)))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Scan in both directions.

        Args:
            x: `(B, L, D)`.
            mask: `(B, L)`, true at real utterances; needed where there is padding, which then has no effect.

        Returns:
            `(B, L, D)`; places of padding hold no meaning.
        """
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.skip.dtype)
            if mask is not None:
                x = x.masked_fill(~mask.unsqueeze(-1), 0.0)
            y = _reverse_second(selective_scan(self.scan_inputs(x, mask))).sum(2)
            return y.flatten(2) + self.skip * x


def _reverse_second(tensor: Tensor) -> Tensor:
    """`(B, L, 2, ...)` with the second direction reversed along L."""
    first, second = tensor.unbind(2)
    return torch.stack((first, second.flip(1)), dim=2)
