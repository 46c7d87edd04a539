"""AdaIGN: what is not selected changes nothing, what comes later neither, and how selections are drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit

from broadmamba.baselines.adagin import (
    AdaGin,
    AdaGinConfig,
    GraphLayer,
    Selection,
    directed_graph,
    draw,
    selected_softmax,
    share,
)
from broadmamba.errors import InputError
from broadmamba.testing.subject import random_conversations

WIDTHS = {"text": 6, "audio": 3}


def test_attention_among_the_selected_written_out() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 4, generator=generator).double()
    where = torch.rand(4, 4, generator=generator) < 0.8
    selection = torch.rand(4, 4, generator=generator).double()
    found = selected_softmax(scores, where, selection)
    for i in range(4):
        weights = [
            (1.0 if i == j else float(selection[i, j])) * np.exp(float(scores[i, j])) * bool(where[i, j])
            for j in range(4)
        ]
        np.testing.assert_allclose(found[i], np.array(weights) / sum(weights))
    assert not selected_softmax(scores, torch.zeros_like(where), selection).any()


def test_an_edge_that_is_selected_out_changes_nothing_and_one_that_is_not_does() -> None:
    torch.manual_seed(0)
    layer = GraphLayer(8, across=True).double().eval()
    here, mask = torch.ones(1, 2, 5, dtype=torch.bool), torch.ones(1, 5, dtype=torch.bool)
    graph = directed_graph(here, mask, torch.tensor([[0, 1, 0, 1, 0]]))
    selection = Selection(torch.ones(1, 2, 5, 5).double(), torch.ones(1, 5, 2, 2).double())
    selection.within[0, 0, 3, 1] = 0  # of modality 0, utterance 3 does not hear utterance 1
    selection.across[0, 1, 1, 0] = 0  # of utterance 1, modality 1 does not hear modality 0
    h = torch.randn(1, 2, 5, 8).double()
    other = h.clone()
    other[0, 0, 1] *= 2  # LN would take away an addition
    change = (layer(other, graph, selection) - layer(h, graph, selection)).abs().amax(-1)[0] > 1e-9
    assert change.tolist() == [[False, True, True, False, True], [False, False, False, False, False]]


def test_an_absent_node_is_not_heard() -> None:
    torch.manual_seed(0)
    layer = GraphLayer(8, across=True).double().eval()
    here = torch.ones(1, 2, 4, dtype=torch.bool)
    here[0, 0, 1] = False
    graph = directed_graph(here, torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, 4, dtype=torch.long))
    everything = Selection(torch.ones(1, 2, 4, 4).double(), torch.ones(1, 4, 2, 2).double())
    h = torch.randn(1, 2, 4, 8).double()
    other = h.clone()
    other[0, 0, 1] *= 2  # LN would take away an addition
    change = (layer(other, graph, everything) - layer(h, graph, everything)).abs().amax(-1)[0] > 1e-9
    assert change.tolist() == [[False, True, False, False], [False] * 4]


def test_what_comes_later_changes_nothing() -> None:
    torch.manual_seed(0)
    model = AdaGin(AdaGinConfig(widths=WIDTHS, classes=4, hidden=8)).eval()
    batch = random_conversations(WIDTHS, 4, (9,)).batch([0])
    features = {m: x.clone() for m, x in batch.features.items()}
    for x in features.values():
        x[:, 6:] += 3.0
    changed = replace(batch, features=features, present={m: torch.ones_like(p) for m, p in batch.present.items()})
    before = replace(batch, present=changed.present)
    found, expected = model(changed).logits, model(before).logits
    torch.testing.assert_close(found[:, :6], expected[:, :6])
    assert (found[:, 6:] - expected[:, 6:]).abs().max() > 1e-3


def test_draws_are_as_frequent_as_their_probability_at_any_temperature() -> None:
    for temperature in (0.1, 1.0, 5.0):
        torch.manual_seed(0)
        logit = torch.tensor([-2.0, 0.0, 1.5]).double().repeat(20000, 1)
        found = draw(logit, temperature)
        assert bool(((found - found.round()).abs() < 1e-12).all())
        np.testing.assert_allclose(found.mean(0), expit([-2.0, 0.0, 1.5]), atol=0.012)


def test_the_gradient_of_a_draw_is_that_of_its_relaxation() -> None:
    for temperature in (0.5, 2.0):
        logit = torch.linspace(-3, 3, 50).double().requires_grad_()
        torch.manual_seed(3)
        draw(logit, temperature).sum().backward()  # type: ignore[no-untyped-call]
        torch.manual_seed(3)
        u = torch.rand(50, dtype=torch.float64).numpy()
        soft = expit((logit.detach().numpy() + np.log(u / (1 - u))) / temperature)
        np.testing.assert_allclose(logit.grad, soft * (1 - soft) / temperature)


def test_selecting_what_is_not_preferred_costs() -> None:
    torch.manual_seed(0)
    model = AdaGin(AdaGinConfig(widths=WIDTHS, classes=4, hidden=8, thrift=0.5)).eval()
    batch = random_conversations(WIDTHS, 4, (4,)).batch([0])
    labels = torch.tensor([[-1, -1, 2, -1]])
    h = model.nodes(batch.features, batch)
    nodes, within, _ = model.policy(h, (batch.speakers[:, :, None] == batch.speakers[:, None, :])[:, None])
    # Of utterance 2, speaker 0: its node of sound, and the edges from utterance 1, of speaker 1, where present.
    sound = nodes.sigmoid()[0, 1, 2] * batch.present["audio"][0, 2]
    edges = [within.sigmoid()[0, i, 2, 1] for i, m in enumerate(WIDTHS) if batch.present[m][0, 1]]
    expected = 0.5 * (sound + (sum(edges) / len(edges) if edges else 0.0))
    assert model.auxiliary(model(batch), labels)["thrift"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert share(torch.ones(1, 0, 3), torch.ones(1, 0, 3, dtype=torch.bool), (1,)).tolist() == [[0.0] * 3]


def test_the_temperature_has_to_be_positive() -> None:
    with pytest.raises(InputError, match=r"temperature: expected a number above 0, found -1"):
        AdaGinConfig(widths=WIDTHS, classes=4, temperature=-1.0)
