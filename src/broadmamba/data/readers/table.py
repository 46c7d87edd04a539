"""The generic table: `utterances.jsonl`, and beside it one `<feature>.npy` a feature, row by line.

A line has `dialogue` and `utterance`, and may have `split`, `speaker`, `start`, `end`, `text` and `emotion`.
`<feature>.columns.json` names the columns of a feature. NaN means missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.corpus_folder import refuse_too_large
from broadmamba.data.readers.conventions import make_feature, modality_of, order_labels
from broadmamba.data.readers.labels import join_labels
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.storage import read_json, read_jsonl

_TABLE = "utterances.jsonl"
_TEXTS = ("dialogue", "utterance", "split", "speaker", "text", "emotion")
_TIMES = ("start", "end")


def recognises(source: Path) -> bool:
    """Whether the source is a folder with `utterances.jsonl` (and no converted corpus) or a JSONL file."""
    in_folder = (source / _TABLE).is_file() and not (source / "corpus.json").exists()
    return in_folder or (source.is_file() and source.suffix.lower() == ".jsonl")


def read(source: Path, name: str | None = None, modalities: Mapping[str, str] | None = None) -> Corpus:
    """Read a table with its features, or a JSONL file alone without any.

    Args:
        source: the folder, or the JSONL file.
        name: of the corpus; the folder's or file's name if not given.
        modalities: feature name → modality, for names that do not tell it.

    Raises:
        InputError: a line or a feature is not what was expected.
    """
    table = source / _TABLE if source.is_dir() else source
    refuse_too_large(table)
    conversations: dict[str, list[Utterance]] = {}
    split_of: dict[str, str | None] = {}
    last = None
    ignored: set[str] = set()
    for number, row in read_jsonl(table):
        place = f"{table}, line {number}"
        _check_row(row, place)
        id, split = row["dialogue"], row.get("split")
        if id != last and id in conversations:
            raise InputError(f"{place}: dialogue {id!r} goes on here after another one")
        if split_of.setdefault(id, split) != split:
            raise InputError(f"{place}: dialogue {id!r} is in split {split_of[id]!r} and here in {split!r}")
        last = id
        ignored |= row.keys() - {*_TEXTS, *_TIMES}
        conversations.setdefault(id, []).append(
            Utterance(
                id=row["utterance"],
                text=row.get("text") or "",
                speaker=row.get("speaker"),
                start=row.get("start"),
                end=row.get("end"),
                label=row.get("emotion"),
            )
        )
    splits: dict[str, list[str]] = {}
    for id, split in split_of.items():
        if split is not None:
            splits.setdefault(split, []).append(id)
    notes = [f"fields not taken over: {', '.join(sorted(ignored))}"] if ignored else []
    utterances = [u for turns in conversations.values() for u in turns]
    labels = join_labels([u.label for u in utterances], notes)
    labelled = iter([replace(u, label=label) for u, label in zip(utterances, labels, strict=True)])
    files = sorted(source.glob("*.npy")) if source.is_dir() else []
    try:
        return Corpus(
            name or source.resolve().stem,
            order_labels({label for label in labels if label is not None}),
            tuple(Conversation(id, tuple(islice(labelled, len(turns)))) for id, turns in conversations.items()),
            {split: tuple(ids) for split, ids in splits.items()},
            {file.stem: _read_feature(file, modalities or {}, len(utterances)) for file in files},
            notes=tuple(notes),
        )
    except InputError as error:
        raise error if str(source) in str(error) else InputError(f"{source}: {error}") from None


def _check_row(row: Mapping[str, Any], place: str) -> None:
    for key in ("dialogue", "utterance"):
        if row.get(key) is None:
            raise InputError(f"{place}: expected a field {key!r}, found {', '.join(row) or 'nothing'}")
    for key in _TEXTS:
        if not isinstance(row.get(key), str | None):
            raise InputError(f"{place}: {key} is {row[key]!r:.60}, expected a string")
    for key in _TIMES:
        if not isinstance(row.get(key), int | float | None) or isinstance(row.get(key), bool):
            raise InputError(f"{place}: {key} is {row[key]!r:.60}, expected seconds")


def _read_feature(path: Path, modalities: Mapping[str, str], rows: int) -> Feature:
    if not path.is_file():
        raise InputError(f"{path}: expected a NumPy array file, found a link to nothing or no file")
    try:
        stored = open_memmap(path, mode="r")  # neither unpickles nor believes a header beyond the file's length
    except Exception as error:  # a damaged header can raise almost anything
        raise InputError(f"{path}: expected a whole NumPy array file, found another ({error!s:.120})") from None
    if stored.dtype.kind != "f" or stored.ndim != 2 or stored.shape[1] < 1:
        raise InputError(f"{path}: expected floats (utterances, width), found {stored.dtype} {stored.shape}")
    spec = FeatureSpec(path.stem, modality_of(path.stem, modalities), stored.shape[1])
    if len(stored) != rows:  # before anything is read
        raise InputError(
            f"{path}: feature {spec.name!r}: {len(stored)} rows, expected one for each of {rows} utterances"
        )
    with np.errstate(over="ignore"):  # a value beyond float32 becomes infinite, which the corpus refuses
        values = np.asarray(stored).astype(np.float32)
    columns: Any = ()
    names = path.with_suffix(".columns.json")
    if names.exists():
        columns = read_json(names)
        if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
            raise InputError(f"{names}: expected a list of {values.shape[1]} column names")
    return make_feature(spec.name, spec.modality, values, tuple(columns))
