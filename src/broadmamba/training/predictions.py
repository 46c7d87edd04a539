"""What each seed of a run folder says of the test split: written when it is finished, read to compare runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import LabelSet
from broadmamba.errors import InputError
from broadmamba.evaluation.metrics import measure
from broadmamba.storage import read_json, read_jsonl

if TYPE_CHECKING:  # comparing runs needs no network, and no time to load what it is made of
    from broadmamba.data.corpus import Corpus
    from broadmamba.training.checkpoint import Checkpoint

PREDICTIONS = "test_predictions.jsonl"
"""File of a seed: one conversation of the test split a line."""


def prediction_rows(checkpoint: Checkpoint, corpus: Corpus, name: str) -> Iterator[dict[str, Any]]:
    """What a model says of a split: a row a conversation, with the ids, labels and predictions of its utterances."""
    split = corpus.split(name)
    predicted = checkpoint.score(checkpoint.prepare_split(split)).probabilities.argmax(1)
    start = 0
    for conversation in split.conversations:
        rows = predicted[start : start + len(conversation)]
        start += len(conversation)
        yield {
            "conversation": conversation.id,
            "utterances": [u.id for u in conversation],
            "labels": [u.label for u in conversation],
            "predictions": [checkpoint.labels[int(row)] for row in rows],
        }


@dataclass(frozen=True)
class RunPredictions:
    """The predictions of all finished seeds of a run folder for its test split.

    Attributes:
        path: of the folder.
        labels: the order of classes.
        conversations: id → ids of its utterances.
        truth: `(U,)` class indices, -1 where there is no label; conversations one after another.
        predicted: seed → `(U,)`.
    """

    path: Path
    labels: LabelSet
    conversations: Mapping[str, tuple[str, ...]]
    truth: NDArray[np.int64]
    predicted: Mapping[int, NDArray[np.int64]]

    @classmethod
    def read(cls, path: Path) -> RunPredictions:
        """Read a run folder.

        Raises:
            InputError: it is none, no seed is finished, or one has no predictions or other utterances.
        """
        labels = _labels(path / "config.json")
        files = {
            int(folder.name.removeprefix("seed-")): folder / PREDICTIONS
            for folder in path.glob("seed-*")
            if folder.name.removeprefix("seed-").isdecimal() and (folder / "results.json").is_file()
        }
        if not files:
            raise InputError(f"{path}: expected finished seeds (seed-*/results.json), found none")
        read = {seed: _read_predictions(file, labels) for seed, file in sorted(files.items())}
        (first_seed, (conversations, truth, _)), *_ = read.items()
        for seed, (other, other_truth, _) in read.items():
            if list(other.items()) != list(conversations.items()) or not np.array_equal(truth, other_truth):
                raise InputError(f"{path}: seeds {first_seed} and {seed} were tested on different utterances")
        return cls(path, labels, conversations, truth, {seed: predicted for seed, (_, _, predicted) in read.items()})

    @cached_property
    def figures(self) -> dict[int, float]:
        """Weighted F1 of each seed."""
        identity = np.eye(len(self.labels))
        return {s: measure(self.labels, self.truth, identity[p]).weighted_f1 for s, p in self.predicted.items()}

    def in_order_of(self, other: RunPredictions) -> RunPredictions:
        """The same with labels and conversations in the order of another run's.

        Raises:
            InputError: they are not the same.
        """
        if set(self.labels) != set(other.labels):
            raise InputError(
                f"{self.path} and {other.path} have different labels: "
                f"{', '.join(self.labels)} and {', '.join(other.labels)}"
            )
        if dict(self.conversations) != dict(other.conversations):
            raise InputError(f"{self.path} and {other.path} were tested on different utterances; nothing is paired")
        starts = dict(zip(self.conversations, np.cumsum([0, *map(len, self.conversations.values())]), strict=False))
        rows = np.concatenate([starts[id] + np.arange(len(said)) for id, said in other.conversations.items()])
        classes = np.array([*(other.labels.index(name) for name in self.labels), -1])  # the last is that of -1
        truth = classes[self.truth[rows]]
        if not np.array_equal(truth, other.truth):
            raise InputError(f"{self.path} and {other.path} have different labels for the same utterances")
        predicted = {seed: classes[values[rows]] for seed, values in self.predicted.items()}
        return RunPredictions(self.path, other.labels, other.conversations, truth, predicted)


def _labels(file: Path) -> LabelSet:
    if not file.is_file():
        raise InputError(f"{file.parent}: expected a run folder with config.json, found none")
    values = read_json(file)
    corpus = values.get("corpus") if isinstance(values, dict) else None
    labels = corpus.get("labels") if isinstance(corpus, dict) else None
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        raise InputError(f"{file}: expected the settings of a run with the labels of its corpus")
    return LabelSet(labels)


_Read = tuple[dict[str, tuple[str, ...]], NDArray[np.int64], NDArray[np.int64]]


def _read_predictions(file: Path, labels: LabelSet) -> _Read:
    """Conversations, truth and predictions of one seed."""
    if not file.is_file():
        raise InputError(
            f"{file}: there is no such file; the corpus has no test split, or the seed was trained by a version that "
            "did not keep predictions"
        )
    index: dict[str | None, int] = {**{name: i for i, name in enumerate(labels)}, None: -1}
    conversations: dict[str, tuple[str, ...]] = {}
    truth: list[int] = []
    predicted: list[int] = []
    for number, row in read_jsonl(file):
        try:
            id, said, labelled, told = (row[k] for k in ("conversation", "utterances", "labels", "predictions"))
            if id in conversations or not len(said) == len(labelled) == len(told) or None in told:
                raise ValueError
            conversations[id] = tuple(said)
            truth += [index[name] for name in labelled]
            predicted += [index[name] for name in told]
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{file}, line {number}: expected a conversation with as many utterances as labels and predictions"
            ) from None
    return conversations, np.array(truth, np.int64), np.array(predicted, np.int64)
