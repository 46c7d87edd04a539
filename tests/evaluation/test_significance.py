"""The paired tests against slow loops, SciPy, and what is known of their distributions."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from broadmamba.errors import InputError
from broadmamba.evaluation.significance import holm, paired_bootstrap, paired_t_test


def answers(random: np.random.Generator, truth: np.ndarray, right: float, seeds: int, classes: int) -> np.ndarray:
    """Predictions that are right with a chance, else random."""
    guesses = random.integers(0, classes, (seeds, len(truth)))
    return np.where(random.random(guesses.shape) < right, truth, guesses)


def dialogues_of(lengths: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(lengths)), lengths)


def mean_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.mean([f1_score(truth, row, average="weighted", zero_division=0) for row in predicted]))


def slow(truth: np.ndarray, first: np.ndarray, second: np.ndarray, dialogues: np.ndarray, seed: int, resamples: int):
    """The bootstrap as it is told: utterances of drawn dialogues are put side by side and measured by scikit-learn."""
    random = np.random.default_rng(seed)
    count = dialogues.max() + 1
    differences = []
    for drawn in random.integers(0, count, (resamples, count)):
        rows = np.concatenate([np.flatnonzero(dialogues == d) for d in drawn])
        differences.append(mean_f1(truth[rows], second[:, rows]) - mean_f1(truth[rows], first[:, rows]))
    return np.array(differences)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_what_resampled_utterances_give(seed: int) -> None:
    random = np.random.default_rng(seed)
    dialogues = dialogues_of(random.integers(1, 6, 12))
    truth = random.integers(0, 4, len(dialogues))
    first, second = answers(random, truth, 0.3, 2, 4), answers(random, truth, 0.45, 3, 4)
    found = paired_bootstrap(truth, first, second, dialogues, 4, resamples=60, seed=seed)
    expected = slow(truth, first, second, dialogues, seed, 60)
    assert found.difference == pytest.approx(mean_f1(truth, second) - mean_f1(truth, first))
    np.testing.assert_allclose([found.low, found.high], np.quantile(expected, [0.025, 0.975]))
    tail = min((expected <= 1e-12).sum(), (expected >= -1e-12).sum())
    assert found.p == pytest.approx(min(1, 2 * (1 + tail) / 61))


def test_systems_that_agree_do_not_differ_and_clear_differences_are_found() -> None:
    random = np.random.default_rng(3)
    dialogues = dialogues_of(random.integers(3, 12, 60))
    truth = random.integers(0, 5, len(dialogues))
    poor, good = answers(random, truth, 0.3, 3, 5), answers(random, truth, 0.6, 3, 5)
    same = paired_bootstrap(truth, poor, poor.copy(), dialogues, 5, resamples=500)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    better = paired_bootstrap(truth, poor, good, dialogues, 5, resamples=2000)
    assert 0 < better.low < better.difference < better.high and better.p < 0.002
    worse = paired_bootstrap(truth, good, poor, dialogues, 5, resamples=2000)
    assert (worse.difference, worse.p) == (pytest.approx(-better.difference), better.p)
    assert (worse.low, worse.high) == (pytest.approx(-better.high), pytest.approx(-better.low))


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says() -> None:
    """Two systems whose answers are right by dialogue, so that utterances are far from independent."""
    random = np.random.default_rng(4)
    covered, alarms = 0, 0
    for trial in range(200):
        dialogues = dialogues_of(np.full(60, 5))
        truth = random.integers(0, 2, len(dialogues))
        luck = random.random((2, 60)) < 0.7  # a dialogue is understood or misunderstood as a whole
        first, second = (np.where(row[dialogues], truth, 1 - truth)[None] for row in luck)
        found = paired_bootstrap(truth, first, second, dialogues, 2, resamples=400, seed=trial)
        covered += found.low <= 0 <= found.high
        alarms += found.p < 0.05
    assert 0.90 <= covered / 200 <= 0.99
    assert 0.01 <= alarms / 200 <= 0.10


def test_utterances_without_a_label_and_their_dialogues_do_not_count() -> None:
    random = np.random.default_rng(5)
    dialogues = dialogues_of(np.array([3, 2, 4, 1, 5, 3]))
    truth = random.integers(0, 3, len(dialogues))
    first, second = answers(random, truth, 0.2, 2, 3), answers(random, truth, 0.7, 2, 3)
    truth[[1, 3, 4]] = -1  # dialogue 1 has no label left
    kept = truth >= 0
    renumbered = np.array([0, -1, 1, 2, 3, 4])[dialogues[kept]]
    found = paired_bootstrap(truth, first, second, dialogues, 3, resamples=100)
    assert found == paired_bootstrap(truth[kept], first[:, kept], second[:, kept], renumbered, 3, resamples=100)
    with pytest.raises(InputError, match="no utterance has a label"):
        paired_bootstrap(np.full(18, -1), first, second, dialogues, 3)


@given(seed=st.integers(0, 10**6), dialogues=st.integers(1, 6), classes=st.integers(2, 5), seeds=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_figures_are_always_in_their_bounds(seed: int, dialogues: int, classes: int, seeds: int) -> None:
    random = np.random.default_rng(seed)
    of = dialogues_of(random.integers(1, 4, dialogues))
    truth = random.integers(0, classes, len(of))
    first, second = answers(random, truth, 0.5, seeds, classes), answers(random, truth, 0.5, 2, classes)
    found = paired_bootstrap(truth, first, second, of, classes, resamples=50, seed=seed)
    assert -1 <= found.low <= found.high <= 1 and 0 < found.p <= 1
    assert found.difference == pytest.approx(mean_f1(truth, second) - mean_f1(truth, first))
    assert found == paired_bootstrap(truth, first, second, of, classes, resamples=50, seed=seed)


def test_ten_thousand_resamples_of_ten_seeds_are_quick() -> None:
    random = np.random.default_rng(6)
    dialogues = dialogues_of(random.integers(3, 16, 280))
    truth = random.integers(0, 7, len(dialogues))
    first, second = answers(random, truth, 0.5, 10, 7), answers(random, truth, 0.5, 10, 7)
    begun = time.process_time()
    paired_bootstrap(truth, first, second, dialogues, 7)
    assert time.process_time() - begun < 3, "a second on a machine of its own"


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7, 10, 11, 40])
@pytest.mark.parametrize("shift", [0.0, 0.02, 0.3, 2.0])
def test_the_t_test_is_that_of_scipy(count: int, shift: float) -> None:
    random = np.random.default_rng(count)
    first = random.normal(0.6, 0.01, count)
    second = first + random.normal(shift, 0.1, count)
    found, expected = paired_t_test(first.tolist(), second.tolist()), stats.ttest_rel(second, first)
    assert found.t == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert found.effect == pytest.approx(np.mean(second - first) / np.std(second - first, ddof=1))


def test_figures_that_do_not_vary() -> None:
    assert paired_t_test([0.5, 0.25], [0.5, 0.25]).p == 1
    always = paired_t_test([0.5, 0.25, 0.5], [0.25, 0.0, 0.25])
    assert (always.p, always.effect) == (0, -math.inf)
    for first, second in (([0.5], [0.6]), ([], []), ([0.1, 0.2], [0.3])):
        with pytest.raises(InputError, match="at least two pairs"):
            paired_t_test(first, second)


def test_holm_on_the_textbook_s_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2]) == [0.2] and holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_between_nothing_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1, p * len(p_values)) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()
