"""Operations counted against what is known by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from broadmamba.evaluation.flops import count_flops


def test_a_product_is_twice_its_three_sizes() -> None:
    assert count_flops(lambda: torch.rand(3, 5) @ torch.rand(5, 7)) == 2 * 3 * 5 * 7


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("gradients", [True, False])
def test_a_recurrent_layer_counts_its_gates_for_every_real_step(kind: type[nn.RNNBase], gradients: bool) -> None:
    layer = kind(5, 4, batch_first=True, bidirectional=True)
    packed = pack_padded_sequence(torch.rand(3, 7, 5), torch.tensor([7, 5, 2]), batch_first=True)
    gates = {nn.LSTM: 4, nn.GRU: 3}[kind]
    with torch.set_grad_enabled(gradients):
        assert count_flops(lambda: layer(packed)) == (7 + 5 + 2) * 2 * (5 + 4) * gates * 4 * 2


@pytest.mark.parametrize("n", [8, 60])
def test_a_fourier_transform_and_its_inverse_cost_the_same(n: int) -> None:
    x = torch.rand(3, n)
    there = count_flops(lambda: torch.fft.rfft(x))
    assert there == round(2.5 * 3 * n * math.log2(n))
    spectrum = torch.fft.rfft(x)
    assert count_flops(lambda: torch.fft.irfft(spectrum, n=n)) == there
    assert count_flops(lambda: torch.fft.fft(x.to(torch.complex64))) == pytest.approx(2 * there, abs=1)
