"""The temperature against a general optimiser, a known truth, and the definition by logits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from broadmamba.bundle.manifest import COLDEST, HOTTEST
from broadmamba.errors import InputError
from broadmamba.evaluation.calibration import fit_temperature, scale
from broadmamba.evaluation.metrics import expected_calibration_error


def drawn(seed: int, temperature: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Labels that follow softmax(logits / temperature), and the probabilities softmax(logits) of an unaware model."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, 5))
    truth = np.array([random.choice(5, p=row) for row in softmax(logits / temperature, axis=1)])
    return truth, softmax(logits, axis=1).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 3.0])
def test_the_true_temperature_is_found_and_calibrates_unseen_utterances(temperature: float) -> None:
    found = fit_temperature(*drawn(0, temperature))
    assert found == pytest.approx(temperature, rel=0.06)
    truth, probabilities = drawn(1, temperature)
    before = expected_calibration_error(truth, probabilities)
    after = expected_calibration_error(truth, scale(probabilities, found))
    assert after < 0.03
    assert temperature == 1.0 or after < 0.5 * before


@given(seed=st.integers(0, 10**6), count=st.integers(1, 40), spread=st.floats(0.1, 20))
@settings(max_examples=60, deadline=None)
def test_it_is_the_minimum_that_a_general_optimiser_finds(seed: int, count: int, spread: float) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, spread, (count, 3))
    truth = random.integers(0, 3, count)

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(count), truth].mean())

    found = fit_temperature(truth, softmax(logits, axis=1))
    expected = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded")
    assert COLDEST <= found <= HOTTEST
    assert loss(np.log(found)) <= expected.fun + 1e-7


@given(seed=st.integers(0, 10**6), temperature=st.floats(COLDEST, HOTTEST), spread=st.floats(0.1, 10))
@settings(max_examples=60, deadline=None)
def test_scaling_is_softmax_of_divided_logits_and_keeps_the_prediction(
    seed: int, temperature: float, spread: float
) -> None:
    logits = np.random.default_rng(seed).normal(0, spread, (7, 4))
    probabilities = softmax(logits, axis=1)
    scaled = scale(probabilities, temperature)
    np.testing.assert_allclose(scaled, softmax(logits / temperature, axis=1), atol=1e-6)
    np.testing.assert_allclose(scaled.sum(1), 1, atol=1e-6)
    assert (np.take_along_axis(scaled, logits.argmax(1)[:, None], 1)[:, 0] == scaled.max(1)).all()


def test_probabilities_of_zero_and_one_are_defined() -> None:
    certain = np.array([[1, 0], [0, 1]], np.float32)
    for temperature in (COLDEST, 1.0, HOTTEST):
        scaled = scale(certain, temperature)
        assert np.isfinite(scaled).all() and (scaled.argmax(1) == [0, 1]).all()
    assert fit_temperature(np.array([0, 1]), certain) < 0.2  # colder ones are no likelier in numbers of 64 bits
    assert fit_temperature(np.array([1, 0]), certain) == pytest.approx(HOTTEST)


def test_utterances_without_a_label_do_not_count() -> None:
    truth, probabilities = drawn(2, 2.0, 300)
    some = truth.copy()
    some[::3] = -1
    assert fit_temperature(some, probabilities) == fit_temperature(truth[some >= 0], probabilities[some >= 0])
    with pytest.raises(InputError, match="no utterance has a label"):
        fit_temperature(np.full(300, -1), probabilities)
