"""LR-GCN: the graph of speakers, latent graphs and dense convolution, against sums written out."""

from __future__ import annotations

import pytest
import torch

from broadmamba.baselines.graph import relations, window
from broadmamba.baselines.lr_gcn import DenseConvolution, LrGcn, LrGcnConfig
from broadmamba.errors import InputError

MASK = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
SPEAKERS = torch.tensor([[0, 1, 0, 0, 1], [0, 1, 2, -1, -1]])


def model() -> LrGcn:
    torch.manual_seed(0)
    return LrGcn(LrGcnConfig(widths={"text": 3}, classes=2, hidden=4, graphs=2)).double().eval()


def test_the_graph_of_speakers_is_a_mean_over_each_relation() -> None:
    lr_gcn, edges = model(), relations(SPEAKERS, window(MASK, 2, 2))
    g = torch.randn(2, 5, 8, dtype=torch.float64)
    found = lr_gcn.speaker_graph(g, edges)
    matrices = lr_gcn.heard.weight.unflatten(0, (4, 4))
    for b in range(2):
        for i in range(5):
            expected = lr_gcn.own(g[b, i])
            for r in range(4):
                neighbours = [j for j in range(5) if edges[b, r, i, j]]
                for j in neighbours:
                    expected = expected + matrices[r] @ g[b, j] / len(neighbours)
            torch.testing.assert_close(found[b, i], expected.relu())


def test_every_latent_graph_joins_all_utterances_of_a_conversation() -> None:
    lr_gcn = model()
    h = torch.randn(2, 5, 4, dtype=torch.float64)
    graphs = lr_gcn.latent_graphs(h, MASK)
    assert graphs.shape == (2, 2, 5, 5)
    for k in range(2):
        rows = slice(2 * k, 2 * k + 2)
        for b, length in enumerate((5, 3)):
            query, key = ((h[b, :length] @ layer.weight.T)[:, rows] for layer in (lr_gcn.query, lr_gcn.key))
            expected = torch.softmax(query @ key.T / 2**0.5, dim=-1)
            torch.testing.assert_close(graphs[b, k, :length, :length], expected)
        assert not graphs[1, k, 3:].any() and not graphs[1, k, :, 3:].any()


def test_each_convolution_reads_all_those_before_it() -> None:
    torch.manual_seed(0)
    convolution = DenseConvolution(6, 3, 0.0).double()
    h, graph = torch.randn(1, 4, 6, dtype=torch.float64), torch.rand(1, 4, 4, dtype=torch.float64)
    made: list[torch.Tensor] = []
    for layer in convolution.layers:
        rows = [torch.cat([h[0, i], *(c[i] for c in made)]) for i in range(4)]
        heard = [sum(graph[0, i, j] * rows[j] for j in range(4)) for i in range(4)]
        made.append(torch.stack([layer(x).relu() for x in heard]))
    torch.testing.assert_close(convolution(h, graph)[0], h[0] + torch.cat(made, dim=-1))


@pytest.mark.parametrize("name", ["graphs", "layers"])
def test_channels_are_shared(name: str) -> None:
    with pytest.raises(InputError, match=f"hidden: expected a multiple of {name}, 3, found 10"):
        LrGcnConfig(widths={"text": 3}, classes=2, **{"hidden": 10, "graphs": 2, name: 3})
