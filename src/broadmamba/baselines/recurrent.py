"""Recurrent layers over the utterances of padded conversations."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Layer = TypeVar("Layer", bound=nn.RNNBase)


def run_recurrent(layer: nn.RNNBase, x: Tensor, mask: Tensor) -> Tensor:
    """Run a recurrent layer (`batch_first`) so that it never reads padding, in either direction.

    Args:
        layer: an LSTM or GRU.
        x: `(B, L, d)`.
        mask: `(B, L)` bool, utterances first.

    Returns:
        `(B, L, H)`, or `(B, L, 2H)` for a bidirectional layer; zero on padding.
    """
    packed = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=x.shape[1])[0]


def started_by_width(layer: Layer) -> Layer:
    """Draw a layer's input weights anew within ±1/√width of what they read, and give the layer back.

    torch draws them within ±1/√H, with which a thousand standardised features drive every gate to its end at once.
    """
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            if name.startswith("weight_ih"):
                weight.uniform_(-(weight.shape[1] ** -0.5), weight.shape[1] ** -0.5)
    return layer
