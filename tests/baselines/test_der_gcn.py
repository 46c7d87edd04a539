"""DER-GCN: event graphs, relational convolution, masking and its own losses, against sums written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from broadmamba.baselines.der_gcn import DerGcn, DerGcnConfig
from broadmamba.data.batching import UNLABELLED
from broadmamba.errors import InputError
from broadmamba.model.loss import LossConfig
from broadmamba.testing.subject import random_conversations

MASK = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4])


def model(**settings: float) -> DerGcn:
    torch.manual_seed(0)
    config = DerGcnConfig.from_dict({"widths": {"text": 3}, "classes": 3, "hidden": 4, "heads": 2} | settings)
    return DerGcn(config).double().eval().requires_grad_(False)


def test_events_join_each_utterance_to_those_like_it_but_not_to_itself() -> None:
    der_gcn = model()
    v = torch.randn(3, 5, 4, dtype=torch.float64)
    found = der_gcn.event_graphs(v, MASK)
    views = der_gcn.event.weight.unflatten(0, (2, 4))
    for b, length in enumerate((5, 3, 1)):
        for e in range(2):
            for i in range(5):
                others = [j for j in range(length) if j != i and i < length]
                like = {j: F.cosine_similarity(views[e] @ v[b, i], views[e] @ v[b, j], dim=0) for j in others}
                powers = {j: math.exp(float(x) / 0.2) for j, x in like.items()}
                expected = [powers.get(j, 0.0) / (sum(powers.values()) or 1.0) for j in range(5)]
                torch.testing.assert_close(found[b, e, i].tolist(), expected)


def test_each_relation_has_its_own_sum_over_edges() -> None:
    der_gcn = model()
    v = torch.randn(3, 5, 4, dtype=torch.float64)
    graphs = torch.rand(3, 6, 5, 5, dtype=torch.float64)
    found = der_gcn.within(v, graphs)
    heard, own = der_gcn.heard.weight.unflatten(0, (6, 4)), der_gcn.own(v).unflatten(-1, (6, 4))
    for b, r, i in torch.cartesian_prod(torch.arange(3), torch.arange(6), torch.arange(5)).tolist():
        total = sum(graphs[b, r, i, j] * (heard[r] @ v[b, j]) for j in range(5))
        torch.testing.assert_close(found[b, i, r], (total + own[b, i, r]).relu())


def test_hidden_places_are_among_those_there_are_and_only_in_training() -> None:
    der_gcn = model(masked=0.5)
    assert not der_gcn.hide(MASK).any()
    hidden = torch.stack([der_gcn.train().hide(MASK) for _ in range(200)])
    assert not hidden[:, ~MASK].any()
    assert 0.4 < float(hidden[:, MASK].double().mean()) < 0.6


def test_only_what_was_hidden_is_rebuilt() -> None:
    der_gcn = model(masked=0.5)
    batch = random_conversations({"text": 3}, 3, (6, 4)).batch((0, 1)).to("cpu", torch.float64)
    terms = der_gcn(batch).terms
    assert not terms["node"].any() and not terms["edge"].any()
    terms = der_gcn.train()(batch).terms
    assert 0 < int((terms["node"] > 0).sum()) < 10
    assert not terms["node"][~batch.mask].any() and not terms["edge"][~batch.mask].any()


def test_hidden_edges_are_told_by_their_cross_entropy() -> None:
    der_gcn = model()
    z = torch.randn(1, 3, 4, dtype=torch.float64)
    one_speaker = torch.tensor([[[True, False, True], [False, True, False], [True, False, True]]])
    unseen = torch.tensor([[[False, True, True], [True, False, False], [False, False, False]]])
    found = der_gcn.edge_miss(z, one_speaker, unseen)[0]

    def wrong(i: int, j: int) -> float:
        sure = 1 / (1 + math.exp(-float(der_gcn.joins(z[0, i]) @ z[0, j]) / 2))
        return -math.log(sure if one_speaker[0, i, j] else 1 - sure)

    torch.testing.assert_close(found.tolist(), [(wrong(0, 1) + wrong(0, 2)) / 2, wrong(1, 0), 0.0])


def test_each_labelled_utterance_is_held_against_all_classes() -> None:
    der_gcn = model(contrast=0.3)
    batch = random_conversations({"text": 3}, 3, (6, 4)).batch((0, 1)).to("cpu", torch.float64)
    output = der_gcn(batch)
    each = []
    for b, i in (batch.labels != UNLABELLED).nonzero().tolist():
        view = der_gcn.contrasted(output.fused[b, i])
        like = [math.exp(float(F.cosine_similarity(view, q, dim=0)) / 0.2) for q in der_gcn.prototypes]
        each.append(-math.log(like[int(batch.labels[b, i])] / sum(like)))
    losses = der_gcn.loss(output, batch, LossConfig())
    assert float(losses.terms["contrast"]) == pytest.approx(0.3 * sum(each) / len(each))
    assert float(losses.total) == pytest.approx(sum(float(term) for term in losses.terms.values()))


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="temperature: expected a number above 0, found 0"):
        model(temperature=0)
    with pytest.raises(InputError, match="hidden: expected a multiple of heads, 3, found 4"):
        model(heads=3)
