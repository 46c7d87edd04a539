"""Packed and padded hold the same utterances."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.model.packing import Packing

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def mask_of(lengths: list[int]) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


@settings(max_examples=50, deadline=None)
@given(lengths=LENGTHS, width=st.sampled_from([(), (3,), (2, 3)]))
def test_packing_keeps_utterances_in_order_and_padding_is_zero(lengths: list[int], width: tuple[int, ...]) -> None:
    mask = mask_of(lengths)
    padded = torch.randn(*mask.shape, *width)
    packing = Packing(mask)

    packed = packing.pack(padded)
    assert torch.equal(packed, torch.cat([padded[i, :length] for i, length in enumerate(lengths)]))

    again = packing.pad(packed)
    assert torch.equal(again[mask], padded[mask])
    assert not again[~mask].any()


@pytest.mark.parametrize("lengths", [[3, 3], [4, 1, 2]])
def test_gradients_go_through_both_ways(lengths: list[int]) -> None:
    mask = mask_of(lengths)
    x = torch.randn(*mask.shape, 2, dtype=torch.float64, requires_grad=True)
    packing = Packing(mask)
    assert torch.autograd.gradcheck(lambda t: packing.pad(packing.pack(t) ** 2), (x,))


def test_booleans_and_whole_numbers_pack_too() -> None:
    packing = Packing(mask_of([2, 1]))
    assert packing.pack(torch.tensor([[1, 2], [3, 4]])).tolist() == [1, 2, 3]
    assert packing.pad(torch.tensor([True, True, True])).tolist() == [[True, True], [True, False]]
