"""The test split selects nothing, and dev and test change no normalisation."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from broadmamba.data.conversation import Conversation
from broadmamba.data.corpus import Corpus, Split
from broadmamba.evaluation.metrics import measure
from broadmamba.storage import read_json
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.config import TrainingConfig
from broadmamba.training.fit import Epoch, fit
from broadmamba.training.runs import train_seeds
from corpora import LABELS, make_corpus, rows_of, tiny_config, with_values

CONFIG = tiny_config(epochs=4)


def shuffled_labels(corpus: Corpus) -> Corpus:
    random = np.random.default_rng(0)

    def shuffle(conversation: Conversation) -> Conversation:
        if conversation.id not in corpus.splits["test"]:
            return conversation
        return replace(
            conversation,
            utterances=tuple(replace(u, label=LABELS[random.integers(3)], text="?") for u in conversation),
        )

    return replace(corpus, conversations=tuple(map(shuffle, corpus.conversations)))


def other_features(corpus: Corpus, split: str = "test") -> Corpus:
    random = np.random.default_rng(1)
    rows = rows_of(corpus, split)

    def change(values: np.ndarray) -> np.ndarray:
        return np.where(rows[:, None], random.normal(50, 900, values.shape), values).astype(np.float32)

    return with_values(corpus, {name: change(f.values) for name, f in corpus.features.items()})


def no_features(corpus: Corpus) -> Corpus:
    rows = rows_of(corpus, "test")[:, None]
    return with_values(
        corpus, {name: np.where(rows, np.nan, f.values).astype(np.float32) for name, f in corpus.features.items()}
    )


def without_test(corpus: Corpus) -> Corpus:
    return replace(corpus, splits={name: ids for name, ids in corpus.splits.items() if name != "test"})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the splits that anybody asks a corpus for."""
    names: list[str] = []
    original = Corpus.split

    def split(self: Corpus, name: str) -> Split:
        names.append(name)
        return original(self, name)

    monkeypatch.setattr(Corpus, "split", split)
    return names


