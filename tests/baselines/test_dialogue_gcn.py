"""DialogueGCN: the window, the relations and the relational convolution, against loops over the edges."""

from __future__ import annotations

import torch

from broadmamba.baselines.dialogue_gcn import DialogueGcn, DialogueGcnConfig, relation_sizes, speaker_pairs
from broadmamba.baselines.graph import RELATIONS, relations, window

MASK = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
SPEAKERS = torch.tensor([[0, 1, 2, 0, 5, -1, 1], [0, 0, 1, 0, -1, -1, -1]])


def test_a_window_reaches_so_far_and_never_to_padding() -> None:
    edges = window(MASK, past=2, future=1)
    for b, length in enumerate((7, 4)):
        for i in range(7):
            for j in range(7):
                expected = i < length and j < length and i - 2 <= j <= i + 1
                assert bool(edges[b, i, j]) == expected


def test_an_edge_is_of_the_one_relation_that_speakers_and_order_say() -> None:
    edges = window(MASK, past=2, future=1)
    each = relations(SPEAKERS, edges)
    for b, i, j in torch.cartesian_prod(torch.arange(2), torch.arange(7), torch.arange(7)).tolist():
        whose = "own" if SPEAKERS[b, i] == SPEAKERS[b, j] else "others'"
        name = f"{whose} {'future' if j > i else 'past'}"
        expected = [bool(edges[b, i, j]) and name == kind for kind in RELATIONS]
        assert each[b, :, i, j].tolist() == expected


def test_relations_tell_speaker_pairs_and_order_apart() -> None:
    kinds = speaker_pairs(SPEAKERS, 3)
    known = [[min(max(s, 0), 2) for s in row] for row in SPEAKERS.tolist()]  # the third and all later ones are one
    seen: dict[int, tuple[int, int, bool]] = {}
    for b, i, j in torch.cartesian_prod(torch.arange(2), torch.arange(7), torch.arange(7)).tolist():
        meaning = (known[b][i], known[b][j], j > i)
        assert seen.setdefault(int(kinds[b, i, j]), meaning) == meaning
    assert len(set(seen.values())) == len(seen)
    assert set(seen) <= set(range(18))


def test_the_relational_convolution_is_a_sum_over_edges() -> None:
    torch.manual_seed(0)
    model = DialogueGcn(DialogueGcnConfig(widths={"text": 3}, classes=2, hidden=4, bases=3, speakers=3)).double()
    edges, kinds = window(MASK, 3, 2), speaker_pairs(SPEAKERS, 3)
    g = torch.randn(2, 7, 8, dtype=torch.float64)
    alpha = torch.rand(2, 7, 7, dtype=torch.float64) * edges
    found = model.heard(g, alpha / relation_sizes(kinds, edges, 18), kinds)
    bases = model.bases.weight.unflatten(0, (3, 4))
    for b in range(2):
        for i in range(7):
            expected = torch.zeros(4, dtype=torch.float64)
            for j in range(7):
                if edges[b, i, j]:
                    r = kinds[b, i, j]
                    size = sum(bool(edges[b, i, k]) and bool(kinds[b, i, k] == r) for k in range(7))
                    matrix = sum(model.shares[r, n] * bases[n] for n in range(3))
                    expected += alpha[b, i, j] / size * (matrix @ g[b, j])
            torch.testing.assert_close(found[b, i], expected)
