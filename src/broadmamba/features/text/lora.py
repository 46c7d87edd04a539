"""Low-rank adaptation (Hu et al., 2022): a frozen encoder learns through small additions to its matrices.

What is learnt takes a few megabytes instead of the encoder's hundreds, so that it can travel with a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.errors import InputError
from broadmamba.model.limits import LARGEST

SCALE = 2.0
"""What B·A is multiplied with."""


class LowRank(nn.Module):
    """A frozen linear layer W with a learnt addition: y = (W + `SCALE`·B·A)·x + b.

    Args:
        layer: the frozen one.
        rank: of the addition; B is zero at first, and so is the addition.
        dropout: on the input of A, in training.
    """

    def __init__(self, layer: nn.Linear, rank: int, dropout: float) -> None:
        super().__init__()
        self.layer = layer
        self.A = nn.Parameter(torch.randn(rank, layer.in_features) / layer.in_features**0.5)
        self.B = nn.Parameter(torch.zeros(layer.out_features, rank))
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) to (…, out)."""
        learnt = F.linear(F.linear(F.dropout(x, self.dropout, self.training), self.A), self.B)
        return torch.add(self.layer(x), learnt, alpha=SCALE)


def adapt(encoder: nn.Module, names: Iterable[str], rank: int, dropout: float) -> dict[str, LowRank]:
    """Freeze an encoder and give some of its linear layers a low-rank addition.

    Args:
        encoder: changed in place.
        names: beginnings of the names of the layers that learn.
        rank: of the additions.
        dropout: in training.

    Returns:
        The additions by the names of their layers.
    """
    encoder.requires_grad_(False)
    beginnings = tuple(names)
    chosen = [(name, layer) for name, layer in _linear_layers(encoder) if name.startswith(beginnings)]
    additions = {name: LowRank(layer, rank, dropout) for name, layer in chosen}
    for name, addition in additions.items():
        encoder.set_submodule(name, addition)
    return additions


def additions_to_arrays(additions: Mapping[str, LowRank]) -> dict[str, NDArray[np.float32]]:
    """`<layer>.A` and `<layer>.B` of each addition."""
    return {
        f"{name}.{part}": getattr(addition, part).detach().numpy()
        for name, addition in additions.items()
        for part in ("A", "B")
    }


def merge(encoder: nn.Module, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Add what was learnt to the matrices of a fresh encoder, which then costs what it did before.

    Raises:
        InputError: the additions belong to another encoder.
    """
    layers = dict(_linear_layers(encoder))
    learnt = {name.rpartition(".")[0] for name in arrays}
    if not learnt or set(arrays) != {f"{name}.{part}" for name in learnt for part in ("A", "B")}:
        raise InputError(f"expected an A and a B for each layer, found {', '.join(sorted(arrays)[:3]) or 'none'}")
    if odd := sorted(learnt - set(layers)):
        raise InputError(f"the encoder has no layer {odd[0]}")
    for name in sorted(learnt):
        layer = layers[name]
        found = [arrays[f"{name}.{part}"] for part in ("A", "B")]
        if odd := [str(values.dtype) for values in found if values.dtype != np.float32]:
            raise InputError(f"the addition to {name} is of {odd[0]}, expected float32")
        rank = found[0].shape[0] if found[0].ndim else 0
        out, into = layer.weight.shape
        if [values.shape for values in found] != [(rank, into), (out, rank)] or rank > LARGEST:
            raise InputError(
                f"the addition to {name} is {found[1].shape} times {found[0].shape}, "
                f"expected a product of {tuple(layer.weight.shape)}"
            )
        A, B = (torch.from_numpy(np.array(values)) for values in found)
        if not (A.isfinite().all() and B.isfinite().all()):
            raise InputError(f"the addition to {name} has non-finite values")
        with torch.no_grad():
            layer.weight += SCALE * (B @ A)
        if not layer.weight.isfinite().all():
            raise InputError(f"the addition to {name} is too large")


def _linear_layers(encoder: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Linear) and not name.startswith("pooler."):
            yield name, module
