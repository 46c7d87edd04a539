"""Graphs over the utterances of padded conversations, as dense tensors: who hears whom, and in which relation."""

from __future__ import annotations

import torch
from torch import Tensor

from broadmamba.baselines.baseline import lags, pairs, same_speaker

RELATIONS = ("own past", "own future", "others' past", "others' future")
"""What utterance j can be to utterance i; an utterance is part of its own past."""


def window(mask: Tensor, past: int, future: int) -> Tensor:
    """`(B, L)` → `(B, L, L)` bool: whether j is i itself or one of so many utterances before or after it."""
    lag = lags(mask.shape[1], mask.device)
    return pairs(mask) & (lag >= -past) & (lag <= future)


def relations(speakers: Tensor, edges: Tensor) -> Tensor:
    """The edges of each of `RELATIONS`, `(B, 4, L, L)` bool; each edge is in one of them.

    Args:
        speakers: `(B, L)`.
        edges: `(B, L, L)` bool.
    """
    own, later = same_speaker(speakers), lags(speakers.shape[1], speakers.device) > 0
    return torch.stack([own & ~later, own & later, ~own & ~later, ~own & later], dim=1) & edges[:, None]


def mean_weights(edges: Tensor, dtype: torch.dtype) -> Tensor:
    """`(…, L, L)` bool → 1/|N_i| on the edges of utterance i, 0 elsewhere."""
    return edges.to(dtype) / edges.sum(-1, keepdim=True).clamp(min=1)


def gather_relations(weights: Tensor, values: Tensor) -> Tensor:
    """Σ_j weights_rij·values_jr, by relation: `(B, R, L, L)` and `(B, L, R, H)` → `(B, L, R, H)`."""
    return torch.einsum("brij,bjrh->birh", weights, values)
