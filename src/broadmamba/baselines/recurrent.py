"""Recurrent layers over the utterances of padded conversations."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


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
