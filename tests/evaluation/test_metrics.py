"""Every figure against scikit-learn, and calibration against a plain loop."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from broadmamba.data.conversation import LabelSet
from broadmamba.errors import InputError
from broadmamba.evaluation.metrics import BINS, expected_calibration_error, measure

LABELS = LabelSet(["a", "b", "c", "d", "e"])
C = len(LABELS)


def certain(predicted: list[int]) -> NDArray[np.float64]:
    """Probabilities whose largest is the prediction."""
    return 0.2 * np.eye(C)[predicted] + 0.8 / C


CLASSES = st.sampled_from([range(1), range(2), range(1, 4), range(C)])  # some classes never occur
PAIRS = st.tuples(CLASSES, CLASSES).flatmap(
    lambda known: st.lists(st.tuples(st.sampled_from(known[0]), st.sampled_from(known[1])), min_size=1, max_size=40)
)


@given(pairs=PAIRS)
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning:sklearn", "ignore:y_pred contains classes")
def test_figures_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = map(list, zip(*pairs, strict=True))
    found = measure(LABELS, np.array(truth), certain(predicted))
    every = list(range(C))
    np.testing.assert_array_equal(found.confusion, sk.confusion_matrix(truth, predicted, labels=every))
    by_class = sk.precision_recall_fscore_support(truth, predicted, labels=every, zero_division=0)
    for ours, theirs in zip((found.precision, found.recall, found.f1, found.support), by_class, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert found.accuracy == pytest.approx(sk.accuracy_score(truth, predicted))
    assert found.weighted_f1 == pytest.approx(sk.f1_score(truth, predicted, average="weighted", zero_division=0))
    assert found.macro_f1 == pytest.approx(sk.f1_score(truth, predicted, average="macro", zero_division=0))
    assert found.unweighted_recall == pytest.approx(sk.balanced_accuracy_score(truth, predicted))
    assert found.utterances == len(pairs)


def test_utterances_without_a_label_are_left_out() -> None:
    probabilities = certain([0, 1, 2, 3])
    some = measure(LABELS, np.array([0, -1, 1, -1]), probabilities)
    assert some.utterances == 2
    alone = measure(LABELS, np.array([0, 1]), probabilities[[0, 2]])
    assert some.to_dict() == alone.to_dict()


def test_nothing_to_measure_is_said() -> None:
    with pytest.raises(InputError, match="no utterance has a label"):
        measure(LABELS, np.array([-1, -1]), certain([0, 1]))


def test_figures_as_json_keep_the_order_of_classes() -> None:
    found = measure(LABELS, np.array([0, 1, 1]), certain([0, 1, 2]))
    values: dict[str, Any] = json.loads(json.dumps(found.to_dict()))
    assert list(values["f1"]) == list(LABELS)
    assert values["f1"]["b"] == pytest.approx(2 / 3)
    assert values["f1"]["e"] == 0.0
    assert values["confusion"][1] == [0, 1, 1, 0, 0]
    assert values["utterances"] == 3


def plain_calibration_error(truth: list[int], probabilities: list[list[float]]) -> float:
    """Σ over bins of share · |accuracy - confidence|, one utterance at a time; bins are open below."""
    error = 0.0
    for b in range(BINS):
        members = [
            (max(row), row.index(max(row)) == right)
            for right, row in zip(truth, probabilities, strict=True)
            if b / BINS < max(row) <= (b + 1) / BINS
        ]
        if members:
            confidence = math.fsum(c for c, _ in members) / len(members)
            accuracy = sum(hit for _, hit in members) / len(members)
            error += len(members) / len(truth) * abs(accuracy - confidence)
    return error


@given(
    rows=st.lists(st.lists(st.integers(1, 200), min_size=C, max_size=C, unique=True), min_size=1, max_size=40),
    seed=st.integers(0, 100),
)
@settings(max_examples=100, deadline=None)
def test_calibration_error_is_that_of_a_plain_loop(rows: list[list[int]], seed: int) -> None:
    probabilities = np.array(rows) / np.sum(rows, axis=1, keepdims=True)
    truth = np.random.default_rng(seed).integers(0, C, len(rows))
    expected = plain_calibration_error(truth.tolist(), probabilities.tolist())
    assert expected_calibration_error(truth, probabilities) == pytest.approx(expected, abs=1e-9)
    assert measure(LABELS, truth, probabilities).calibration_error == pytest.approx(expected, abs=1e-9)


def test_calibration_error_of_the_sure_and_right_is_0_and_of_the_sure_and_wrong_is_1() -> None:
    sure = np.eye(C, dtype=np.float32)[[0, 1, 2]]
    assert expected_calibration_error(np.array([0, 1, 2]), sure) == 0.0
    assert expected_calibration_error(np.array([1, 2, 0]), sure) == 1.0
