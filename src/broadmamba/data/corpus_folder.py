"""The files of a corpus folder: `corpus.json`, `utterances.jsonl`, `features/<name>.safetensors`.

`corpus.json` holds name, labels, splits and feature specs, `utterances.jsonl` one utterance a line in
conversation order, and each feature file one tensor `values` whose rows follow those lines.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.locks import A_MOMENT, exclusive, remove_leftovers
from broadmamba.storage import map_arrays, read_json, read_jsonl, save_arrays, write_json, write_jsonl

ADDS = "adds a feature to it"
"""What the holder of a corpus folder does."""

_MOST_BYTES = 256 * 2**20
"""Of the utterances of a corpus: a million of them, and more than memory would hold in another form."""

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
    if not all(isinstance(values, dict) and "name" in values for values in manifest["features"]):
        raise InputError(f"{file}: features is {_short(manifest['features'])}, expected a list of specs with names")
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `corpus.json` atomically from what `read_manifest` gives."""
    parts = {key: manifest[key] for key in _PARTS}
    write_json(folder / "corpus.json", {"format": FORMAT, "version": VERSION, **parts})


def refuse_too_large(utterances: Path) -> None:
    """Refuse a file of utterances that would fill the memory before anything of it is read.

    Raises:
        InputError: it is larger than a corpus could be.
    """
    if utterances.is_file() and utterances.stat().st_size > _MOST_BYTES:
        found = utterances.stat().st_size >> 20
        raise InputError(f"{utterances}: expected at most {_MOST_BYTES >> 20} MiB of utterances, found {found} MiB")


def read_conversations(folder: Path) -> tuple[Conversation, ...]:
    """Read `utterances.jsonl`.

    Raises:
        InputError: a line is not an utterance, or a conversation goes on after another has begun.
    """
    path = folder / "utterances.jsonl"
    refuse_too_large(path)
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


_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)
"""What a system says of a folder that shall take the name of something else."""


def refuse_occupied(folder: Path) -> None:
    """Refuse a place where something stands, and clear what a killed process left beside it.

    An empty folder may be taken: it holds nothing that could be lost.

    Raises:
        InputError: something stands there.
    """
    remove_leftovers(folder.absolute().parent)
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists already and is left as it is; choose another folder")


def put_in_place(made: Path, folder: Path, overwrite: bool) -> None:
    """Give a new corpus folder its name; what has come to stand there since is left as it is.

    Args:
        made: the folder, on the same file system.
        folder: its name.
        overwrite: whether a corpus that stands there is replaced. It is kept until the new one stands: after a kill
            in between, `restore` puts it back.

    Raises:
        InputError: something stands there that is not to be replaced, or the folder cannot be written.
    """
    if not overwrite:
        _rename(made, folder)
        return
    with _held_aside(folder) as aside:
        _put_back(folder, aside)
        if not os.path.lexists(folder):
            _rename(made, folder)
            return
        read_manifest(folder)
        with exclusive(folder, ADDS, A_MOMENT):
            _rename(folder, aside / "corpus")
            try:
                _rename(made, folder)
            finally:
                _put_back(folder, aside)


def restore(folder: Path) -> None:
    """Put back a corpus that was being replaced when the process was killed.

    Raises:
        InputError: the folder cannot be written, or another process is at it.
    """
    if _aside(folder).is_dir() and not os.path.lexists(folder):
        with _held_aside(folder) as aside:
            _put_back(folder, aside)


def _aside(folder: Path) -> Path:
    return folder.absolute().with_name(f".{folder.absolute().name}.replaced")


@contextmanager
def _held_aside(folder: Path) -> Iterator[Path]:
    """A hidden folder beside a corpus that is kept in it while it is replaced, by one process at a time."""
    aside = _aside(folder)
    with exclusive(aside, "replaces the corpus beside it", A_MOMENT):
        yield aside
    with suppress(OSError):
        aside.rmdir()  # one that a kill left


def _put_back(folder: Path, aside: Path) -> None:
    if (aside / "corpus").is_dir():
        if os.path.lexists(folder):  # the new one stands
            shutil.rmtree(aside / "corpus", ignore_errors=True)
        else:
            _rename(aside / "corpus", folder)


def _rename(source: Path, target: Path) -> None:
    try:
        with suppress(OSError):
            target.rmdir()  # an empty folder alone; not every system renames to one
        source.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            raise InputError(f"{target}: exists already and is left as it is; choose another folder") from None
        raise InputError(f"{target}: cannot be written ({error.strerror or error})") from None


def _feature_file(folder: Path, name: str) -> Path:
    return folder / "features" / f"{name}.safetensors"


def _short(value: object) -> str:
    return f"{value!r:.60}"
