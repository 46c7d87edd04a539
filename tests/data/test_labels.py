"""What is a label and what is none, however it is written."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadmamba.data.conversation import LabelSet
from broadmamba.data.corpus import Corpus
from broadmamba.data.readers import read_corpus
from broadmamba.data.readers.labels import join_labels, plain_label
from broadmamba.errors import InputError


def converted(folder: Path, labels: Sequence[str | None]) -> Corpus:
    """A table with an utterance for each label, read and saved and opened."""
    rows = [{"dialogue": f"d{i}", "utterance": f"u{i}", "emotion": label} for i, label in enumerate(labels)]
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    read_corpus(folder / "table.jsonl").save(folder / "corpus")
    return Corpus.open(folder / "corpus")


@pytest.mark.parametrize("empty", ["", " ", "\t\n", "\u00a0", "\u200b", "\ufeff", "NaN", "nan", "NULL", "n/a", "<NA>"])
def test_an_empty_label_is_none(tmp_path: Path, empty: str) -> None:
    corpus = converted(tmp_path, ["pride", empty, "shame", None])
    assert corpus.labels.names == ("pride", "shame")
    assert [u.label for u in corpus.utterances] == ["pride", None, "shame", None]
    assert corpus.notes == (f"taken for no label: {empty!r} (1)",)


def test_spellings_that_differ_in_case_blanks_or_unicode_form_are_joined_and_told(tmp_path: Path) -> None:
    written = ["Fierté", "fierté", "fierté ", unicodedata.normalize("NFD", "fierté"), "fierté", "so  so", "so\u00a0so"]
    corpus = converted(tmp_path, written)
    assert [u.label for u in corpus.utterances] == ["fierté"] * 5 + ["so so"] * 2
    assert corpus.labels.names == ("fierté", "so so")
    assert len(corpus.notes) == 2
    assert "are one, 'fierté': 'fierté' (2), 'Fierté' (1), 'fierté ' (1)" in corpus.notes[0]


def test_the_field_s_order_is_found_behind_blanks(tmp_path: Path) -> None:
    names = ["neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"]
    corpus = converted(tmp_path, [f" {name}" for name in reversed(names)])
    assert list(corpus.labels) == names and not corpus.notes


@pytest.mark.parametrize("doubtful", ["none", "NA", "xxx"])
def test_what_may_be_a_label_stays_one_and_is_told(tmp_path: Path, doubtful: str) -> None:
    corpus = converted(tmp_path, ["pride", doubtful, doubtful])
    assert doubtful in corpus.labels.names
    assert corpus.notes == (f"{doubtful!r} (2) is taken for a label: leave it out where it says there is none",)


def test_only_empty_labels_leave_too_few(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"table\.jsonl: a label set needs at least two labels, found \['pride'\]"):
        converted(tmp_path, ["pride", "", " pride"])


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=6), max_size=20))
def test_joined_labels_are_plain_and_differ_in_more_than_case(written: list[str | None]) -> None:
    notes: list[str] = []
    joined = join_labels(written, notes)
    assert len(joined) == len(written)
    known = {label for label in joined if label is not None}
    assert all(plain_label(label) == label != "" for label in known)
    assert len({label.casefold() for label in known}) == len(known)
    assert all(label is None for label, before in zip(joined, written, strict=True) if not (before or "").strip())
    assert join_labels(joined, []) == joined


@pytest.mark.parametrize("names", [["", "joy"], ["joy", " "]])
def test_a_class_without_a_name_is_refused(names: list[str]) -> None:
    with pytest.raises(InputError, match="a label needs a name"):
        LabelSet(names)


def test_a_row_of_meld_without_an_emotion_has_no_label(tmp_path: Path) -> None:
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
    rows = ("1,Hi,Ann,Joy ,x,0,0,1,1,,\n", "2,Oh,Ben,,x,0,1,1,1,,\n")
    (tmp_path / "test_sent_emo.csv").write_text(header + "".join(rows))
    corpus = read_corpus(tmp_path)
    assert [u.label for u in corpus.utterances] == ["joy", None]
    assert "test_sent_emo.csv: utterances without an emotion: 1 (test_dia0_utt1, …)" in corpus.notes


def test_a_column_of_meld_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    header = "Utterance,Speaker,Emotion,Emotion,Dialogue_ID,Utterance_ID,StartTime,EndTime\n"
    (tmp_path / "dev_sent_emo.csv").write_text(header + "Hi,Ann,joy,anger,0,0,,\n")
    with pytest.raises(InputError, match="expected each column once, found Emotion more than once"):
        read_corpus(tmp_path)
