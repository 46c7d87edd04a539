"""Eq. 18 term by term, against torch and against sums written out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from broadmamba.data.batching import UNLABELLED
from broadmamba.model.loss import LossConfig, Losses, ModalityTerms, RidgeTerms, training_loss

T, C, K = 9, 4, 6
LABELS = torch.tensor([0, 3, UNLABELLED, 1, 1, 2, UNLABELLED, 0, 3])
LABELLED = [t for t, label in enumerate(LABELS.tolist()) if label != UNLABELLED]


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


LOGITS = draw(T, C, seed=0)
TEXT = ModalityTerms(
    scores=draw(T, C, seed=1),
    ridge=RidgeTerms(draw(T, C, seed=2), None, draw(C, K, seed=3)),
    present=torch.tensor([True, True, False, True, False, True, True, True, False]),
)
AUDIO = ModalityTerms(
    scores=draw(T, C, seed=4),
    ridge=RidgeTerms(draw(T, K, seed=5), draw(T, K, seed=6), draw(K, K, seed=7)),
    present=torch.ones(T, dtype=torch.bool),
)
TERMS = {"text": TEXT, "audio": AUDIO}


def loss(config: LossConfig | None = None, terms: dict[str, ModalityTerms] = TERMS) -> Losses:
    return training_loss(LOGITS, LABELS, terms, config or LossConfig())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_emotion_loss_is_torchs_cross_entropy_of_labelled_utterances(smoothing: float) -> None:
    expected = F.cross_entropy(LOGITS, LABELS, ignore_index=UNLABELLED, label_smoothing=smoothing)
    torch.testing.assert_close(loss(LossConfig(smoothing=smoothing)).terms["emotion"], expected)


def test_a_modalitys_own_loss_is_its_binary_cross_entropy_where_it_is_present() -> None:
    expected = 0.0
    for terms in TERMS.values():
        for t in LABELLED:
            for c in range(C):
                omega = 1 / (1 + math.exp(-terms.scores[t, c].item()))
                right = omega if LABELS[t] == c else 1 - omega
                expected -= math.log(right) * terms.present[t].item() / len(LABELLED)
    assert loss().terms["unimodal"].item() == pytest.approx(expected, rel=1e-12)


def test_the_ridge_objective_is_eq_14_of_labels_or_of_nodes() -> None:
    assert TEXT.ridge is not None and AUDIO.ridge is not None and AUDIO.ridge.target is not None
    expected = 0.0
    for t in LABELLED:
        for c in range(C):
            if TEXT.present[t]:
                expected += (TEXT.ridge.prediction[t, c].item() - (LABELS[t].item() == c)) ** 2 / len(LABELLED)
        for k in range(K):
            expected += (AUDIO.ridge.prediction[t, k] - AUDIO.ridge.target[t, k]).item() ** 2 / len(LABELLED)
    for ridge in (TEXT.ridge, AUDIO.ridge):
        expected += 0.1 * sum(w**2 for w in ridge.weight.flatten().tolist())
    assert loss(LossConfig(ridge=0.1)).terms["norm"].item() == pytest.approx(expected, rel=1e-12)


def test_the_total_weighs_its_terms() -> None:
    found = loss(LossConfig(norm=0.3, unimodal=0.7))
    torch.testing.assert_close(
        found.total, found.terms["emotion"] + 0.3 * found.terms["norm"] + 0.7 * found.terms["unimodal"]
    )
    literal = loss(LossConfig(unimodal=0.0))  # Eq. 18 as it stands
    torch.testing.assert_close(literal.total, literal.terms["emotion"] + literal.terms["norm"])


def test_a_model_without_modality_terms_has_the_emotion_loss_alone() -> None:
    found = loss(terms={})
    assert (found.terms["norm"].item(), found.terms["unimodal"].item()) == (0.0, 0.0)
    torch.testing.assert_close(found.total, found.terms["emotion"])


def test_a_modality_without_a_broad_learning_system_has_no_ridge_objective() -> None:
    found = loss(terms={"text": replace(TEXT, ridge=None)})
    assert found.terms["norm"].item() == 0.0
    assert found.terms["unimodal"].item() > 0


def test_gradients_of_unlabelled_and_absent_utterances_are_zero() -> None:
    logits, scores = LOGITS.clone().requires_grad_(), TEXT.scores.clone().requires_grad_()
    training_loss(logits, LABELS, {"text": replace(TEXT, scores=scores)}, LossConfig(smoothing=0.1)).total.backward()
    assert logits.grad is not None and scores.grad is not None
    labelled = LABELS != UNLABELLED
    assert torch.equal(logits.grad.abs().sum(-1) > 0, labelled)
    assert torch.equal(scores.grad.abs().sum(-1) > 0, labelled & TEXT.present)


def test_without_any_label_only_the_ridge_on_weights_is_left() -> None:
    found = training_loss(LOGITS, torch.full((T,), UNLABELLED), TERMS, LossConfig(ridge=0.5))
    assert TEXT.ridge is not None and AUDIO.ridge is not None
    weights = TEXT.ridge.weight.square().sum() + AUDIO.ridge.weight.square().sum()
    torch.testing.assert_close(found.total, 0.5 * weights)
