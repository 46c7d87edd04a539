"""Corpus folders, tables and conversations that promise much and hold something else: one sentence, soon."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from broadmamba.data.conversation import LATEST, Conversation, LabelSet, Utterance
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.readers import read_corpus
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole corpus, to be damaged."""
    said = tuple(Conversation(f"c{c}", (Utterance(f"u{c}", "hm", "A", 0.5, 1.5, "calm"),)) for c in range(3))
    tone = Feature(FeatureSpec("tone", "audio", 2), np.zeros((3, 2), np.float32))
    made = Corpus("small", LabelSet(["calm", "glad"]), said, {"train": ("c0", "c1")}, {"tone": tone})
    made.save(tmp_path / "c")
    return tmp_path / "c"


def manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        values = json.loads((folder / "corpus.json").read_text())
        change(values)
        (folder / "corpus.json").write_text(json.dumps(values))

    return damage


def line(text: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        with (folder / "utterances.jsonl").open("a") as file:
            file.write(text + "\n")

    return damage


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "features in lists": (manifest(lambda v: v.update(features=[[v["features"]]])), "expected a list of specs"),
    "a feature without a name": (manifest(lambda v: v["features"][0].pop("name")), "expected a list of specs"),
    "a feature that is null": (manifest(lambda v: v.update(features=[None])), "expected a list of specs"),
    "a name that is a path": (manifest(lambda v: v["features"][0].update(name="../../x")), "a feature's name has only"),
    "an endless name": (manifest(lambda v: v["features"][0].update(name="x" * 10**6)), "a feature's name has only"),
    "a name that is no text": (manifest(lambda v: v["features"][0].update(name=["tone"])), "expected str"),
    "a width beyond all": (manifest(lambda v: v["features"][0].update(width=10**30)), "expected a width from 1 to"),
    "columns of numbers": (manifest(lambda v: v["features"][0].update(columns=[1, 2])), "expected names of columns"),
    "a feature given twice": (manifest(lambda v: v["features"].extend(v["features"])), "more than once"),
    "a million ids": (
        manifest(lambda v: v["splits"].update(x=[f"d{i}" for i in range(10**6)])),
        "no conversation 'd0'",
    ),
    "splits in splits": (manifest(lambda v: v.update(splits={"train": {"a": ["c0"]}})), "expected a list of strings"),
    "labels without names": (manifest(lambda v: v.update(labels=["calm", ""])), "a label needs a name"),
    "a huge start": (line('{"conversation": "d", "utterance": "v", "start": 1' + "0" * 400 + "}"), "finite seconds"),
    "an endless number": (line('{"conversation": "d", "utterance": "v", "start": 1' + "0" * 9999 + "}"), "JSON object"),
    "no number": (line('{"conversation": "d", "utterance": "v", "end": NaN}'), "finite seconds"),
    "beyond all numbers": (line('{"conversation": "d", "utterance": "v", "end": 1e999}'), "finite seconds"),
    "a key twice": (line('{"conversation": "d", "utterance": "v", "label": "calm", "label": "glad"}'), "given twice"),
    "deep": (line("[" * 10**5), "expected a JSON object"),
    "half a character": (line('{"conversation": "d", "utterance": "v", "label": "\\ud800"}'), "half a character"),
    "a file larger than memory": (
        lambda c: os.truncate(c / "utterances.jsonl", 10**12),
        "expected at most 256 MiB of utterances, found 953674 MiB",
    ),
    "half a file": (lambda c: os.truncate(c / "features" / "tone.safetensors", 90), "damaged"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_corpus_is_refused_in_one_sentence(folder: Path, damage: str) -> None:
    apply, told = DAMAGE[damage]
    apply(folder)
    with pytest.raises(InputError) as caught:
        Corpus.open(folder)
    assert told in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 600


def header(kind: str, *shape: int) -> bytes:
    """The beginning of a NumPy array file by its published format: magic, version, length of the header, header."""
    padded = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


def array(value: np.ndarray[Any, Any], folder: Path) -> None:
    np.save(folder / "prosody.npy", value)


def sparse(folder: Path) -> None:
    """200 GB that take no place on the disk."""
    rows = 5 * 10**10
    (folder / "prosody.npy").write_bytes(header("<f4", rows, 1))
    os.truncate(folder / "prosody.npy", 128 + 4 * rows)


def wide(folder: Path) -> None:
    columns = 10**9
    (folder / "prosody.npy").write_bytes(header("<f4", 3, columns))
    os.truncate(folder / "prosody.npy", 128 + 12 * columns)


TABLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "more lines than memory": (lambda f: os.truncate(f / "utterances.jsonl", 10**12), "expected at most 256 MiB"),
    "more rows than memory": (sparse, "50000000000 rows, expected one for each of 3 utterances"),
    "more columns than memory": (wide, "expected a width from 1 to 100000"),
    "more promised than there is": (
        lambda f: (f / "prosody.npy").write_bytes(header("<f8", 3, 999)),
        "expected a whole NumPy array file",
    ),
    "a shape below zero": (
        lambda f: (f / "prosody.npy").write_bytes(header("<f4", -3, 2)),
        "expected a whole NumPy array file",
    ),
    "code in the header": (
        lambda f: (f / "prosody.npy").write_bytes(header("<f4', 'x': exit(), 'y': '", 3, 2)),
        "expected a whole NumPy array file",
    ),
    "objects": (lambda f: array(np.array([[{}]] * 3, dtype=object), f), "expected a whole NumPy array file"),
    "whole numbers": (lambda f: array(np.ones((3, 2), np.int64), f), "expected floats"),
    "complex numbers": (lambda f: array(np.ones((3, 2), np.complex64), f), "expected floats"),
    "three dimensions": (lambda f: array(np.ones((3, 2, 2)), f), "expected floats (utterances, width)"),
    "beyond float32": (lambda f: array(np.full((3, 2), 1e300), f), "infinite value at utterance 'u0'"),
    "a link to nothing": (lambda f: (f / "prosody.npy").symlink_to("nowhere"), "found a link to nothing or no file"),
    "a pipe": (lambda f: os.mkfifo(f / "prosody.npy"), "found a link to nothing or no file"),
    "a folder": (lambda f: (f / "prosody.npy").mkdir(), "found a link to nothing or no file"),
    "a path as name": (lambda f: np.save(f / "prosody x.npy", np.ones((3, 2))), "a feature's name has only"),
    "columns of another width": (
        lambda f: (array(np.ones((3, 2)), f), (f / "prosody.columns.json").write_text('["a"]')),
        "1 column names for a width of 2",
    ),
    "columns that are none": (
        lambda f: (array(np.ones((3, 2)), f), (f / "prosody.columns.json").write_text('{"a": 1}')),
        "expected a list of 2 column names",
    ),
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "t").mkdir()
    rows = [{"dialogue": "d", "utterance": f"u{i}", "emotion": "ab"[i % 2]} for i in range(3)]
    (tmp_path / "t" / "utterances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "t"


@pytest.mark.parametrize("name", TABLES)
def test_a_damaged_table_is_refused_in_one_sentence_and_takes_no_memory(table: Path, name: str) -> None:
    make, told = TABLES[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    make(table)
    with pytest.raises(InputError) as caught:
        read_corpus(table)
    assert told in str(caught.value) and "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">f8", "<f2", "<f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_floats_of_any_layout_are_read(table: Path, dtype: str, order: Any) -> None:
    values = np.array([[0.5, -2.0], [3.25, 4.0], [1.0, 0.0]])
    np.save(table / "prosody.npy", np.asarray(values, dtype=dtype, order=order))
    found = read_corpus(table).features["prosody"].values
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)


def said(**parts: Any) -> Conversation:
    return Conversation("talk", (Utterance("u1", "hm"), Utterance(**{"id": "u2", "text": "oh", **parts})))


CONVERSATIONS: dict[str, tuple[Conversation, str]] = {
    "an id twice": (said(id="u1"), "utterance 'u1' is there more than once"),
    "no text": (said(text=None), "utterance 'u2': its text is None, expected a string"),
    "bytes": (said(text=b"oh"), "utterance 'u2': its text is b'oh', expected a string"),
    "a number as speaker": (said(speaker=3), "utterance 'u2': its speaker is 3, expected a string"),
    "a number as id": (said(id=7), "utterance 7: its id is 7, expected a string"),
    "a time in words": (said(start="1.5"), "utterance 'u2': its start is '1.5', expected seconds"),
    "a truth as time": (said(end=True), "utterance 'u2': its end is True, expected seconds"),
    "no number": (said(start=float("nan")), "utterance 'u2': its start is nan, expected finite seconds"),
    "a number without end": (said(end=10**9999), "utterance 'u2': its end is a number with hundreds of digits"),
    "half a character": (said(speaker="\udc80"), "utterance 'u2': expected whole Unicode"),
    "nothing": (Conversation("talk", ()), "conversation 'talk' has no utterances"),
    "texts in place of utterances": (Conversation("talk", ("oh",)), "utterance 1: found 'oh', no Utterance"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_is_what_its_types_promise(name: str) -> None:
    conversation, told = CONVERSATIONS[name]
    with pytest.raises(InputError) as caught:
        conversation.check()
    assert told in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(InputError):
        Corpus("x", LabelSet(["a", "b"]), (conversation,), {})


@pytest.mark.parametrize("times", [(-1.0, 2.0), (3.0, 2.0), (0.0, 2 * LATEST)])
def test_times_that_no_recording_has_are_refused(times: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="utterance 'u2': expected times from 0 to 1000 hours, the end not before"):
        said(start=times[0], end=times[1]).check_times()
