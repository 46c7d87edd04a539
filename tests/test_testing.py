"""The public suite lets sound models pass and names what is broken in the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.data.batching import UNLABELLED, Batch
from broadmamba.errors import InputError
from broadmamba.model.config import BroadMambaConfig
from broadmamba.model.interface import Output
from broadmamba.model.loss import LossConfig, Losses
from broadmamba.model.network import BroadMamba
from broadmamba.testing import CHECKS, Subject, check_model, random_conversations

WIDTHS = {"text": 5, "audio": 3}
CONFIG = BroadMambaConfig(widths=WIDTHS, classes=4, d_model=8, d_state=4, n=2, m=2, d_z=4, d_h=4, fusion="scalar")


def with_logits(output: Output, batch: Batch, logits: Tensor) -> Output:
    """The same output with other logits, zero on padding, and the probabilities that go with them."""
    mask = batch.mask[..., None]
    return replace(
        output, logits=logits * mask, probabilities=logits.softmax(-1) * mask, packed_logits=logits[batch.mask]
    )


class Broken(BroadMamba):
    """A sound model, of which subclasses break one thing."""


class WrongWidth(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return replace(output, modality_weights=output.modality_weights[..., :1])


class OwnProbabilitiesOfAbsentModalities(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        own = (output.modality_probabilities + 1e-3) * batch.mask[..., None, None]
        return replace(output, modality_probabilities=own / own.sum(-1, keepdim=True).clamp(min=1e-9))


class SigmoidProbabilities(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return replace(output, probabilities=output.logits.sigmoid() * batch.mask[..., None])


class TemperedProbabilities(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return replace(output, probabilities=(output.logits / 2).softmax(-1) * batch.mask[..., None])


class WeighsAbsentModalities(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return replace(output, modality_weights=batch.mask[..., None].float().expand_as(output.modality_weights) / 2)


class WeightsAreNoShares(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return replace(output, modality_weights=2 * output.modality_weights)


class WritesOnPadding(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return replace(output, fused=output.fused + 1)


class LeaksPadding(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return with_logits(output, batch, output.logits + output.logits.mean(1, keepdim=True))


class NormalisesOverTheBatch(Broken):
    def forward(self, batch: Batch) -> Output:
        x = batch.features.get("text", batch.mask[..., None].float())
        x = x - x[batch.mask].mean(0)
        return super().forward(replace(batch, features={**batch.features, "text": x}))


class RoundsInFloat32(Broken):
    """Differs with companions by what float32 can hide and float64 cannot."""

    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return with_logits(output, batch, output.logits * (1 + 1e-8 * len(batch.mask)))


class KnowsItsPlaceInTheBatch(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return with_logits(output, batch, output.logits * (1 + torch.arange(len(batch.mask))[:, None, None]))


class ReadsMissingModalities(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        read = sum(x.sum(-1, keepdim=True) * batch.mask[..., None] for x in batch.features.values())
        return with_logits(output, batch, output.logits * (1 + read))


class NeedsText(Broken):
    def forward(self, batch: Batch) -> Output:
        batch.features["text"]
        return super().forward(batch)


class CountsModalitiesOfTheBatch(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return with_logits(output, batch, output.logits * len(batch.features))


class DividesByWhatIsPresent(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return replace(output, fused=output.fused / torch.stack(list(batch.present.values())).sum())


class DropsOutWhenEvaluated(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return with_logits(output, batch, F.dropout(output.logits, 0.5, training=True))


class CountsItsCalls(Broken):
    def __init__(self, config: BroadMambaConfig) -> None:
        super().__init__(config)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, batch: Batch) -> Output:
        self.calls += 1
        return super().forward(batch)


class TrainsAnotherFunction(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return with_logits(output, batch, output.logits * (1 + torch.is_grad_enabled()))


class HasAnUnusedParameter(Broken):
    def __init__(self, config: BroadMambaConfig) -> None:
        super().__init__(config)
        self.spare = nn.Linear(2, 2)


class CutsTheGradient(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return replace(output, packed_logits=output.packed_logits.detach())


class InfiniteGradient(Broken):
    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return replace(output, packed_logits=output.packed_logits + (0 * output.packed_logits).abs().sqrt())


class HidesState(Broken):
    def __init__(self, config: BroadMambaConfig) -> None:
        super().__init__(config)
        self.secret = torch.rand(())

    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        return with_logits(output, batch, output.logits * (1 + self.secret))


class KeepsWhatItComputed(Broken):
    """Caches something made from its weights and does not see that they change."""

    kept: Tensor | None = None

    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        self.kept = self.emotion.weight.detach().sum() if self.kept is None else self.kept
        return with_logits(output, batch, output.logits * (2 + self.kept))


class EndsAt200(Broken):
    def forward(self, batch: Batch) -> Output:
        table = torch.zeros(200, 4)
        output = super().forward(batch)
        return with_logits(output, batch, output.logits + table[torch.arange(batch.mask.shape[1])])


class NeedsCompany(Broken):
    """Divides by the number of other utterances."""

    def forward(self, batch: Batch) -> Output:
        output = super().forward(batch)
        others = batch.mask.sum(1)[:, None, None] - 1
        return replace(output, fused=output.fused * (others / others))


class LearnsMissingLabelsAsTheFirst(Broken):
    def loss(self, output: Output, batch: Batch, config: LossConfig) -> Losses:
        return super().loss(output, replace(batch, labels=batch.labels.clamp(min=0)), config)


class AveragesOverAll(Broken):
    def loss(self, output: Output, batch: Batch, config: LossConfig) -> Losses:
        losses = super().loss(output, batch, config)
        share = (batch.labels != UNLABELLED).sum() / batch.mask.sum()
        return replace(losses, total=losses.total * share)


class DividesByNoLabel(Broken):
    def loss(self, output: Output, batch: Batch, config: LossConfig) -> Losses:
        losses = super().loss(output, batch, config)
        labelled = (batch.labels != UNLABELLED).sum()
        return replace(losses, total=losses.total * labelled / labelled)


BROKEN: list[tuple[type[Broken], str, str]] = [
    (WrongWidth, "shapes", r"modality_weights must be \(5, 11, 2\), found \(5, 11, 1\)"),
    (SigmoidProbabilities, "probabilities", "probabilities of an utterance must sum to 1"),
    (TemperedProbabilities, "probabilities", "must be the softmax of the logits"),
    (OwnProbabilitiesOfAbsentModalities, "probabilities", "be 0 where it is absent"),
    (WeighsAbsentModalities, "modality_weights", "weight of an absent modality must be 0"),
    (WeightsAreNoShares, "modality_weights", "must sum to 1 over the modalities that are present"),
    (WritesOnPadding, "padding_is_zero", "fused must be zero on padding"),
    (LeaksPadding, "companions", "must not depend on its batch companions and padding"),
    (NormalisesOverTheBatch, "companions", "must not depend on its batch companions and padding"),
    (RoundsInFloat32, "companions", r"must not depend on its batch companions.*\(at most 1e-10\)"),
    (KnowsItsPlaceInTheBatch, "order", "order of conversations in a batch must not matter"),
    (ReadsMissingModalities, "unread_values", "must not be read"),
    (NeedsText, "modality_subsets", "modality subsets: the model raised KeyError: 'text'"),
    (CountsModalitiesOfTheBatch, "modality_subsets", "a batch without text must be as one where no utterance has it"),
    (DividesByWhatIsPresent, "nothing_present", "fused must be finite"),
    (DropsOutWhenEvaluated, "determinism", "two calls in evaluation mode must give the same logits"),
    (CountsItsCalls, "determinism", "must not change the model, found calls"),
    (TrainsAnotherFunction, "gradient_mode", "must not depend on whether gradients are asked for"),
    (HasAnUnusedParameter, "gradients", r"did not reach spare\.weight, spare\.bias"),
    (CutsTheGradient, "gradients", r"did not reach emotion\.weight, emotion\.bias"),
    (InfiniteGradient, "gradients", "gradients must be finite"),
    (HidesState, "state", "rebuilt model with the saved state must give the same outputs"),
    (KeepsWhatItComputed, "state", "rebuilt model with the saved state must give the same outputs"),
    (EndsAt200, "lengths", "lengths: the model raised IndexError"),
    (NeedsCompany, "lengths", "fused must be finite"),
    (LearnsMissingLabelsAsTheFirst, "unlabelled", "without any label must not change the loss"),
    (AveragesOverAll, "unlabelled", "without any label must not change the loss"),
    (DividesByNoLabel, "unlabelled", "loss of a batch without any label must be finite"),
]
"""Model, the check that must catch it, and what `check_model` says."""


def make(kind: type[BroadMamba]) -> BroadMamba:
    torch.manual_seed(0)
    return kind(CONFIG)


def subject_of(kind: type[BroadMamba]) -> Subject:
    return Subject(make(kind).eval(), WIDTHS, 4, lambda: kind(CONFIG))


def check_named(name: str) -> Callable[[Subject], None]:
    return next(check for check in CHECKS if check.__name__ == f"check_{name}")


@pytest.mark.parametrize(("kind", "check", "message"), BROKEN, ids=[kind.__name__ for kind, _, _ in BROKEN])
def test_a_broken_model_is_caught(kind: type[Broken], check: str, message: str) -> None:
    with pytest.raises((AssertionError, IndexError, KeyError)):
        check_named(check)(subject_of(kind))
    with pytest.raises(AssertionError, match=message):
        check_model(make(kind))


def test_every_check_catches_something() -> None:
    assert {f"check_{check}" for _, check, _ in BROKEN} == {check.__name__ for check in CHECKS}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sound_model_passes_each_check(check: Callable[[Subject], None]) -> None:
    check(subject_of(Broken))


def test_checking_leaves_the_model_and_the_random_numbers_as_they_were() -> None:
    model = make(BroadMamba).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    check_model(model)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


class Plain(nn.Module):
    """A model without a config, of linear maps that are added: another kind than the network."""

    def __init__(self, widths: dict[str, int], classes: int) -> None:
        super().__init__()
        self.maps = nn.ModuleDict({m: nn.Linear(width, classes) for m, width in widths.items()})

    def forward(self, batch: Batch) -> Any:
        mask = batch.mask[..., None]
        here = {m: batch.present.get(m, torch.zeros_like(batch.mask))[..., None] for m in self.maps}
        nothing = mask.to(next(self.parameters()).dtype) * 0
        scores = {
            m: here[m] * linear(batch.features[m].masked_fill(~here[m], 0.0))
            if m in batch.features
            else nothing.expand(*nothing.shape[:2], linear.out_features)
            for m, linear in self.maps.items()
        }
        logits = torch.stack(list(scores.values())).sum(0)
        shares = torch.cat(list(here.values()), -1).to(logits.dtype)
        return Output(
            logits=logits,
            probabilities=logits.softmax(-1) * mask,
            modality_weights=shares / shares.sum(-1, keepdim=True).clamp(min=1),
            fused=logits,
            modality_probabilities=torch.stack([scores[m].softmax(-1) * here[m] for m in self.maps], dim=-2),
            packed_logits=logits[batch.mask],
            terms={},
        )

    def loss(self, output: Output, batch: Batch, config: LossConfig) -> Losses:
        labels = batch.labels[batch.mask]
        count = (labels != UNLABELLED).sum().clamp(min=1)
        total = F.cross_entropy(output.packed_logits, labels, ignore_index=UNLABELLED, reduction="sum") / count
        return Losses(total, {})


def test_a_model_of_another_kind_is_checked_with_its_widths_given() -> None:
    widths = {"audio": 3, "video": 2}
    check_model(Plain(widths, 3), widths=widths, classes=3, rebuild=lambda: Plain(widths, 3))
    with pytest.raises(InputError, match="widths, classes and rebuild"):
        check_model(Plain(widths, 3), widths=widths, classes=3)


def test_random_conversations_hold_what_the_checks_need() -> None:
    prepared = random_conversations(WIDTHS, 4, (3, 5, 20))
    present = torch.stack(list(prepared.present.values()))
    assert present[:, 0].all() and not present[:, 1].any()
    assert set(prepared.labels.tolist()) == {UNLABELLED, 0, 1, 2, 3}
    for m, x in prepared.features.items():
        assert torch.equal((x != 0).any(-1), prepared.present[m])
    again = random_conversations(WIDTHS, 4, (3, 5, 20))
    assert all(torch.equal(prepared.features[m], again.features[m]) for m in WIDTHS)
