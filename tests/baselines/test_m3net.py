"""M3NET's two propagations against loops over hyperedges and edges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from broadmamba.baselines.m3net import FrequencyPropagation, HypergraphConvolution

B, L, H = 3, 5, 4

Node = tuple[int, int]
"""Modality and utterance."""


def make(layer: Any) -> Any:
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer.double().requires_grad_(False)


def conversations(M: int) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Nodes and whether they are there, of a batch in which some are missing, and which conversation to look at."""
    torch.manual_seed(1)
    here = torch.rand(B, M, L) < 0.7
    here[0] = True
    here[2, 0] = False  # a modality that is not there at all
    v = torch.randn(B, M, L, H, dtype=torch.float64) * here[..., None]
    return ((v, here, b) for b in range(B))


def nodes_of(here: Tensor) -> list[Node]:
    return [(m, i) for m in range(here.shape[0]) for i in range(here.shape[1]) if here[m, i]]


@pytest.mark.parametrize("M", [1, 2, 3])
def test_hypergraph_convolution_is_a_sum_over_the_hyperedges_of_each_node(M: int) -> None:
    torch.manual_seed(0)
    layer = make(HypergraphConvolution(M, H))
    for v, here, b in conversations(M):
        nodes = nodes_of(here[b])
        hyperedges = [(m, [n for n in nodes if n[0] == m], layer.in_context) for m in range(M)]
        hyperedges += [(M, [n for n in nodes if n[1] == i], layer.in_utterance) for i in range(L)]
        expected, degree = torch.zeros(M, L, H, dtype=torch.float64), torch.zeros(M, L, dtype=torch.float64)
        for kind, members, w in hyperedges:
            gamma = {n: 1.0 if w is None else math.exp(w[n[0]] @ v[b][n]) for n in members}
            weight = math.exp(layer.edges[kind])
            for n in members:
                expected[n] += weight * sum(gamma[o] * layer.theta(v[b][o]) for o in members) / sum(gamma.values())
                degree[n] += weight
        expected = torch.nn.functional.leaky_relu(expected / degree.clamp(min=1e-9)[..., None])
        torch.testing.assert_close(layer(v, here)[b], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("M", [1, 2, 3])
def test_low_and_high_frequencies_are_propagated_along_the_edges_of_each_node(M: int) -> None:
    torch.manual_seed(0)
    layer = make(FrequencyPropagation(H))
    w, bias = torch.cat([layer.receiver.weight, layer.sender.weight], dim=-1)[0], layer.receiver.bias[0]
    for g, here, b in conversations(M):
        nodes = nodes_of(here[b])
        around = {n: [o for o in nodes if o != n and (o[0] == n[0] or o[1] == n[1])] for n in nodes}
        expected = torch.zeros(M, L, H, dtype=torch.float64)
        for n in nodes:
            expected[n] = g[b][n]
            for o in around[n]:
                d = math.sqrt(len(around[n]) * len(around[o]))
                difference = torch.tanh(w @ torch.cat([g[b][n], g[b][o]]) + bias)
                low, high = (1 + difference) / 2, (1 - difference) / 2
                expected[n] += low * g[b][o] / d - high * g[b][o] / d
        torch.testing.assert_close(layer(g, here)[b], expected, rtol=1e-12, atol=1e-12)