@pytest.mark.parametrize("change", [shuffled_labels, other_features, no_features, without_test])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_whatever_is_done_to_test_the_selected_model_is_the_same(
    change: Callable[[Corpus], Corpus], average: float
) -> None:
    corpus = make_corpus(11, noise=2.0)
    config = replace(CONFIG, average=average, speaker_relative=("audio",))
    plain, changed = fit(corpus, config), fit(change(corpus), config)
    assert plain.epoch == changed.epoch and plain.history == changed.history
    for (name, one), other in zip(
        plain.checkpoint.model.state_dict().items(), changed.checkpoint.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_a_run_folder_differs_only_where_test_is_reported(tmp_path: Path) -> None:
    corpus = make_corpus(11, noise=2.0)
    train_seeds(corpus, CONFIG, [0], tmp_path / "plain")
    train_seeds(shuffled_labels(corpus), CONFIG, [0], tmp_path / "changed")
    plain, changed = tmp_path / "plain" / "seed-0", tmp_path / "changed" / "seed-0"
    for name in ("model/model.safetensors", "metrics.jsonl"):
        assert (plain / name).read_bytes() == (changed / name).read_bytes()
    one, other = read_json(plain / "results.json"), read_json(changed / "results.json")
    assert one["test"]["confusion"] != other["test"]["confusion"]
    assert one["dev"]["confusion"] == other["dev"]["confusion"]
    assert one["epoch"] == other["epoch"]


def test_dev_does_select(tmp_path: Path) -> None:
    """The counterpart: were the tests above blind, this one would fail."""
    corpus = make_corpus(11, noise=2.0)
    plain, changed = fit(corpus, CONFIG), fit(other_features(corpus, "dev"), CONFIG)
    assert plain.history != changed.history


def test_fit_asks_for_train_and_dev_alone(asked: list[str]) -> None:
    fit(make_corpus(12), CONFIG)
    assert set(asked) == {"train", "dev"}


def test_test_is_asked_for_only_after_the_last_epoch(asked: list[str], tmp_path: Path) -> None:
    def on_epoch(seed: int, epoch: object) -> None:
        asked.append("epoch")

    corpus = make_corpus(12)
    train_seeds(corpus, CONFIG, [0], tmp_path / "runs", on_epoch=on_epoch)
    last = len(asked) - asked[::-1].index("epoch")
    counted = asked[: asked.index("epoch")].count("test")
    assert counted <= 1, "the experiment's record counts utterances, nothing else may read test before training"
    assert "test" not in asked[asked.index("epoch") : last]
    assert "test" in asked[last:]


def test_no_parameter_of_fit_could_take_a_split() -> None:
    signature = inspect.signature(fit, eval_str=True)
    assert {name: p.annotation for name, p in signature.parameters.items()} == {
        "corpus": Corpus,
        "config": TrainingConfig,
        "seed": int,
        "state": Path | None,
        "on_epoch": Callable[[Epoch], None] | None,
        "watch": Callable[[Checkpoint], Mapping[str, float]] | None,
    }


def test_whatever_a_watcher_does_the_selected_model_is_the_same() -> None:
    corpus = make_corpus(14)
    test = corpus.split("test")

    def meddle(checkpoint: Checkpoint) -> dict[str, float]:
        prepared = checkpoint.prepare_split(test)
        seen = measure(checkpoint.labels, prepared.labels.numpy(), checkpoint.score(prepared).probabilities)
        torch.rand(7)
        with torch.no_grad():
            for parameter in checkpoint.model.parameters():
                parameter.zero_()
        return {"test_weighted_f1": seen.weighted_f1}

    config = replace(CONFIG, average=0.9)
    plain, watched = fit(corpus, config), fit(corpus, config, watch=meddle)
    assert [e.watched for e in plain.history] == [{}] * config.epochs
    assert all(0 <= e.watched["test_weighted_f1"] <= 1 for e in watched.history)
    assert [replace(e, watched={}) for e in watched.history] == list(plain.history)
    state = plain.checkpoint.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in watched.checkpoint.model.state_dict().items())


def test_normalisation_is_measured_on_train_alone() -> None:
    corpus = make_corpus(13, gaps=0.2, missing=0.1)
    plain = fit(corpus, replace(CONFIG, epochs=1)).checkpoint.normalisers
    train = rows_of(corpus, "train")
    for m, normaliser in plain.items():
        values = corpus.features[f"tiny-{m}"].values[train].astype(np.float64)
        np.testing.assert_allclose(normaliser.mean, np.nanmean(values, axis=0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(normaliser.scale, np.nanstd(values, axis=0), rtol=1e-5)
    for split, same in (("dev", True), ("test", True), ("train", False)):
        other = fit(other_features(corpus, split), replace(CONFIG, epochs=1)).checkpoint.normalisers
        for m in plain:
            assert np.array_equal(plain[m].mean, other[m].mean) is same, split
            assert np.array_equal(plain[m].scale, other[m].scale) is same, split


@pytest.fixture
def search() -> ModuleType:
    """The search over settings, which is a script."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "search.py"
    spec = importlib.util.spec_from_file_location("benchmarks_search", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_search_over_settings_never_reads_test(
    search: ModuleType, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(14)
    rows = []
    small = "epochs=2,model.d_model=8,model.n=2,model.m=2"
    for name, found in (("plain", corpus), ("changed", shuffled_labels(other_features(corpus)))):
        found.save(tmp_path / name)
        out = tmp_path / f"{name}.jsonl"
        monkeypatch.setattr(
            sys, "argv", ["search", str(tmp_path / name), small, f"features:text=tiny-text,{small}", "--seeds", "0-1",
                          "--out", str(out)]
        )  # fmt: skip
        search.main()
        rows.append([{**json.loads(line), "seconds": None} for line in out.read_text().splitlines()])
    assert rows[0] == rows[1]
    assert len(rows[0]) == 2 and rows[0][0]["variation"] == small
    assert set(asked) == {"train", "dev"}
