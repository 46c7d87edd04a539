"""How the vectors of a text's tokens become one row: a small dict of name → function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Pooling = Callable[[Sequence[Tensor], Tensor], Tensor]
"""From hidden states and mask to (batch, pooled).

The states are the embeddings and then one (batch, tokens, width) a layer; the mask is (batch, tokens), bool.
"""


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


def mean(layers: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Mean over the tokens of the last layer."""
    return _mean(layers[-1], mask)


def cls(layers: Sequence[Tensor], mask: Tensor) -> Tensor:
    """The first token of the last layer."""
    return layers[-1][:, 0]


def maximum(layers: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Largest value over the tokens of the last layer, number by number."""
    return layers[-1].masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(dim=1)


def layer_depths(count: int) -> tuple[int, ...]:
    """The layers (from 1) that `layers` joins, of an encoder with `count`: at 1/2, at 2/3 and the last."""
    return tuple(max(1, round(count * share)) for share in (1 / 2, 2 / 3, 1))


def joined_layers(layers: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Means over the tokens of the layers that `layer_depths` names, side by side."""
    return torch.cat([_mean(layers[depth], mask) for depth in layer_depths(len(layers) - 1)], dim=1)


def all_layers(layers: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Means over the tokens of the embeddings and of every layer, side by side."""
    return torch.cat([_mean(states, mask) for states in layers], dim=1)


POOLINGS: dict[str, Pooling] = {
    "mean": mean,
    "cls": cls,
    "max": maximum,
    "layers": joined_layers,
    "all": all_layers,
}
