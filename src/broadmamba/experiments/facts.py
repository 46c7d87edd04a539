"""What has to be known of a corpus to read the records of runs on it, so that pages can be made without it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from broadmamba.data.corpus import Corpus
from broadmamba.data.identity import conversations_sha256, feature_sha256
from broadmamba.errors import InputError
from broadmamba.experiments.records import FACTS
from broadmamba.schema import read_checked
from broadmamba.storage import write_text


@dataclass(frozen=True)
class CorpusFacts:
    """A corpus in counts and hashes; it holds no text, and of single labels only those of the excerpts.

    Attributes:
        name: under which experiments know it.
        labels: in class order.
        sha256: of its conversations, labels and splits.
        features: feature → SHA-256 of its spec and values.
        modalities: feature → its modality.
        utterances: split → how many.
        support: for each conversation of the test split, how many utterances of each class it has.
        excerpts: conversation → its `place` in the test split, and `speakers` (letters) and `labels` of its turns, for
            the figure that shows one.
    """

    name: str
    labels: tuple[str, ...]
    sha256: str
    features: Mapping[str, str]
    modalities: Mapping[str, str]
    utterances: Mapping[str, int]
    support: Sequence[Sequence[int]]
    excerpts: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, name: str, corpus: Corpus, excerpts: Sequence[str]) -> CorpusFacts:
        """Measure a corpus.

        Args:
            name: under which experiments know it.
            corpus: with splits train, dev and test.
            excerpts: conversations to keep speakers and labels of; those that it lacks are passed over.

        Raises:
            InputError: a split is missing, or has no labels.
        """
        lacking = [split for split in ("train", "dev", "test") if split not in corpus.splits]
        if lacking:
            raise InputError(
                f"corpus {name!r}: experiments need the splits train, dev and test, {lacking[0]} is missing"
            )
        for split in ("train", "dev", "test"):
            if not corpus.has_labels(split):
                raise InputError(f"corpus {name!r}: experiments need labels in train, dev and test, {split} has none")
        test = corpus.split("test").conversations
        index = {label: i for i, label in enumerate(corpus.labels)}
        support = [np.bincount([index[u.label] for u in c if u.label is not None], minlength=len(index)) for c in test]
        return cls(
            name=name,
            labels=tuple(corpus.labels),
            sha256=conversations_sha256(corpus),
            features={key: feature_sha256(feature) for key, feature in corpus.features.items()},
            modalities={key: feature.spec.modality for key, feature in corpus.features.items()},
            utterances={split: len(corpus.split(split).utterances) for split in corpus.splits},
            support=[[int(n) for n in row] for row in support],
            excerpts={
                c.id: {
                    "place": place,
                    "speakers": ["?" if s < 0 else chr(ord("A") + s % 26) for s in c.speaker_indices()],
                    "labels": [u.label or "" for u in c],
                }
                for place, c in enumerate(test)
                if c.id in excerpts
            },
        )

    def write(self, folder: Path) -> None:
        """Keep the facts beside the records."""
        write_text(folder / f"{self.name}.json", json.dumps(asdict(self), ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, folder: Path, name: str) -> CorpusFacts:
        """What `write` kept.

        Raises:
            InputError: there is no such file, or it is damaged.
        """
        path = folder / f"{name}.json"
        values = read_checked(path, FACTS)
        if any(len(row) != len(values["labels"]) for row in values["support"]):
            raise InputError(f"{path}: expected a count for each of {len(values['labels'])} labels, found others")
        return cls(**{name: values[name] for name in FACTS} | {"labels": tuple(values["labels"])})
