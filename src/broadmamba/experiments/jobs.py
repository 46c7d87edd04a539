"""One run of an experiment, known by what decides its result, and the record that is kept of it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from broadmamba.data.batching import Prepared
from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.evaluation.metrics import measure
from broadmamba.experiments.facts import CorpusFacts
from broadmamba.storage import write_text
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.config import TrainingConfig
from broadmamba.training.environment import environment
from broadmamba.training.fit import fit
from broadmamba.training.report import unseen

VERSION = 1
"""Of the records; another one has other keys, so that old records are never taken for new ones."""


@dataclass(frozen=True)
class Job:
    """A training with one seed.

    Attributes:
        corpus: under which name the corpus is known.
        config: all settings.
        seed: of everything random.
        losses: whether losses of train and dev are measured after each epoch, without dropout.
    """

    corpus: str
    config: TrainingConfig
    seed: int
    losses: bool = False

    def features(self, facts: CorpusFacts) -> list[str]:
        """The features that it may read.

        Raises:
            InputError: the corpus lacks one that the settings name.
        """
        names = [name for group in self.config.features.values() for name in group] or list(facts.features)
        if missing := [name for name in names if name not in facts.features]:
            known = ", ".join(facts.features) or "none"
            raise InputError(f"corpus {self.corpus!r} has no feature {missing[0]!r}; it has {known}")
        return names

    def key(self, facts: CorpusFacts) -> str:
        """What the record is called: a hash of corpus, features, settings and seed.

        Raises:
            InputError: the corpus lacks a feature that the settings name.
        """
        content = {
            "version": VERSION,
            "corpus": facts.sha256,
            "features": {name: facts.features[name] for name in self.features(facts)},
            "config": self.config.to_dict(),
            "seed": self.seed,
            "losses": self.losses,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def record_path(out: Path, corpus: str, key: str) -> Path:
    """Where the record of a job stands."""
    return out / "records" / corpus / f"{key}.json"


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Keep a record, in one line: there are hundreds, and nobody reads their counts by eye."""
    write_text(path, json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def run_job(job: Job, corpus: Corpus, facts: CorpusFacts) -> dict[str, Any]:
    """Train, select on dev, look at test once afterwards, and tell everything.

    Returns:
        `key`, `corpus`, `system`, `seed`, `config`, `features` (their specs), `epoch` (the selected one), `dev` and
        `test` (figures; of test also `without_repeats`), `counts` (by test conversation: `right` and `predicted`
        utterances of each class), `predictions` (a string a test conversation, a digit a class), `history` (losses
        and dev of every epoch, and as `watched` the test figure that selection never saw), `parameters`,
        `training_seconds`, `environment`.
    """
    watcher = _Watcher(corpus, job.config, job.losses)
    begun = time.perf_counter()
    fitted = fit(corpus, job.config, seed=job.seed, watch=watcher)
    seconds = time.perf_counter() - begun - watcher.seconds
    checkpoint = fitted.checkpoint
    test = corpus.split("test")
    prepared = checkpoint.prepare_split(test)
    probabilities = checkpoint.score(prepared).probabilities
    truth = prepared.labels.numpy()
    new = unseen(test.utterances, corpus.split("train").utterances)
    figures = measure(checkpoint.labels, truth, probabilities).to_dict()
    if (truth[new] >= 0).any():
        figures["without_repeats"] = measure(checkpoint.labels, truth[new], probabilities[new]).to_dict()
    return {
        "key": job.key(facts),
        "corpus": job.corpus,
        "system": job.config.system,
        "seed": job.seed,
        "config": job.config.to_dict(),
        "features": {m: [_brief(asdict(s)) for s in specs] for m, specs in checkpoint.features.items()},
        "epoch": fitted.epoch,
        "dev": fitted.dev.to_dict(),
        "test": figures,
        **_by_conversation(truth, probabilities.argmax(1), prepared.lengths, len(checkpoint.labels)),
        "history": [asdict(epoch) for epoch in fitted.history],
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
        "training_seconds": seconds,
        "environment": environment(),
    }


def _brief(spec: dict[str, Any]) -> dict[str, Any]:
    """A feature's spec without the names of its columns."""
    return {name: value for name, value in spec.items() if name != "columns"}


def _by_conversation(
    truth: np.ndarray[Any, Any], predicted: np.ndarray[Any, Any], lengths: tuple[int, ...], classes: int
) -> dict[str, Any]:
    """Counts of each conversation, which are all that comparisons need, and its predictions as a string."""
    ends = np.cumsum(lengths)[:-1]
    parts = list(zip(np.split(truth, ends), np.split(predicted, ends), strict=True))
    known = [(t[t >= 0], p[t >= 0]) for t, p in parts]
    return {
        "counts": {
            "right": [np.bincount(t[t == p], minlength=classes).tolist() for t, p in known],
            "predicted": [np.bincount(p, minlength=classes).tolist() for _, p in known],
        },
        "predictions": ["".join(np.base_repr(int(c), 36) for c in p) for _, p in parts],
    }


class _Watcher:
    """Looks at the model of every epoch without being heard: what it gives is kept beside the history.

    Attributes:
        seconds: that looking took, which is no part of the training.
    """

    def __init__(self, corpus: Corpus, config: TrainingConfig, losses: bool) -> None:
        self.corpus, self.config, self.losses = corpus, config, losses
        self.seconds = 0.0
        self._prepared: dict[str, Prepared] = {}

    def __call__(self, checkpoint: Checkpoint) -> dict[str, float]:
        begun = time.perf_counter()
        test = self._split(checkpoint, "test")
        found = measure(checkpoint.labels, test.labels.numpy(), checkpoint.score(test).probabilities)
        watched = {"test_weighted_f1": found.weighted_f1}
        for split in ("train", "dev") if self.losses else ():
            for name, value in self._mean_losses(checkpoint, self._split(checkpoint, split)).items():
                watched[f"{split}_{name}"] = value
        self.seconds += time.perf_counter() - begun
        return watched

    def _split(self, checkpoint: Checkpoint, name: str) -> Prepared:
        if name not in self._prepared:
            self._prepared[name] = checkpoint.prepare_split(self.corpus.split(name))
        return self._prepared[name]

    @torch.inference_mode()
    def _mean_losses(self, checkpoint: Checkpoint, prepared: Prepared) -> dict[str, float]:
        """What is minimised and each of its terms: the mean over the labelled utterances of a split."""
        sums: dict[str, float] = {}
        count = 0
        for _, batch in prepared.batches(self.config.batch_size):
            losses = checkpoint.model.loss(checkpoint.model(batch), batch, self.config.loss)
            here = int((batch.labels >= 0).sum())
            count += here
            for name, value in {"total": losses.total, **losses.terms}.items():
                sums[name] = sums.get(name, 0.0) + value.item() * here
        return {name: value / count for name, value in sums.items()}


Progress = Callable[[int, int, Job], object]
"""Told (done, all, the job that was finished)."""
