"""Run folders: what stands in them, and the figures over seeds."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from broadmamba.errors import InputError
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.config import TrainingConfig
from broadmamba.training.report import report_split, report_subsets
from broadmamba.training.runs import SELECTION, summarise, train_seeds
from corpora import LABELS, make_corpus, tiny_config

CORPUS = make_corpus(41, noise=2.5, unlabelled=0.1, repeated=0.3)
CONFIG = tiny_config(epochs=3, speaker_relative=["audio"])
FIGURES = ("weighted_f1", "accuracy", "macro_f1", "uar", "ece")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "deep" / "folder"
    train_seeds(CORPUS, CONFIG, [0, 1, 5], out)
    return out


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_results_hold_dev_and_test_as_promised(runs: Path) -> None:
    results = read(runs / "seed-0" / "results.json")
    assert results["seed"] == 0 and 1 <= results["epoch"] <= 3 and results["training_seconds"] > 0
    for split in ("dev", "test"):
        figures = results[split]
        assert list(figures["f1"]) == list(LABELS)
        confusion = np.array(figures["confusion"])
        labelled = sum(u.label is not None for u in CORPUS.split(split).utterances)
        assert confusion.sum() == figures["utterances"] == labelled < len(CORPUS.split(split).utterances)
        assert figures["accuracy"] == pytest.approx(np.trace(confusion) / confusion.sum())
        assert all(0 <= figures[name] <= 1 for name in FIGURES)
        assert figures["modalities"] == ["text", "audio"]
        assert figures["cost"]["parameters"] > 0 and figures["cost"]["flops"] > 0
        assert figures["cost"]["seconds"] > 0 and figures["cost"]["peak_memory_bytes"] > 10**6
        assert 0 < figures["without_repeats"]["utterances"] < figures["utterances"]


def test_the_model_in_the_folder_is_the_one_that_was_measured(runs: Path) -> None:
    for seed in (0, 1, 5):
        checkpoint = Checkpoint.load(runs / f"seed-{seed}" / "model")
        results = read(runs / f"seed-{seed}" / "results.json")
        epochs = [json.loads(line) for line in (runs / f"seed-{seed}" / "metrics.jsonl").read_text().splitlines()]
        assert [e["epoch"] for e in epochs] == [1, 2, 3]
        assert all(set(e["loss"]) == {"total", "emotion", "norm", "unimodal"} for e in epochs)
        assert results["dev"]["weighted_f1"] == max(e["dev"]["weighted_f1"] for e in epochs)
        for split in ("dev", "test"):
            again = report_split(checkpoint, CORPUS, split)
            again["subsets"] = report_subsets(checkpoint, CORPUS, split)
            assert {**again, "cost": None} == {**results[split], "cost": None}
        assert checkpoint.provenance["results"] == results
        assert checkpoint.provenance["seed"] == seed


def test_the_summary_is_mean_and_standard_deviation_over_seeds(runs: Path) -> None:
    summary = read(runs / "summary.json")
    results = [read(runs / f"seed-{seed}" / "results.json") for seed in (0, 1, 5)]
    assert summary["seeds"] == [0, 1, 5]
    assert summary["selection"] == SELECTION
    for split in ("dev", "test"):
        for name in FIGURES:
            check(summary[split][name], [r[split][name] for r in results])
            check(summary[split]["without_repeats"][name], [r[split]["without_repeats"][name] for r in results])
        for label in LABELS:
            check(summary[split]["f1"][label], [r[split]["f1"][label] for r in results])
        for subset in ("text", "audio", "text+audio"):
            found = summary[split]["subsets"][subset]["weighted_f1"]
            check(found, [r[split]["subsets"][subset]["weighted_f1"] for r in results])
    assert len(set(summary["test"]["weighted_f1"]["values"])) > 1, "seeds that agree test nothing"


def check(found: dict[str, Any], values: list[float]) -> None:
    assert found["values"] == values
    assert found["mean"] == pytest.approx(np.mean(values), abs=1e-12)
    assert found["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    assert found["sd"] == pytest.approx(statistics.stdev(values), abs=1e-12)


def test_one_seed_has_no_spread_and_a_corpus_without_test_no_test_figures(tmp_path: Path) -> None:
    corpus = make_corpus(42, sizes={"train": 4, "dev": 2})
    summary = train_seeds(corpus, tiny_config(epochs=1), [7], tmp_path / "runs")
    assert summary["seeds"] == [7] and "test" not in summary
    assert summary["dev"]["weighted_f1"]["sd"] is None
    assert summary == read(tmp_path / "runs" / "summary.json")


def test_the_settings_of_the_run_can_be_read_back(runs: Path) -> None:
    found = read(runs / "config.json")
    assert TrainingConfig.from_dict(found["training"]) == CONFIG
    corpus = found["corpus"]
    assert len({corpus.pop("sha256"), *corpus.pop("features").values()}) == 3  # of the conversations, text and audio
    assert corpus == {
        "name": "synthetic",
        "labels": list(LABELS),
        "utterances": {name: len(CORPUS.split(name).utterances) for name in ("train", "dev", "test")},
    }
    assert found["selection"] == SELECTION
    assert found["features"] == {
        m: [CORPUS.features[f"tiny-{m}"].spec.to_dict()] for m in ("text", "audio")
    }  # extractor, version, width, whether trained on the labels


def test_the_environment_is_recorded(runs: Path) -> None:
    found = read(runs / "seed-1" / "environment.json")
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert found["numpy"] == version("numpy") and found["broadmamba"] == version("broadmamba")
    assert found["threads"] == torch.get_num_threads()


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        (lambda results: results["dev"].update(weighted_f1="high"), r"dev\.weighted_f1"),
        (lambda results: results["test"]["f1"].popitem(), r"test\.f1\.upset"),
        (lambda results: results["test"].pop("subsets"), r"test\.subsets"),
        (lambda results: results.pop("dev"), "dev"),
    ],
)
def test_damaged_results_are_not_summarised(
    runs: Path, tmp_path: Path, damage: Callable[[dict[str, Any]], object], place: str
) -> None:
    for seed in (0, 1):
        results = read(runs / f"seed-{seed}" / "results.json")
        if seed:
            damage(results)
        (tmp_path / f"seed-{seed}").mkdir()
        (tmp_path / f"seed-{seed}" / "results.json").write_text(json.dumps(results))
    with pytest.raises(InputError, match=rf"seed-1/results\.json: is damaged or of another version at {place};"):
        summarise(tmp_path)


def test_a_run_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected finished seeds"):
        summarise(tmp_path)
    for content in ("[]", "3", "", "{", '"text"'):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(InputError, match=r"config\.json: "):
            train_seeds(CORPUS, CONFIG, [0], tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file"):
        train_seeds(CORPUS, CONFIG, [0], tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "file"]


def test_other_folders_beside_the_seeds_do_no_harm(tmp_path: Path) -> None:
    config = tiny_config(epochs=1)
    train_seeds(CORPUS, config, [0], tmp_path)
    for name in ("seed-0-old", "seed-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text("{}")
    assert train_seeds(CORPUS, config, [0, 1], tmp_path)["seeds"] == [0, 1]
