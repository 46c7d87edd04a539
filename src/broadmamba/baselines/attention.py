"""The transformer over the utterances of padded conversations that several of the compared systems are built of."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from broadmamba.baselines.baseline import masked_softmax


def positions(like: Tensor) -> Tensor:
    """Sinusoidal positions (Vaswani et al. 2017) for `(B, L, H)`: `(L, H)`, of the same type.

    PE(i, 2c) = sin(i / 10000^(2c/H)), PE(i, 2c+1) = cos(i / 10000^(2c/H)).
    """
    length, width = like.shape[-2:]
    channel = torch.arange(width, device=like.device, dtype=like.dtype)
    place = torch.arange(length, device=like.device, dtype=like.dtype)
    angle = place[:, None] * torch.exp(-math.log(10000.0) / width * (channel - channel % 2))
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())


class Attention(nn.Module):
    """Multi-head attention: head_k = softmax(Q_k·K_kᵀ/√d)·V_k, and W_o over all heads, with d = H/heads.

    Args:
        hidden: H.
        heads: how many.
        dropout: of the shares of attention.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden, bias=False)  # softmax takes away what all keys share
        self.value = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, context: Tensor, readable: Tensor) -> Tensor:
        """Every utterance of `x` reads those of `context`.

        Args:
            x: `(B, L, H)`.
            context: `(B, L, H)`.
            readable: `(B, L)` bool, which of `context` may be read; with none of them, heads are zero.
        """
        q, k, v = self._split(self.query(x)), self._split(self.key(context)), self._split(self.value(context))
        shares = masked_softmax(q @ k.mT / math.sqrt(q.shape[-1]), readable[:, None, None, :])
        out: Tensor = self.out((self.dropout(shares) @ v).transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        """`(B, L, H)` → `(B, heads, L, d)`."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Transformer(nn.Module):
    """One layer of a transformer's encoder: a = LN(x + Attention(x, y, y)), LN(a + W_2·ReLU(W_1·a)).

    With y = x it is the single-modal transformer, with another modality's y the cross-modal one.

    Args:
        hidden: H; the inner layer has 2H.
        heads: of attention.
        dropout: of attention, and of both branches.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(hidden, heads, dropout)
        self.inner = nn.Sequential(
            nn.Linear(hidden, 2 * hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2 * hidden, hidden)
        )
        self.norms = nn.ModuleList([nn.LayerNorm(hidden), nn.LayerNorm(hidden)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, context: Tensor, readable: Tensor) -> Tensor:
        """See `Attention`."""
        a = self.norms[0](x + self.dropout(self.attention(x, context, readable)))
        out: Tensor = self.norms[1](a + self.dropout(self.inner(a)))
        return out
