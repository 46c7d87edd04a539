"""Figures, states and records of one corpus are never taken for those of another that only looks like it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broadmamba.data.corpus import Corpus
from broadmamba.errors import CheckpointError, InputError
from broadmamba.training import fit as fit_module
from broadmamba.training.fit import Epoch, fit
from broadmamba.training.runs import train_seeds
from corpora import make_corpus, rows_of, tiny_config, with_values

CORPUS = make_corpus(51)
CONFIG = tiny_config(epochs=3)


def relabelled(corpus: Corpus, split: str) -> Corpus:
    """The labels of a split in reverse order; all counts are the same."""
    ids = corpus.splits[split]
    labels = [u.label for c in corpus.conversations if c.id in ids for u in c]
    conversations = tuple(
        replace(c, utterances=tuple(replace(u, label=labels.pop()) for u in c)) if c.id in ids else c
        for c in corpus.conversations
    )
    return replace(corpus, conversations=conversations)


def one_value_changed(corpus: Corpus, split: str) -> Corpus:
    values = corpus.features["tiny-audio"].values.copy()
    row = np.flatnonzero(rows_of(corpus, split))[-1]
    values[row, 2] = np.nextafter(values[row, 2], np.float32(9))
    return with_values(corpus, {"tiny-audio": values})


def another_text(corpus: Corpus, split: str) -> Corpus:
    """Texts decide which figures are those without repeats."""
    first = corpus.splits[split][0]
    said = tuple(
        replace(c, utterances=tuple(replace(u, text="another") for u in c)) if c.id == first else c
        for c in corpus.conversations
    )
    return replace(corpus, conversations=said)


@pytest.mark.parametrize("change", [relabelled, one_value_changed, another_text])
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_run_folder_is_of_one_corpus_to_the_last_bit(
    tmp_path: Path, split: str, change: Callable[[Corpus, str], Corpus], once: Path
) -> None:
    before = {path: path.read_bytes() for path in once.rglob("*") if path.is_file()}
    for seed in (0, 1):
        with pytest.raises(
            InputError, match=r"holds runs of another experiment \(its corpus differs in .*\); choose another"
        ):
            train_seeds(change(CORPUS, split), CONFIG, [seed], once)
    assert {path: path.read_bytes() for path in once.rglob("*") if path.is_file()} == before


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    train_seeds(CORPUS, CONFIG, [0], out)
    return out


def test_the_same_corpus_in_another_folder_goes_on(tmp_path: Path, once: Path) -> None:
    CORPUS.add_feature(replace(CORPUS.features["tiny-audio"])).save(tmp_path / "copy")
    trained: list[int] = []
    train_seeds(Corpus.open(tmp_path / "copy"), CONFIG, [0], once, on_epoch=lambda seed, _: trained.append(seed))
    assert not trained


def test_a_feature_that_is_not_read_does_not_matter(tmp_path: Path) -> None:
    config = tiny_config(epochs=1, features={"text": ["tiny-text"]})
    train_seeds(CORPUS, config, [0], tmp_path / "runs")
    train_seeds(one_value_changed(CORPUS, "train"), config, [0], tmp_path / "runs")


def test_a_label_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    CORPUS.save(tmp_path / "corpus")
    config = tiny_config(epochs=1)
    train_seeds(Corpus.open(tmp_path / "corpus"), config, [0], tmp_path / "runs")
    table = tmp_path / "corpus" / "utterances.jsonl"
    table.write_text(table.read_text().replace('"label": "calm"', '"label": "glad"', 1))
    with pytest.raises(InputError, match="holds runs of another experiment"):
        train_seeds(Corpus.open(tmp_path / "corpus"), config, [0], tmp_path / "runs")


def test_runs_that_do_not_say_what_their_corpus_held_are_left_as_they_are(tmp_path: Path) -> None:
    config = tiny_config(epochs=1)
    train_seeds(CORPUS, config, [0], tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    del settings["corpus"]["sha256"], settings["corpus"]["features"]
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="runs of an earlier version, which did not note the content of its corpus"):
        train_seeds(CORPUS, config, [0, 1], tmp_path)
    assert not (tmp_path / "seed-1").exists()


class StoppedError(Exception):
    """Raised in the middle of a training, in place of a kill."""


def stop_after(epochs: int) -> Callable[[Epoch], None]:
    def stop(epoch: Epoch) -> None:
        if epoch.epoch > epochs:
            raise StoppedError

    return stop


@pytest.mark.parametrize("what", ["labels of train", "a value of dev", "settings", "seed"])
def test_a_state_goes_on_with_what_it_began_with_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(fit_module, "SAVE_EVERY", 0.0)
    state = tmp_path / "state.pt"
    with pytest.raises(StoppedError):
        fit(CORPUS, CONFIG, state=state, on_epoch=stop_after(1))
    corpus, config, seed = {
        "labels of train": (relabelled(CORPUS, "train"), CONFIG, 0),
        "a value of dev": (one_value_changed(CORPUS, "dev"), CONFIG, 0),
        "settings": (CORPUS, replace(CONFIG, clip=0.5), 0),
        "seed": (CORPUS, CONFIG, 1),
    }[what]
    with pytest.raises(
        CheckpointError, match=r"state\.pt: was left by a training on other data or with other settings"
    ):
        fit(corpus, config, seed=seed, state=state)
    fit(CORPUS, CONFIG, state=state)


def test_the_seconds_of_all_parts_of_a_training_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "SAVE_EVERY", 0.0)
    now = iter(range(0, 10**9, 100))
    monkeypatch.setattr(fit_module.time, "perf_counter", lambda: next(now))  # the clock goes on 100 s at each look
    with pytest.raises(StoppedError):
        fit(CORPUS, CONFIG, state=tmp_path / "state.pt", on_epoch=stop_after(1))
    # first part: begun at 0, saved at 100; second part: begun at 200, saved twice on the way, ended at 500
    assert fit(CORPUS, CONFIG, state=tmp_path / "state.pt").seconds == 100 + 300


def test_a_test_split_without_labels_is_told_before_training_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    corpus = without_labels(CORPUS, "test")

    def on_epoch(seed: int, epoch: Epoch) -> None:
        told.extend(record.getMessage() for record in caplog.records)

    with caplog.at_level(logging.WARNING, "broadmamba"):
        summary = train_seeds(corpus, tiny_config(epochs=1), [0], tmp_path / "runs", on_epoch=on_epoch)
    assert told == ["corpus 'synthetic' has no labels in its test split: only dev is reported on"]
    assert "dev" in summary and "test" not in summary
    assert not (tmp_path / "runs" / "seed-0" / "test_predictions.jsonl").exists()


@pytest.mark.parametrize("split", ["train", "dev"])
def test_train_and_dev_without_labels_are_refused_and_nothing_is_left(tmp_path: Path, split: str) -> None:
    with pytest.raises(InputError, match=f"labels in train and dev, {split} of corpus 'synthetic' has none"):
        train_seeds(without_labels(CORPUS, split), CONFIG, [0], tmp_path / "runs")
    assert not list(tmp_path.iterdir())


def without_labels(corpus: Corpus, split: str) -> Corpus:
    ids = corpus.splits[split]
    conversations = tuple(
        replace(c, utterances=tuple(replace(u, label=None) for u in c)) if c.id in ids else c
        for c in corpus.conversations
    )
    return replace(corpus, conversations=conversations)
