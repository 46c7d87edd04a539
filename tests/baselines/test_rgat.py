"""RGAT: relational positions and relational attention, against loops over the pairs of utterances."""

from __future__ import annotations

import math

import pytest
import torch

from broadmamba.baselines.graph import relations, window
from broadmamba.baselines.rgat import RelationalAttention, RgatConfig, relational_positions
from broadmamba.errors import InputError

MASK = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
SPEAKERS = torch.tensor([[0, 1, 0, 0, 1, 1], [0, 1, 2, 0, -1, -1]])
EDGES = relations(SPEAKERS, window(MASK, 3, 3))


def position(b: int, r: int, i: int, j: int) -> int:
    """n_ij: utterances of the relation between i and j, i's own place with them."""
    between = range(i, j) if j > i else range(j + 1, i + 1)
    return sum(bool(EDGES[b, r, i, k]) for k in between)


def test_positions_are_counted_within_a_relation() -> None:
    found = relational_positions(EDGES)
    # Utterance 3 of the first conversation is said by who says 0, 2 and 3; the other says 1, 4 and 5.
    assert [int(found[0, 0, 3, j]) for j in (3, 2, 0)] == [0, 1, 2]
    assert [int(found[0, 2, 3, 1]), int(found[0, 3, 3, 4]), int(found[0, 3, 3, 5])] == [0, 0, 1]
    for b, r, i, j in EDGES.nonzero().tolist():
        assert int(found[b, r, i, j]) == position(b, r, i, j)


def test_attention_is_that_of_a_loop_over_pairs() -> None:
    torch.manual_seed(0)
    layer = RelationalAttention(RgatConfig(widths={"text": 3}, classes=2, hidden=6, heads=2, window=3)).double()
    torch.nn.init.normal_(layer.position)
    layer.requires_grad_(False)
    u = torch.randn(2, 6, 6, dtype=torch.float64)
    found = layer.attend(u, EDGES)
    matrices = layer.value.weight.view(4, 2, 3, 6)  # W_r, by head
    for b in range(2):
        for i in range(6):
            for head in range(2):
                scores, values = [], []
                for r in range(4):
                    for j in range(6):
                        if EDGES[b, r, i, j]:
                            mine, its = matrices[r, head] @ u[b, i], matrices[r, head] @ u[b, j]
                            score = float(layer.asking[r, head] @ mine + layer.asked[r, head] @ its)
                            score = score if score > 0 else 0.2 * score
                            scores.append(score + float(layer.position[r * 4 + position(b, r, i, j), head]))
                            values.append(its)
                total = sum(math.exp(score) for score in scores)
                expected = torch.zeros(3, dtype=torch.float64)
                for score, value in zip(scores, values, strict=True):
                    expected += math.exp(score) / total * value
                torch.testing.assert_close(found[b, i, 3 * head : 3 * head + 3], expected)


def test_heads_share_the_channels() -> None:
    with pytest.raises(InputError, match="hidden: expected a multiple of heads, 4, found 10"):
        RgatConfig(widths={"text": 3}, classes=2, hidden=10)
