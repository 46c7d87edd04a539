"""The transformer that compared systems share, against torch's own and the formula of positions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from broadmamba.baselines.attention import Attention, Transformer, positions
from broadmamba.errors import InputError
from broadmamba.model.settings import require_divisors


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(12, 3, 0.0), nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, torch.randn(12), ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    x, context = torch.randn(2, 5, 12), torch.randn(2, 5, 12)
    readable = torch.tensor([[True, False, True, True, False], [True] * 5])
    expected, _ = theirs(x, context, context, key_padding_mask=~readable)
    torch.testing.assert_close(ours(x, context, readable), expected)


def test_a_transformer_is_the_encoder_layer_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = Transformer(12, 3, 0.0), nn.TransformerEncoderLayer(12, 3, 24, 0.0, batch_first=True)
    with torch.no_grad():
        attention = ours.attention
        theirs.self_attn.in_proj_weight.copy_(
            torch.cat([attention.query.weight, attention.key.weight, attention.value.weight])
        )
        theirs.self_attn.in_proj_bias.copy_(torch.cat([attention.query.bias, torch.zeros(12), attention.value.bias]))
        theirs.self_attn.out_proj.load_state_dict(attention.out.state_dict())
        theirs.linear1.load_state_dict(ours.inner[0].state_dict())
        theirs.linear2.load_state_dict(ours.inner[3].state_dict())
    x, readable = torch.randn(2, 5, 12), torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    torch.testing.assert_close(ours(x, x, readable), theirs(x, src_key_padding_mask=~readable))


def test_positions_are_sines_and_cosines() -> None:
    found = positions(torch.zeros(1, 7, 5, dtype=torch.float64))
    for i in range(7):
        for c in range(5):
            angle = i / 10000 ** ((c - c % 2) / 5)
            assert math.isclose(found[i, c], math.cos(angle) if c % 2 else math.sin(angle), abs_tol=1e-12)


def test_heads_have_to_share_the_channels_evenly() -> None:
    require_divisors("hidden", 12, {"heads": 3})
    with pytest.raises(InputError, match="hidden: expected a multiple of heads, 5, found 12"):
        require_divisors("hidden", 12, {"heads": 5})
