"""A corpus: annotated conversations, their splits and their features, in memory and as a folder on disk.

Everything is checked when a corpus is made, whoever makes it, so that the code inside may trust it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import Conversation, LabelSet, Utterance, near
from broadmamba.data.corpus_folder import (
    ADDS,
    map_feature,
    put_in_place,
    read_conversations,
    read_manifest,
    refuse_occupied,
    restore,
    write_conversations,
    write_feature,
    write_manifest,
)
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.locks import A_MOMENT, exclusive, remove_leftovers, temporary_folder


@dataclass(frozen=True, eq=False)
class Feature:
    """One feature of every utterance.

    Attributes:
        spec: how it was made.
        values: (utterances, width), float32. A row that is NaN throughout is a missing modality; NaN in
            single columns is a quantity that could not be measured, and needs `spec.gaps`.

    Raises:
        InputError: the values are not float32 of the spec's width.
    """

    spec: FeatureSpec
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.values.dtype != np.float32 or self.values.ndim != 2 or self.values.shape[1] != self.spec.width:
            raise InputError(
                f"feature {self.spec.name!r}: expected float32 (utterances, {self.spec.width}), "
                f"found {self.values.dtype} {self.values.shape}"
            )

    def missing(self) -> NDArray[np.bool_]:
        """(utterances,): where the row is NaN throughout."""
        return np.asarray(np.isnan(self.values).all(axis=1))

    def incomplete(self) -> NDArray[np.bool_]:
        """(utterances,): where some columns of the row are NaN and others are not."""
        nan = np.isnan(self.values)
        return np.asarray(nan.any(axis=1) & ~nan.all(axis=1))

    def check(self, ids: Sequence[str]) -> None:
        """Check the values against the utterances they belong to.

        Raises:
            InputError: another number of rows, an infinite value, or NaN in part of a row against the spec.
        """
        name = f"feature {self.spec.name!r}"
        if len(self.values) != len(ids):
            raise InputError(f"{name}: {len(self.values)} rows, expected one for each of {len(ids)} utterances")
        if self.spec.gaps and self.spec.modality == "text":
            raise InputError(f"{name}: its spec allows gaps in a row, but a text encoder leaves none")
        if np.isfinite(self.values).all():
            return
        if len(infinite := np.argwhere(np.isinf(self.values))):
            raise InputError(f"{name}: infinite value at {self._place(ids, *infinite[0])}")
        if not self.spec.gaps and len(rows := np.flatnonzero(self.incomplete())):
            column = np.flatnonzero(np.isnan(self.values[rows[0]]))[0]
            raise InputError(
                f"{name}: NaN at {self._place(ids, rows[0], column)}, where its spec allows no gaps "
                "(a missing modality is a row of NaN throughout)"
            )

    def _place(self, ids: Sequence[str], row: int, column: int) -> str:
        name = f" ({self.spec.columns[column]})" if self.spec.columns else ""
        return f"utterance {ids[row]!r}, column {column}{name}"


@dataclass(frozen=True, eq=False)
class Split:
    """Some conversations of a corpus, with their rows of each feature.

    Attributes:
        name: such as `train`.
        labels: of the corpus.
        conversations: in the split's order.
        features: by name; row i belongs to the i-th utterance of the conversations in order.
    """

    name: str
    labels: LabelSet
    conversations: tuple[Conversation, ...]
    features: dict[str, Feature]

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        """All utterances in row order."""
        return tuple(chain.from_iterable(self.conversations))


@dataclass(frozen=True, eq=False)
class Corpus:
    """Annotated conversations with splits and features.

    Attributes:
        name: of the corpus.
        labels: in their fixed order.
        conversations: all of them; the rows of features follow their utterances.
        splits: split name → conversation ids; no conversation is in two splits.
        features: by name.
        path: the folder on disk, or None for a corpus that is only in memory.
        notes: what a reader changed or had to decide, one sentence each.

    Raises:
        InputError: an id given twice, an unknown label, a split or feature that does not fit the utterances.
    """

    name: str
    labels: LabelSet
    conversations: tuple[Conversation, ...]
    splits: dict[str, tuple[str, ...]]
    features: dict[str, Feature] = field(default_factory=dict)
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.conversations:
            raise InputError(f"corpus {self.name!r} has no conversations")
        for conversation in self.conversations:
            conversation.check()
        conversation_ids = [conversation.id for conversation in self.conversations]
        utterance_ids = [utterance.id for utterance in self.utterances]
        _refuse_repeated("conversation", conversation_ids)
        _refuse_repeated("utterance", utterance_ids)
        for utterance in self.utterances:
            _check_label(utterance, self.labels)
        _check_splits(self.splits, set(conversation_ids))
        for name, feature in self.features.items():
            if name != feature.spec.name:
                raise InputError(f"feature {feature.spec.name!r} stands under another name, {name!r}")
            feature.check(utterance_ids)

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        """All utterances in row order."""
        return tuple(chain.from_iterable(self.conversations))

    @classmethod
    def open(cls, path: Path | str) -> Corpus:
        """Open a corpus folder; feature values are mapped into memory, not copied.

        Raises:
            InputError: the folder is not a corpus, or something in it is damaged or does not fit together.
        """
        path = Path(path)
        restore(path)
        manifest = read_manifest(path)
        try:
            specs = [FeatureSpec.from_dict(values) for values in manifest["features"]]
            _refuse_repeated("feature", [spec.name for spec in specs])
            return cls(
                name=manifest["name"],
                labels=LabelSet(manifest["labels"]),
                conversations=read_conversations(path),
                splits={name: tuple(ids) for name, ids in manifest["splits"].items()},
                features={spec.name: Feature(spec, map_feature(path, spec)) for spec in specs},
                path=path,
                notes=tuple(manifest["notes"]),
            )
        except InputError as error:
            raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None

    def save(self, path: Path | str, overwrite: bool = False) -> None:
        """Write the corpus as a folder, which appears whole or not at all.

        Args:
            path: the folder to make; it may be there if it is empty.
            overwrite: replace the corpus that stands there; what is not a corpus is never replaced.

        Raises:
            InputError: something stands there already, or has come there meanwhile.
        """
        path = Path(path)
        if not overwrite:
            refuse_occupied(path)
        with temporary_folder(path.absolute().parent) as folder:
            made = folder / "corpus"
            for name, feature in self.features.items():
                write_feature(made, name, feature.values)
            write_conversations(made, self.conversations)
            manifest = {
                "name": self.name,
                "labels": list(self.labels),
                "splits": {name: list(ids) for name, ids in self.splits.items()},
                "features": [feature.spec.to_dict() for feature in self.features.values()],
                "notes": list(self.notes),
            }
            write_manifest(made, manifest)
            put_in_place(made, path, overwrite)

    def add_feature(self, feature: Feature) -> Corpus:
        """Add a feature, or replace the one of its name, on disk too where the corpus stands there.

        A kill in between leaves the corpus with the feature or without it, never values under another's spec. Processes
        that add features at the same time wait for each other, and none is lost.

        Returns:
            The corpus with the feature, opened anew.

        Raises:
            InputError: the feature does not fit the utterances, or these, or the feature, were changed meanwhile.
        """
        name = feature.spec.name
        changed = replace(self, features={**self.features, name: feature})
        if self.path is None:
            return changed
        with exclusive(self.path, ADDS, A_MOMENT):
            for folder in (self.path, self.path / "features"):
                remove_leftovers(folder)
            manifest = read_manifest(self.path)  # anew: another process may have added a feature meanwhile
            self._refuse_changed(feature.spec, manifest["features"])
            if feature.spec.to_dict() in manifest["features"]:  # other values of the same kind, written at once
                write_feature(self.path, name, feature.values)
                return Corpus.open(self.path)
            others = [values for values in manifest["features"] if values["name"] != name]
            if len(others) < len(manifest["features"]):
                write_manifest(self.path, {**manifest, "features": others})
            write_feature(self.path, name, feature.values)
            write_manifest(self.path, {**manifest, "features": [*others, feature.spec.to_dict()]})
            return Corpus.open(self.path)

    def _refuse_changed(self, spec: FeatureSpec, stored: Sequence[Mapping[str, Any]]) -> None:
        """Refuse a folder in which the utterances, or the feature of this name, are not those that were opened."""
        assert self.path is not None
        found = [replace(u, label=None) for c in read_conversations(self.path) for u in c]
        if found != [replace(u, label=None) for u in self.utterances]:
            raise InputError(f"{self.path}: its utterances were changed meanwhile; feature {spec.name!r} is not added")
        before = self.features[spec.name].spec if spec.name in self.features else None
        now = next((FeatureSpec.from_dict(values) for values in stored if values["name"] == spec.name), None)
        if now not in (None, before, spec):
            raise InputError(f"{self.path}: another process has added another feature {spec.name!r} meanwhile")

    def in_memory(self, names: Sequence[str]) -> Corpus:
        """The corpus with copies of some features, which stay what they are whatever becomes of their files."""
        copies = {name: Feature(self.features[name].spec, np.array(self.features[name].values)) for name in names}
        return replace(self, features={**self.features, **copies})

    def has_labels(self, split: str) -> bool:
        """Whether any utterance of a split has a label."""
        ids = set(self.splits.get(split, ()))
        return any(utterance.label is not None for c in self.conversations if c.id in ids for utterance in c)

    def split(self, name: str) -> Split:
        """The conversations of one split; feature rows that lie together stay views on the mapped file.

        Raises:
            InputError: no such split; the message lists those there are.
        """
        if name not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise InputError(f"unknown split {name!r}; known are {known}{near(name, list(self.splits))}")
        spans: dict[str, tuple[Conversation, slice]] = {}
        row = 0
        for conversation in self.conversations:
            spans[conversation.id] = conversation, slice(row, row + len(conversation))
            row += len(conversation)
        chosen = [spans[id] for id in self.splits[name]]
        rows = [span for _, span in chosen]
        if all(before.stop == after.start for before, after in pairwise(rows)):
            rows = [slice(rows[0].start, rows[-1].stop)]
        features = {
            key: Feature(feature.spec, _take_rows(feature.values, rows)) for key, feature in self.features.items()
        }
        return Split(name, self.labels, tuple(conversation for conversation, _ in chosen), features)


def _take_rows(values: NDArray[np.float32], spans: Sequence[slice]) -> NDArray[np.float32]:
    if len(spans) == 1:
        return values[spans[0]]
    return np.concatenate([values[span] for span in spans])


def _refuse_repeated(what: str, ids: Sequence[str]) -> None:
    if len(set(ids)) < len(ids):
        twice = next(id for id, times in Counter(ids).items() if times > 1)
        raise InputError(f"{what} {twice!r} is there more than once; ids must differ")


def _check_label(u: Utterance, labels: LabelSet) -> None:
    if u.label is not None and u.label not in labels.names:
        known = f"{', '.join(labels)}{near(u.label, labels.names)}"
        raise InputError(f"utterance {u.id!r}: unknown label {u.label!r}; known are {known}")


def _check_splits(splits: Mapping[str, Sequence[str]], known: set[str]) -> None:
    owner: dict[str, str] = {}
    for name, ids in splits.items():
        if not ids:
            raise InputError(f"split {name!r} has no conversations")
        for id in ids:
            if id not in known:
                raise InputError(f"split {name!r}: there is no conversation {id!r} in the corpus")
            if id in owner:
                raise InputError(f"conversation {id!r} is in split {owner[id]!r} and again in {name!r}")
            owner[id] = name
