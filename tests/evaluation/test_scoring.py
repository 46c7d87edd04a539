"""Scores come in the order of the utterances, whatever batches they went through."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from broadmamba.data.batching import Batch, Prepared
from broadmamba.data.conversation import LabelSet
from broadmamba.evaluation.metrics import measure
from broadmamba.evaluation.scoring import BATCH_SIZE, evaluate, score
from broadmamba.model.config import BroadMambaConfig
from broadmamba.model.network import BroadMamba
from broadmamba.testing import random_conversations

WIDTHS = {"text": 4, "audio": 3}
LABELS = LabelSet(["a", "b", "c"])


@pytest.fixture
def prepared() -> Prepared:
    lengths = [int(n) for n in np.random.default_rng(0).integers(1, 12, 2 * BATCH_SIZE + 5)]
    return random_conversations(WIDTHS, 3, lengths)


def echo(batch: Batch) -> SimpleNamespace:
    """A model that says of an utterance what its features are."""
    assert not torch.is_grad_enabled()
    return SimpleNamespace(probabilities=batch.features["audio"], modality_weights=batch.features["text"][..., :2])


def test_scores_stand_in_the_order_of_the_utterances(prepared: Prepared) -> None:
    found = score(echo, prepared, ("text", "audio"))
    np.testing.assert_array_equal(found.probabilities, prepared.features["audio"].numpy())
    np.testing.assert_array_equal(found.modality_weights, prepared.features["text"][:, :2].numpy())
    np.testing.assert_array_equal(found.present[:, 0], prepared.present["text"].numpy())
    np.testing.assert_array_equal(found.present[:, 1], prepared.present["audio"].numpy())


def test_a_modality_that_was_not_given_is_present_nowhere(prepared: Prepared) -> None:
    found = score(echo, prepared, ("text", "audio", "video"))
    assert found.present.shape == (sum(prepared.lengths), 3)
    assert not found.present[:, 2].any()


def test_scores_are_those_of_each_conversation_alone(prepared: Prepared) -> None:
    torch.manual_seed(0)
    model = BroadMamba(BroadMambaConfig(widths=WIDTHS, classes=3, d_model=8, d_state=4)).eval()
    found = score(model, prepared, model.config.modalities)
    with torch.no_grad():
        alone = [model(prepared.batch([i])) for i in range(len(prepared.lengths))]
    np.testing.assert_allclose(found.probabilities, torch.cat([o.probabilities[0] for o in alone]), atol=1e-6)
    np.testing.assert_allclose(found.modality_weights, torch.cat([o.modality_weights[0] for o in alone]), atol=1e-6)


def test_evaluating_is_scoring_and_measuring(prepared: Prepared) -> None:
    expected = measure(LABELS, prepared.labels.numpy(), prepared.features["audio"].numpy())
    assert evaluate(echo, prepared, LABELS, ("text", "audio")).to_dict() == expected.to_dict()
