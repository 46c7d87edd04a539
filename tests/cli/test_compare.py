"""The command `broadmamba compare`, and the figures that it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from broadmamba.data.corpus import Corpus
from broadmamba.evaluation.significance import holm
from broadmamba.training.comparison import compare_runs
from broadmamba.training.predictions import RunPredictions
from broadmamba.training.runs import train_seeds
from corpora import make_corpus, tiny_config


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that learnt little and much from one corpus, the second with a seed more, and one of a single seed."""
    corpus: Corpus = make_corpus(63, noise=1.5, sizes={"train": 24, "dev": 8, "test": 30})
    folder = tmp_path_factory.mktemp("runs")
    for name, settings, seeds in (
        ("poor", {"epochs": 1, "learning_rate": 1e-4}, [0, 1, 2]),
        ("good", {"epochs": 6}, [0, 1, 2, 7]),
        ("one", {"epochs": 3}, [5]),
    ):
        train_seeds(corpus, tiny_config(**settings), seeds, folder / name)
    return {name: folder / name for name in ("poor", "good", "one")}


def test_json_is_what_the_library_finds(command: Callable[..., Any], runs: dict[str, Path]) -> None:
    result = command("compare", *runs.values(), "--json", "--resamples", 500, "--seed", 3)
    assert (result.code, result.err) == (0, "")
    others = [runs["good"], runs["one"]]
    assert json.loads(result.out) == compare_runs(runs["poor"], others, resamples=500, seed=3)


def test_figures_follow_from_the_results_of_the_seeds(runs: dict[str, Path]) -> None:
    found = compare_runs(runs["poor"], [runs["good"], runs["one"]], resamples=500)
    by_run = {}
    for name, row in zip(runs, found["runs"], strict=True):
        figures = RunPredictions.read(runs[name]).figures
        by_run[name] = figures
        assert row["seeds"] == list(figures) and row["mean"] == pytest.approx(np.mean(list(figures.values())))
        spread = pytest.approx(np.std(list(figures.values()), ddof=1)) if len(figures) > 1 else None
        assert row["sd"] == spread
    good, one = (row["comparison"] for row in found["runs"][1:])
    means = [row["mean"] for row in found["runs"]]
    assert good["difference"] == pytest.approx(means[1] - means[0])
    assert one["difference"] == pytest.approx(means[2] - means[0])
    assert 0 < good["low"] < good["difference"] < good["high"] and good["p"] < 0.05
    pairs = [(by_run["poor"][seed], by_run["good"][seed]) for seed in (0, 1, 2)]
    expected = stats.ttest_rel([b for _, b in pairs], [a for a, _ in pairs])
    assert good["seeds"]["p"] == pytest.approx(expected.pvalue) == good["seeds"]["p_holm"]
    assert one["seeds"] is None, "a single seed, and none that both have"
    assert [good["p_holm"], one["p_holm"]] == holm([good["p"], one["p"]])
    assert found["utterances"] == (RunPredictions.read(runs["poor"]).truth >= 0).sum()


def test_the_table_shows_the_same(command: Callable[..., Any], runs: dict[str, Path]) -> None:
    result = command("compare", runs["poor"], runs["good"], "--resamples", 500)
    found = compare_runs(runs["poor"], [runs["good"]], resamples=500)["runs"][1]
    assert result.code == 0
    text = " ".join(result.out.replace("│", " ").split())
    for expected in (
        f"{100 * found['mean']:.2f} ± {100 * found['sd']:.2f}",
        f"{100 * found['comparison']['difference']:+.2f}",
        f"{100 * found['comparison']['low']:+.2f} to {100 * found['comparison']['high']:+.2f}",
        f"{found['comparison']['seeds']['effect']:+.2f}",
    ):
        assert expected in text
    assert "Holm" not in text
    assert "Holm" in command("compare", *runs.values(), "--resamples", 50).out


def test_a_run_does_not_differ_from_itself(runs: dict[str, Path]) -> None:
    found = compare_runs(runs["good"], [runs["good"]], resamples=50)["runs"][1]["comparison"]
    assert (found["difference"], found["low"], found["high"], found["p"]) == (0, 0, 0, 1)
    assert found["seeds"] == {"t": 0, "p": 1, "effect": 0, "p_holm": 1}


def test_runs_on_different_corpora_are_refused(
    command: Callable[..., Any], runs: dict[str, Path], tmp_path: Path
) -> None:
    train_seeds(make_corpus(64), tiny_config(epochs=1), [0], tmp_path / "other")
    result = command("compare", runs["poor"], tmp_path / "other")
    assert (result.code, result.out) == (2, "")
    assert "were tested on different utterances; nothing is paired" in result.err
    assert result.err.startswith("broadmamba: ") and result.err.count("\n") == 1
    result = command("compare", tmp_path / "nowhere", runs["poor"])
    assert result.code == 2 and "expected a run folder" in result.err
