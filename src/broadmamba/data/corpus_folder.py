"""The files of a corpus folder: `corpus.json`, `utterances.jsonl`, `features/<name>.safetensors`.

`corpus.json` holds name, labels, splits and feature specs, `utterances.jsonl` one utterance a line in
conversation order, and each feature file one tensor `values` whose rows follow those lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.storage import map_arrays, read_json, read_jsonl, save_arrays, write_json, write_jsonl

FORMAT, VERSION = "broadmamba-corpus", 1
_PARTS = {"name": str, "labels": list, "splits": dict, "features": list, "notes": list}
_COLUMNS: dict[str, type | tuple[type, ...]] = {
    "conversation": str,
    "utterance": str,
    "speaker": str,
    "start": (int, float),
    "end": (int, float),
    "text": str,
    "label": str,
}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read `corpus.json`: name, labels, splits, features (specs as plain values), notes; types are checked.

    Raises:
        InputError: the folder is no corpus, or its `corpus.json` is damaged or of another version.
    """
    hint = "make a corpus with `broadmamba convert`"
    if not folder.exists():
        raise InputError(f"{folder}: there is no such folder ({hint})")
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a corpus folder, found a file ({hint})")
    file = folder / "corpus.json"
    if not file.is_file():
        raise InputError(f"{folder}: expected a corpus folder, found one without corpus.json ({hint})")
    manifest = read_json(file)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{file}: expected the format {FORMAT!r}, found something else")
    if manifest.get("version") != VERSION:
        raise InputError(f"{file}: version {manifest.get('version')!r}, expected {VERSION}")
    for key, kind in _PARTS.items():
        if not isinstance(manifest.get(key), kind):
            raise InputError(f"{file}: {key} is {_short(manifest.get(key))}, expected {kind.__name__}")
    for what, values in [*((key, manifest[key]) for key in ("labels", "notes")), *manifest["splits"].items()]:
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise InputError(f"{file}: {what} is {_short(values)}, expected a list of strings")
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `corpus.json` atomically from what `read_manifest` gives."""
    parts = {key: manifest[key] for key in _PARTS}
    write_json(folder / "corpus.json", {"format": FORMAT, "version": VERSION, **parts})


def read_conversations(folder: Path) -> tuple[Conversation, ...]:
    """Read `utterances.jsonl`.

    Raises:
        InputError: a line is not an utterance, or a conversation goes on after another has begun.
    """
    path = folder / "utterances.jsonl"
    conversations: dict[str, list[Utterance]] = {}
    last = None
    for number, row in read_jsonl(path):
        if not row.keys() <= _COLUMNS.keys() or not {"conversation", "utterance"} <= row.keys():
            raise InputError(
                f"{path}, line {number}: expected conversation, utterance and any of "
                f"{', '.join(list(_COLUMNS)[2:])}, found {', '.join(row) or 'nothing'}"
            )
        for key, value in row.items():
            if not isinstance(value, _COLUMNS[key]) or isinstance(value, bool):
                kind = "a string" if _COLUMNS[key] is str else "a number"
                raise InputError(f"{path}, line {number}: {key} is {_short(value)}, expected {kind}")
        id = row["conversation"]
        if id != last and id in conversations:
            raise InputError(f"{path}, line {number}: conversation {id!r} goes on here after another one")
        last = id
        optional = {key: row.get(key) for key in ("speaker", "start", "end", "label")}
        conversations.setdefault(id, []).append(Utterance(row["utterance"], row.get("text", ""), **optional))
    return tuple(Conversation(id, tuple(utterances)) for id, utterances in conversations.items())


def write_conversations(folder: Path, conversations: Iterable[Conversation]) -> None:
    """Write `utterances.jsonl` atomically; what is not known (None) is left out of its line."""
    rows = (
        (conversation.id, u.id, u.speaker, u.start, u.end, u.text, u.label)
        for conversation in conversations
        for u in conversation
    )
    write_jsonl(
        folder / "utterances.jsonl",
        ({key: value for key, value in zip(_COLUMNS, row, strict=True) if value is not None} for row in rows),
    )


def map_feature(folder: Path, spec: FeatureSpec) -> NDArray[np.float32]:
    """The values of a feature, mapped into memory.

    Raises:
        InputError: the file is missing, damaged, or of another shape than the spec says.
    """
    path = _feature_file(folder, spec.name)
    values = map_arrays(path).get("values")
    if values is None:
        raise InputError(f"{path}: expected a tensor named 'values', found none")
    if values.dtype != np.float32 or values.ndim != 2 or values.shape[1] != spec.width:
        raise InputError(f"{path}: expected float32 (utterances, {spec.width}), found {values.dtype} {values.shape}")
    return np.asarray(values)


def write_feature(folder: Path, name: str, values: NDArray[np.float32]) -> None:
    """Write the values of a feature atomically."""
    save_arrays(_feature_file(folder, name), {"values": values})


def _feature_file(folder: Path, name: str) -> Path:
    return folder / "features" / f"{name}.safetensors"


def _short(value: object) -> str:
    return f"{value!r:.60}"
