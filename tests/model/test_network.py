"""The whole network: its public suite over every setting, and what only this network promises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from broadmamba.data.batching import Batch
from broadmamba.model.bidirectional import BiSSM
from broadmamba.model.config import CHOICES, BroadMambaConfig
from broadmamba.model.loss import LossConfig
from broadmamba.model.network import BroadMamba
from broadmamba.model.selective import BiSelectiveSSM
from broadmamba.testing import check_model, random_conversations

THREE = {"text": 10, "audio": 4, "video": 6}
PAPER = {"text": 1024, "audio": 1582, "video": 342}


def make_model(widths: dict[str, int] = THREE, **settings: Any) -> BroadMamba:
    torch.manual_seed(0)
    small = {"classes": 5, "d_model": 16, "d_state": 8}
    return BroadMamba(BroadMambaConfig(widths=widths, **{**small, **settings})).eval()


def make_batch(lengths: tuple[int, ...] = (6, 1, 9), widths: dict[str, int] = THREE) -> Batch:
    return random_conversations(widths, 5, lengths).batch(range(len(lengths)))


SETTINGS: list[dict[str, Any]] = [
    *({"ssm": name} for name in CHOICES["ssm"]),
    *({"discretisation": name} for name in CHOICES["discretisation"]),
    *({"targets": name} for name in CHOICES["targets"]),
    *({"fusion": name} for name in CHOICES["fusion"]),
    {"kernel_size": 3},
    {"kernel_size": 5, "ssm": "selective", "layer_norm": True},
    {"position": False},
    {"random_nodes": True},
    {"random_nodes": True, "targets": "reconstruct", "fusion": "gate"},
    {"broad": False},
    {"broad": False, "fusion": "scalar", "targets": "reconstruct"},
    {"depth": 2},
    {"depth": 2, "residual": True, "layer_norm": True, "kernel_size": 3},
    {"speakers": 2},
    {"dropout": 0.0, "modality_dropout": 0.4},
    {"classes": 2, "n": 1, "m": 1, "d_z": 3, "d_h": 3},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_setting_has_every_property(settings: dict[str, Any]) -> None:
    check_model(make_model(**settings))


@pytest.mark.parametrize("fusion", CHOICES["fusion"])
@pytest.mark.parametrize("modalities", [("text",), ("audio", "video")])
def test_every_choice_of_modalities_has_every_property(modalities: tuple[str, ...], fusion: str) -> None:
    check_model(make_model({m: THREE[m] for m in modalities}, fusion=fusion))


def test_the_papers_widths_have_every_property() -> None:
    check_model(make_model(PAPER, d_model=128, d_state=32))


@pytest.mark.parametrize("classes", [6, 7])
def test_the_default_network_is_no_larger_than_the_papers(classes: int) -> None:
    model = BroadMamba(BroadMambaConfig(widths=PAPER, classes=classes))
    count = sum(p.numel() for p in model.parameters())
    print(f"{count:,} parameters with {classes} classes")
    assert count <= 1_730_000


def tie_directions(model: BroadMamba) -> None:
    """Give both directions of every state-space layer the same parameters."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, BiSSM):
                for p in (module.ssm.log_step, module.ssm.log_decay, module.ssm.frequency, module.ssm.output):
                    p[1] = p[0]
            elif isinstance(module, BiSelectiveSSM):
                module.log_rate[1] = module.log_rate[0]
                for p in (module.maps.weight, module.maps.bias):
                    p[len(p) // 2 :] = p[: len(p) // 2]


def reverse(batch: Batch) -> Batch:
    """One conversation, its last utterance first."""
    return Batch(
        {m: x.flip(1) for m, x in batch.features.items()},
        {m: p.flip(1) for m, p in batch.present.items()},
        batch.mask.flip(1),
        batch.speakers.flip(1),
        batch.labels.flip(1),
    )


@pytest.mark.parametrize("length", [7, 200])
@pytest.mark.parametrize("settings", [{}, {"depth": 2, "residual": True}, {"ssm": "selective"}], ids=str)
def test_with_tied_directions_a_reversed_conversation_gives_the_reversed_output(
    settings: dict[str, Any], length: int
) -> None:
    model = make_model(position=False, kernel_size=1, speakers=2, **settings).double()
    batch = make_batch((length,)).to("cpu", torch.float64)
    with torch.no_grad():
        untied = model(batch).logits - model(reverse(batch)).logits.flip(1)
        tie_directions(model)
        tied = model(batch).logits - model(reverse(batch)).logits.flip(1)
    assert untied.abs().max() > 1e-6
    assert tied.abs().max() < 1e-10


@pytest.mark.parametrize("ssm", CHOICES["ssm"])
def test_what_is_said_depends_on_what_came_before_and_comes_after(ssm: str) -> None:
    model = make_model({"text": 10}, ssm=ssm)
    batch = make_batch((6,), {"text": 10})
    batch.present["text"][:] = True
    with torch.no_grad():
        before = model(batch).logits
        for changed in (0, 5):
            features = {"text": batch.features["text"].clone()}
            features["text"][0, changed] += 1
            difference = (model(replace(batch, features=features)).logits - before).abs().amax(-1)
            assert (difference > 1e-6).all()


def test_the_order_of_utterances_matters_through_positions_alone_where_there_is_no_other_context() -> None:
    batch = make_batch((6,))
    for position in (True, False):
        model = make_model(position=position)
        for module in model.modules():
            if isinstance(module, BiSSM):
                nn.init.zeros_(module.ssm.output)
        with torch.no_grad():
            difference = (model(reverse(batch)).logits.flip(1) - model(batch).logits).abs().max()
        assert (difference > 1e-3) == position


def test_nodes_are_what_the_broad_readout_reads() -> None:
    model = make_model()
    batch = make_batch()
    with torch.no_grad():
        terms = model(batch).terms
        for m in THREE:
            branch = model.branches[m]
            assert terms[m].ridge is not None and branch.readout is not None
            expected = model.nodes(batch, m) @ branch.readout.weight.T
            torch.testing.assert_close(terms[m].ridge.prediction, expected)


def test_modality_dropout_takes_whole_modalities_and_always_leaves_one() -> None:
    widths = {"text": 2, "audio": 2, "video": 2}
    model = make_model(widths, modality_dropout=0.6).train()
    lengths = (2, 3) * 300
    prepared = random_conversations(widths, 5, lengths)
    for rows in prepared.present.values():
        rows[:] = True
    terms = model(prepared.batch(range(len(lengths)))).terms
    kept = torch.stack([torch.stack([p.float().mean() for p in terms[m].present.split(lengths)]) for m in widths])
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert (kept.sum(0) >= 1).all()
    # Kept by chance, or by being the one that stays.
    assert kept.mean().item() == pytest.approx(0.4 + 0.6 / 3, abs=0.04)
    model.eval()
    assert all(t.present.all() for t in model(prepared.batch(range(4))).terms.values())


def test_a_missing_modality_weighs_nothing_in_the_loss_but_the_ridge_on_its_weights() -> None:
    model = make_model()
    batch = make_batch()
    without = batch.without("audio")
    config = LossConfig(ridge=0.0)
    masked = replace(
        batch,
        features=batch.features | {"audio": torch.zeros_like(batch.features["audio"])},
        present=batch.present | {"audio": torch.zeros_like(batch.mask)},
    )
    expected = model.loss(model(without), without, config).total
    torch.testing.assert_close(model.loss(model(masked), masked, config).total, expected)


def test_features_that_are_nan_where_missing_harm_neither_outputs_nor_gradients() -> None:
    model = make_model(kernel_size=3)
    batch = make_batch()
    holes = {m: x.masked_fill(~batch.present[m][..., None], torch.nan) for m, x in batch.features.items()}
    holed = replace(batch, features=holes)
    torch.testing.assert_close(model(holed).logits, model(batch).logits)
    model.loss(model(holed), holed, LossConfig()).total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("ssm", CHOICES["ssm"])
def test_a_small_network_can_learn_a_few_conversations_by_heart(ssm: str) -> None:
    model = make_model(ssm=ssm, dropout=0.0).train()
    batch = make_batch((6, 3, 8))
    optimiser = torch.optim.Adam(model.parameters(), 2e-2)
    for _ in range(30):
        optimiser.zero_grad()
        losses = model.loss(model(batch), batch, LossConfig())
        losses.total.backward()
        optimiser.step()
    model.eval()
    labelled = (batch.labels >= 0) & torch.stack(list(batch.present.values())).any(0)
    assert torch.equal(model(batch).logits.argmax(-1)[labelled], batch.labels[labelled])


def test_autocast_and_float64_agree_with_float32() -> None:
    model = make_model()
    batch = make_batch()
    with torch.no_grad():
        plain = model(batch).probabilities
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model(batch).probabilities
        precise = model.double()(batch.to("cpu", torch.float64)).probabilities
    torch.testing.assert_close(mixed.float(), plain, rtol=0, atol=0.05)
    torch.testing.assert_close(precise.float(), plain, rtol=0, atol=1e-5)
