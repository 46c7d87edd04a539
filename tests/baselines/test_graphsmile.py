"""GraphSmile's two aggregations and its losses against loops over utterances."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from broadmamba.baselines.baseline import lags
from broadmamba.baselines.graphsmile import GraphSmile, GraphSmileConfig, neighbours_mean
from broadmamba.data.batching import UNLABELLED, Batch
from broadmamba.errors import InputError
from broadmamba.model.interface import Output
from broadmamba.testing import check_model

B, L, H, C = 3, 7, 4, 4
POLARITY = "+-0-"


def make_config(**settings: Any) -> GraphSmileConfig:
    return GraphSmileConfig(**{"widths": {"text": 6, "audio": 3}, "classes": C, "hidden": 12} | settings)


@pytest.mark.parametrize(("inter", "modalities"), [(True, 2), (False, 2), (False, 1)])
def test_a_node_is_told_the_mean_of_its_window_in_the_other_or_its_own_modality(inter: bool, modalities: int) -> None:
    torch.manual_seed(0)
    past, future = 2, 1
    here = torch.rand(B, modalities, L) < 0.6
    x = torch.randn(B, modalities, L, H, dtype=torch.float64) * here[..., None]
    window = (lags(L) >= -past) & (lags(L) <= future)
    found = neighbours_mean(x, here, window, inter)
    for b in range(B):
        for m in range(modalities):
            sender = 1 - m if inter else m
            for i in range(L):
                reach = range(max(0, i - past), min(L, i + future + 1))
                told = [x[b, sender, j] for j in reach if here[b, m, i] and here[b, sender, j]]
                expected = sum(told, start=torch.zeros(H, dtype=torch.float64)) / max(len(told), 1)
                torch.testing.assert_close(found[b, m, i], expected, rtol=1e-12, atol=1e-12)


def test_layers_are_inter_and_intra_modal_by_turns_and_one_modality_has_but_intra_modal_ones() -> None:
    three = GraphSmile(make_config(widths={"text": 6, "audio": 3, "video": 4}, layers=3))
    assert three.modality_pairs == [[0, 1], [0, 2], [1, 2]]
    assert [graph.inter for graph in three.graphs] == [[True, False, True]] * 3
    one = GraphSmile(make_config(widths={"audio": 3}, layers=3))
    assert [graph.inter for graph in one.graphs] == [[False] * 3]


def make_batch() -> Batch:
    torch.manual_seed(1)
    mask = torch.arange(L) < torch.tensor([L, 1, 4])[:, None]
    labels = torch.randint(C, (B, L)).masked_fill(~mask | (torch.rand(B, L) < 0.3), UNLABELLED)
    features = {m: torch.randn(B, L, width).double() * mask[..., None] for m, width in (("text", 6), ("audio", 3))}
    return Batch(features, dict.fromkeys(features, mask), mask, torch.zeros(B, L, dtype=torch.long), labels)


def test_losses_are_of_each_labelled_utterance_and_those_before_it() -> None:
    torch.manual_seed(0)
    config = make_config(polarity=POLARITY, shift_window=2, sentiment=0.7, shift=0.3)
    model, batch = GraphSmile(config).double().eval().requires_grad_(False), make_batch()
    output: Output = model(batch)
    q, r = output.terms["sentiment"].softmax(-1), output.terms["shift"].sigmoid()
    sentiment, shift = [], []
    for b, i in (batch.labels != UNLABELLED).nonzero().tolist():
        s = "-0+".index(POLARITY[int(batch.labels[b, i])])
        sentiment.append(-math.log(q[b, i, s]))
        terms = []
        for k in (1, 2):
            if i - k >= 0:
                wanted, said = 1 - float(q[b, i - k, s]), float(r[b, i, k - 1])
                terms.append(-wanted * math.log(said) - (1 - wanted) * math.log(1 - said))
        shift.append(sum(terms) / max(len(terms), 1))
    found = model.auxiliary(output, batch.labels)
    assert found["sentiment"].item() == pytest.approx(0.7 * sum(sentiment) / len(sentiment), rel=1e-10)
    assert found["shift"].item() == pytest.approx(0.3 * sum(shift) / len(shift), rel=1e-10)


def test_a_shift_is_read_from_the_utterance_and_the_one_before() -> None:
    torch.manual_seed(0)
    model, batch = GraphSmile(make_config(shift_window=2)).double().eval().requires_grad_(False), make_batch()
    output: Output = model(batch)
    for i in range(2, L):
        for k in (1, 2):
            pair = torch.cat([output.fused[0, i], output.fused[0, i - k]])
            torch.testing.assert_close(output.terms["shift"][0, i, k - 1 : k], model.shift(pair))


def test_emotions_are_sentiments_unless_told_their_polarity() -> None:
    assert make_config().sentiments == (0, 1, 2, 3)
    assert make_config(polarity=POLARITY).sentiments == (2, 0, 1, 0)
    check_model(GraphSmile(make_config(polarity=POLARITY)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"polarity": "+-0"}, r"polarity: expected \+ 0 or - for each of 4 emotions, found '\+-0'"),
        ({"polarity": "+-0x"}, "polarity: expected"),
        ({"past": -1}, "past: expected a whole number of at least 0"),
        ({"shift": -0.5}, "shift: expected a weight of at least 0, found -0.5"),
        ({"shift_window": 0}, "shift_window: expected a whole number of at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_config(**settings)
