"""MELD's CSVs and the generic table, from files as they are found in the world."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.data.readers import READERS, detect, read_corpus
from broadmamba.data.readers.conventions import decode, repair
from broadmamba.errors import InputError

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\r\n"


def row(dialogue: int, turn: int, text: str = "Hi", **values: str) -> str:
    v = {"speaker": "Joey", "emotion": "joy", "start": "00:16:16,059", "end": "0:16:21,7", **values}
    return f'1,"{text}",{v["speaker"]},{v["emotion"]},positive,{dialogue},{turn},8,21,"{v["start"]}","{v["end"]}"\r\n'


def write_meld(folder: Path, content: str | bytes, split: str = "train") -> Path:
    content = content if isinstance(content, bytes) else content.encode()
    (folder / f"{split}_sent_emo.csv").write_bytes(content)
    return folder


def texts_of(folder: Path) -> list[str]:
    return [utterance.text for utterance in read_corpus(folder).utterances]


def test_real_meld_equals_an_independent_reading(shared_data: Path) -> None:
    corpus = read_corpus(shared_data / "meld" / "csv")
    lines = (shared_data / "meld" / "utterances.jsonl").read_text(encoding="utf-8").split("\n")
    expected = [json.loads(line) for line in lines if line]
    keys = ("utterance", "text", "speaker", "start", "end", "emotion")
    assert [(u.id, u.text, u.speaker, u.start, u.end, u.label) for u in corpus.utterances] == [
        tuple(one[key] for key in keys) for one in expected
    ]
    assert [conversation.id for conversation in corpus.conversations] == list(
        dict.fromkeys(one["dialogue"] for one in expected)
    )
    assert {name: len(ids) for name, ids in corpus.splits.items()} == {"train": 1038, "dev": 114, "test": 280}
    assert list(corpus.labels) == ["neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"]
    assert any("train_dia125_utt3" in note and "dev_dia110_utt7" in note for note in corpus.notes)


WANTED = "He’s “here” — café…"


@pytest.mark.parametrize(
    "content",
    [
        WANTED.encode(),
        WANTED.encode("cp1252"),
        WANTED.encode("cp1252").decode("latin-1").encode(),  # U+0092 for an apostrophe
        WANTED.encode().decode("latin-1").encode(),  # UTF-8 read as Latin-1
    ],
)
def test_typographic_signs_survive_every_usual_encoding(tmp_path: Path, content: bytes) -> None:
    before, after = row(0, 0, "@").encode().split(b"@")
    other = row(0, 1, WANTED).encode()  # plain UTF-8, whatever the line before is in
    assert texts_of(write_meld(tmp_path, HEADER.encode() + before + content + after + other)) == [WANTED] * 2


def test_mojibake_of_cp1252_is_undone() -> None:
    assert repair("I donâ€™t knowâ€¦ cafÃ©") == "I don’t know… café"
    assert decode(b"\xef\xbb\xbfplain") == "plain"


@settings(deadline=None)
@given(text=st.text(st.sampled_from("aé’“”…—‘ñü€ 1\n")))
def test_repair_undoes_either_fault(text: str) -> None:
    assert repair(text) == text
    assert repair(text.encode("cp1252").decode("latin-1")) == text
    assert repair(text.encode().decode("latin-1")) == text


def test_quotes_commas_and_line_breaks_inside_a_field(tmp_path: Path) -> None:
    text = 'Well, ""no"", I\nmean, yes\u2028really'
    assert texts_of(write_meld(tmp_path, HEADER + row(0, 0, text))) == ['Well, "no", I\nmean, yes\u2028really']


def test_rows_out_of_order_are_put_in_order_and_doubled_ones_kept_once(tmp_path: Path) -> None:
    rows = row(10, 0) + row(2, 1, "second") + row(2, 10, "third") + row(2, 0, "first") + row(2, 1, "second")
    corpus = read_corpus(write_meld(tmp_path, HEADER + rows, "test"))
    assert [u.id for u in corpus.utterances] == [
        "test_dia2_utt0",
        "test_dia2_utt1",
        "test_dia2_utt10",
        "test_dia10_utt0",
    ]
    assert any("twice" in note and note.endswith("1") for note in corpus.notes)
    assert sum("there is no" in note for note in corpus.notes) == 2


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("00:16:16,059", 976.059), ("0:10:44,769", 644.769), ("1:2:3.5", 3723.5), ("", None)],
)
def test_times(tmp_path: Path, time: str, seconds: float | None) -> None:
    corpus = read_corpus(write_meld(tmp_path, HEADER + row(0, 0, start=time)))
    assert corpus.utterances[0].start == seconds


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (HEADER, "only the header"),
        ("a,b\r\n1,2\r\n", "missing are Utterance, Speaker"),
        (HEADER + row(0, 0, emotion="glee"), "line 2: unknown emotion 'glee'; known are neutral"),
        (HEADER + row(0, 0, start="12.5"), "line 2: the time is '12.5'"),
        (HEADER + row(0, 0, start="9" * 4500 + ":00:01,000"), "line 2: the time is"),
        (HEADER + row(0, 0).replace("0,0,8", "0,x,8"), "whole numbers"),
        (HEADER + "1,2\r\n", "line 2: expected 11 fields"),
        (HEADER + row(0, 0).strip() + ",extra\r\n", "line 2: expected 11 fields"),
        (HEADER + row(0, 0) + row(0, 0, "other"), "line 3: train_dia0_utt0 is there already"),
        (HEADER + '1,"never closed', "line 2: expected CSV"),
        (bytes(range(256)) * 4, "train_sent_emo.csv"),
    ],
)
def test_faulty_csv_gets_one_sentence(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_corpus(write_meld(tmp_path, content))


def line(dialogue: str, utterance: str, **values: Any) -> dict[str, Any]:
    return {"dialogue": dialogue, "utterance": utterance, **values}


def write_table(folder: Path, rows: list[Any], features: dict[str, np.ndarray] | None = None) -> Path:
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)
    (folder / "utterances.jsonl").write_text(text, encoding="utf-8")
    for name, values in (features or {}).items():
        np.save(folder / f"{name}.npy", values)
    return folder


TWO = [line("a", "a0", split="train", emotion="up"), line("a", "a1", split="train", emotion="down")]


@pytest.mark.parametrize("corpus_name", ["iemocap", "meld", "mosi"])
def test_real_tables_are_taken_over_unchanged(shared_data: Path, corpus_name: str) -> None:
    folder = shared_data / corpus_name
    corpus = read_corpus(folder)
    rows = [json.loads(one) for one in (folder / "utterances.jsonl").read_text(encoding="utf-8").split("\n") if one]
    keys = ("utterance", "text", "speaker", "start", "end", "emotion")
    assert [(u.id, u.text, u.speaker, u.start, u.end, u.label) for u in corpus.utterances] == [
        tuple(one.get(key) for key in keys) for one in rows
    ]
    split_of = {id: name for name, ids in corpus.splits.items() for id in ids}
    assert [split_of[c.id] for c in corpus.conversations for _ in c] == [one["split"] for one in rows]
    for path in folder.glob("*.npy"):
        feature = corpus.features[path.stem]
        np.testing.assert_array_equal(feature.values, np.load(path))
        assert list(feature.spec.columns) == json.loads((folder / f"{path.stem}.columns.json").read_text())
    assert set(corpus.features) == {path.stem for path in folder.glob("*.npy")}
    orders = {"iemocap": "happy sad neutral angry excited frustrated", "mosi": "negative positive"}
    orders["meld"] = "neutral surprise fear sadness joy disgust anger"
    assert list(corpus.labels) == orders[corpus_name].split()


def test_a_file_alone_without_speakers_splits_or_times(tmp_path: Path) -> None:
    write_table(tmp_path, [line("a", "1", emotion="x", speaker=None), line("b", "2", emotion="y", mood=3)])
    corpus = read_corpus(tmp_path / "utterances.jsonl", name="mine")
    assert (corpus.name, corpus.splits, corpus.features) == ("mine", {}, {})
    assert [(u.speaker, u.start, u.text, u.label) for u in corpus.utterances] == [
        (None, None, "", "x"),
        (None, None, "", "y"),
    ]
    assert corpus.notes == ("fields not taken over: mood",)


def test_gaps_are_marked_in_measured_features_and_refused_in_encoded_ones(tmp_path: Path) -> None:
    values = np.array([[1, np.nan], [np.nan, np.nan]])
    corpus = read_corpus(write_table(tmp_path, TWO, {"prosody": values, "minilm": np.ones((2, 5), np.float16)}))
    assert corpus.features["prosody"].spec.gaps
    assert not corpus.features["minilm"].spec.gaps
    assert corpus.features["minilm"].values.dtype == np.float32
    with pytest.raises(InputError, match=r"'minilm': NaN at utterance 'a0', column 1"):
        read_corpus(write_table(tmp_path, TWO, {"minilm": values}))


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("IS10", "audio"),
        ("eGeMAPSv02", "audio"),
        ("hubert", None),
        ("all-mpnet-base", "text"),
        ("roberta4", "text"),
        ("densenet_face", "video"),
        ("audio_text", None),
        ("x1", None),
    ],
)
def test_the_modality_comes_from_the_name_or_is_asked_for(tmp_path: Path, name: str, modality: str | None) -> None:
    write_table(tmp_path, TWO, {name: np.zeros((2, 3))})
    if modality is None:
        with pytest.raises(InputError, match=f"--modality {name}="):
            read_corpus(tmp_path)
        modality = "video"
        corpus = read_corpus(tmp_path, modalities={name: "video"})
    else:
        corpus = read_corpus(tmp_path)
    assert corpus.features[name].spec.modality == modality


@pytest.mark.parametrize(
    ("modalities", "said"),
    [({"audio": "sound"}, "'sound'; known are text, audio, video"), ({"x": "audio"}, "no feature 'x'.*audio")],
)
def test_wrong_statements_of_a_modality(tmp_path: Path, modalities: dict[str, str], said: str) -> None:
    write_table(tmp_path, TWO, {"audio": np.zeros((2, 3))})
    with pytest.raises(InputError, match=said):
        read_corpus(tmp_path, modalities=modalities)


def truncated(path: Path) -> None:
    np.save(path, np.zeros((2, 300)))
    path.write_bytes(path.read_bytes()[:-9])


def huge(path: Path) -> None:
    """A header that claims 64 GiB."""
    np.save(path, np.zeros((2, 3)))
    path.write_bytes(path.read_bytes().replace(b"(2, 3), }" + b" " * 9, b"(2, 4294967296), }"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b""), "NumPy"),
        (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\xff\xff{'descr"), "NumPy"),
        (lambda path: path.write_bytes(b"PK\x03\x04junk"), "NumPy"),
        (lambda path: np.save(path, np.array([{}, {}], dtype=object)), "NumPy"),
        (truncated, "NumPy"),
        (huge, "NumPy"),
        (lambda path: np.save(path, np.zeros((2, 3), dtype=int)), r"found int64 \(2, 3\)"),
        (lambda path: np.save(path, np.zeros(2)), r"found float64 \(2,\)"),
        (lambda path: np.save(path, np.zeros((2, 0))), r"\(2, 0\)"),
        (lambda path: np.save(path, np.zeros((3, 4))), "'audio': 3 rows, expected one for each of 2"),
        (lambda path: np.save(path, np.array([[1.0], [1e300]])), "infinite value at utterance 'a1', column 0"),
    ],
)
def test_faulty_arrays_get_one_sentence(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    write_table(tmp_path, TWO)
    make(tmp_path / "audio.npy")
    with pytest.raises(InputError, match=said) as caught:
        read_corpus(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(("columns", "said"), [(["a"], "1 column names"), ({"a": 1}, "list"), ([1, 2, 3], "list")])
def test_column_names_must_fit(tmp_path: Path, columns: object, said: str) -> None:
    write_table(tmp_path, TWO, {"audio": np.zeros((2, 3))})
    (tmp_path / "audio.columns.json").write_text(json.dumps(columns))
    with pytest.raises(InputError, match=said):
        read_corpus(tmp_path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "empty"),
        ([line("a", "1", emotion="x"), {"dialogue": "a"}], "line 2: expected a field 'utterance'"),
        ([line("a", "1"), line("b", "2"), line("a", "3")], "line 3: dialogue 'a' goes on"),
        ([line("a", "1", split="x"), line("a", "2", split="y")], "line 2: dialogue 'a' is in split 'x'"),
        ([line("a", "1", emotion=3)], "emotion is 3, expected a string"),
        ([line("a", "1", start="now")], "start is 'now', expected seconds"),
        ([line("a", "1", start=float("nan"), emotion="x"), line("a", "2", emotion="y")], "finite seconds"),
        ([line("a", "1", emotion="x"), line("a", "1", emotion="y")], "'1' is there more than once"),
        ([line("a", "1", emotion="x")], "two labels, found"),
        ([["a"]], "line 1.*list"),
    ],
)
def test_faulty_tables_get_one_sentence(tmp_path: Path, rows: list[Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_corpus(write_table(tmp_path, rows))
    assert str(tmp_path) in str(caught.value)


def test_formats_are_detected_where_plain(tmp_path: Path) -> None:
    for name in ("m", "t", "both", "none"):
        (tmp_path / name).mkdir()
    write_meld(tmp_path / "m", HEADER + row(0, 0))
    write_table(tmp_path / "t", TWO)
    write_meld(write_table(tmp_path / "both", TWO), HEADER + row(0, 0))
    (tmp_path / "x.PKL").write_bytes(b"N.")
    assert [detect(tmp_path / name) for name in ("m", "t", "x.PKL")] == ["meld", "table", "pickle"]
    for name, said in (
        ("both", "meld and table; .*--format"),
        ("none", f"one of {', '.join(READERS)}"),
        ("q", "no such"),
    ):
        with pytest.raises(InputError, match=said):
            detect(tmp_path / name)
    read_corpus(tmp_path / "t").save(tmp_path / "corpus")
    with pytest.raises(InputError, match="converted corpus already"):
        detect(tmp_path / "corpus")
    with pytest.raises(InputError, match=r"unknown format 'tabel'.*did you mean table"):
        read_corpus(tmp_path / "t", format="tabel")
