"""Predictions as JSONL, CSV and table, read back with other people's readers."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import parselmouth
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from praatio import textgrid
from rich.cells import cell_len
from rich.console import Console

from broadmamba.data.conversation import Utterance
from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript
from broadmamba.recognition.outputs import FORMATS, refuse_replacing_others, render, write_outputs
from broadmamba.recognition.prediction import NOTICE, ConversationPrediction, UtterancePrediction
from broadmamba.recognition.writers import print_table
from broadmamba.storage import csv_text, write_text

LABELS = ("neutral", "joy", "anger")
texts = st.text(st.characters(exclude_categories=["Cs"]))
shares = st.floats(0, 1)


@st.composite
def predictions(draw) -> ConversationPrediction:
    items = []
    for number in range(draw(st.integers(0, 4))):
        start = draw(st.none() | st.floats(0, 1e6))
        utterance = Utterance(f"u{number}", draw(texts), draw(st.none() | texts.filter(bool)), start, start)
        probabilities = {label: draw(shares) for label in LABELS}
        present = draw(st.sampled_from([("text",), ("text", "audio"), ("audio",), ()]))
        label = max(probabilities, key=probabilities.__getitem__)
        weights = {name: draw(shares) for name in present}
        items.append(UtterancePrediction(utterance, label, probabilities[label], probabilities, weights, present))
    return ConversationPrediction("talk", tuple(items), "some-model")


def prediction(
    text: str = "Hi", speaker: str | None = "Anna", label: str = "joy", weights=None
) -> ConversationPrediction:
    weights = weights or {"text": 0.75, "audio": 0.25}
    probabilities = {"neutral": 0.25, "joy": 0.625, "anger": 0.125}
    item = UtterancePrediction(
        Utterance("talk_1", text, speaker, 0.5, 2.0), label, 0.625, probabilities, weights, tuple(weights)
    )
    return ConversationPrediction("talk", (item,), "some-model")


def shown(prediction: ConversationPrediction, width: int = 80, color: str | None = None) -> str:
    file = io.StringIO()
    print_table(prediction, Console(file=file, width=width, color_system=color, force_terminal=color is not None))
    return file.getvalue()


@settings(max_examples=100, deadline=None)
@given(predictions())
def test_jsonl_reads_back_as_it_was(prediction):
    lines = render(prediction, "jsonl").split("\n")
    assert lines.pop() == ""
    rows = [json.loads(line) for line in lines]
    assert len(rows) == len(prediction)
    for row, item in zip(rows, prediction, strict=True):
        u = item.utterance
        assert (row["conversation"], row["model"]) == ("talk", "some-model")
        assert (row["utterance"], row["text"], row["speaker"], row["start"], row["end"]) == (
            u.id,
            u.text,
            u.speaker,
            u.start,
            u.end,
        )
        assert (row["label"], tuple(row["present"])) == (item.label, item.present)
        assert row["probability"] == pytest.approx(item.probability, abs=1e-6)
        assert row["probabilities"] == pytest.approx(item.probabilities, abs=1e-6)
        assert list(row["probabilities"]) == list(LABELS)
        assert row["modality_weights"] == pytest.approx(item.modality_weights, abs=1e-6)


@pytest.mark.parametrize("name", ["talk.jsonl", "talk.json", "talk"])
@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_a_single_utterance_is_a_transcript_again(tmp_path, name, format):
    found = prediction()
    path = tmp_path / (name if format == "jsonl" else "talk.csv")
    path.write_text(render(found, format))
    (utterance,) = read_transcript(path)
    assert utterance == found.utterances[0].utterance


@pytest.mark.parametrize("format", ["jsonl", "csv"])
@pytest.mark.parametrize("text", ["so\\\\n", "a\\\tb", 'a "b\\', '"', "ok"])
def test_seconds_and_backslashes_are_what_they_were(tmp_path, format, text):
    item = UtterancePrediction(Utterance("a", text, "Ann", 100.0, 900.0), "joy", 1.0, {"joy": 1.0}, {}, ())
    path = tmp_path / f"talk.{format}"
    path.write_text(render(ConversationPrediction("talk", (item,), "m"), format))
    (utterance,) = read_transcript(path)
    assert (utterance.start, utterance.end) == (100, 900)
    assert utterance.text.split() == text.split()


@settings(max_examples=100, deadline=None)
@given(predictions())
def test_csv_reads_back_as_it_was_and_holds_no_formula(prediction):
    text = render(prediction, "csv")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len(rows) == len(prediction)
    for row, item in zip(rows, prediction, strict=True):
        u = item.utterance
        for cell, original in ((row["text"], u.text), (row["speaker"], u.speaker or "")):
            original = original.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\n", "\r"))
            assert cell in (original, f"'{original}")
        assert (row["utterance"], row["label"], row["present"]) == (u.id, item.label, "+".join(item.present))
        assert row["start"] == ("" if u.start is None else str(u.start))
        for label in LABELS:
            assert float(row[f"p_{label}"]) == pytest.approx(item.probabilities[label], abs=1e-6)
        for name in ("text", "audio"):
            written = row.get(f"w_{name}") or None
            assert (written is None) == (name not in item.present)
            assert written is None or float(written) == pytest.approx(item.modality_weights[name], abs=1e-6)


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\x00=1",
        "  =1",
        "\u3000=1",
        "\xa0\ufeff=1",
        "＝1",
        "＋1",
        "－1",
        "＠A1",
        "﹦1",
    ],
)
def test_a_spreadsheet_gets_no_formula(cell):
    [row] = csv.DictReader(io.StringIO(render(prediction(text=cell, speaker=cell), "csv")))
    assert row["text"][0] == row["speaker"][0] == "'"


def test_what_only_holds_a_sign_stays_as_it_is_and_labels_are_no_formulas():
    for cell in ("a=1", "1+1", "jo@example.org", "’tis - so", "% of it", "| x"):
        [row] = csv.DictReader(io.StringIO(render(prediction(text=cell), "csv")))
        assert row["text"] == cell
    made = csv_text(["=cmd", "＋b"], [["=1", 2.5]])
    assert made == "'=cmd,'＋b\n'=1,2.5\n"


def test_csv_for_excel():
    made = csv_text(["text"], [["é\nb"], ["x" * 40_000]], excel=True)
    assert made.encode().startswith(b"\xef\xbb\xbftext\r\n")
    [[_], [text], [cut]] = csv.reader(io.StringIO(made.removeprefix("\ufeff"), newline=""))
    assert text == "é\nb" and cut == "x" * 32_767


def test_times_that_are_no_numbers_and_halves_of_characters_are_written_all_the_same(tmp_path):
    item = prediction(text="half \ud800").utterances[0]
    odd = replace(item, utterance=Utterance("u", "half \ud800", "\udfff", float("nan"), float("inf")))
    made = ConversationPrediction("talk", (odd,), "m")
    row = json.loads(render(made, "jsonl"))
    assert (row["start"], row["end"], row["text"], row["speaker"]) == (None, None, "half \ud800", "\udfff")
    for name in FORMATS:
        if name not in ("eaf", "textgrid"):
            write_text(tmp_path / name, render(made, name))
            (tmp_path / name).read_text("utf-8")


def test_a_long_table_takes_no_longer_than_its_lines():
    item = prediction(text="word " * 10).utterances[0]
    begun = time.process_time()
    shown(ConversationPrediction("talk", (item,) * 5000, "m"))
    assert time.process_time() - begun < 1.5, "rich's tables take 5 s"


def test_the_table_says_who_said_what_with_which_emotion():
    table = shown(prediction(text="I got the job!"))
    [row] = [line for line in table.split("\n") if "Anna" in line]
    assert row.split() == ["Anna", "I", "got", "the", "job!", "joy", "62%", "75%", "25%"]
    assert table.startswith("talk · 1 utterance · some-model\n")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits_and_crops_long_texts(width):
    weights = {"text": 1.0, "audio": 0.0, "video": 0.0}
    table = shown(
        prediction(text="word " * 20_000, speaker="A very long name that goes on and on", weights=weights),
        width,
    )
    assert max(cell_len(line) for line in table.split("\n")) <= width
    assert "…" in table
    assert table.count("\n") < 60
    for expected in ("joy", "100%", "audio", "video"):
        assert expected in table


def test_without_colour_there_is_no_escape_and_with_colour_the_label_still_stands_in_words():
    assert "\x1b" not in shown(prediction())
    coloured = shown(prediction(), color="truecolor")
    assert "\x1b[38;2;" in coloured
    assert "joy" in coloured


def test_a_transcript_cannot_command_the_terminal():
    table = shown(prediction(text="\x1b[2Jred\u202e\x07 [bold]not bold[/bold]\n\nnext", speaker="[red]Anna"), width=120)
    assert not set("\x1b\x07\u202e") & set(table)
    assert "[bold]not bold[/bold] next" in table
    assert "[red]Anna" in table


def test_nobody_known_nothing_said_and_a_missing_modality():
    both = prediction().utterances[0]
    silent = prediction(text="", speaker=None, weights={"text": 1.0}).utterances[0]
    [row] = [line for line in shown(ConversationPrediction("talk", (both, silent), "m")).split("\n") if "100%" in line]
    assert row.split() == ["–", "–", "joy", "62%", "100%", "–"]
    assert "speaker" not in shown(prediction(speaker=None))


def test_every_format_renders_text_that_ends_in_one_newline():
    for name in FORMATS:
        text = render(prediction(), name)
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert "\x1b" not in text


@pytest.mark.parametrize("name", ["a:b.mp4", "C:\\a.mp4", "x://y.mp4", "what? 1%#.mp4", "-- a.mp4", "two\nlines.mp4"])
def test_a_recording_of_any_name_has_all_outputs(tmp_path, name):
    recording = tmp_path / name
    recording.parent.mkdir(exist_ok=True)
    recording.write_bytes(b"")
    files = write_outputs(prediction(), tmp_path / "out", None, recording, is_recording=True)
    assert len(files) == 6 and files == list(filter(Path.exists, files))
    refuse_replacing_others(tmp_path / "out", None, recording)
    ElementTree.parse(tmp_path / "out" / "tiers.eaf")
    assert read_transcript(tmp_path / "out" / "tiers.eaf").utterances[0].text == "Hi"
    assert read_transcript(tmp_path / "out" / "tiers.TextGrid").utterances[0].text == "Hi"
    grid = parselmouth.read(str(tmp_path / "out" / "tiers.TextGrid"))  # Praat itself
    assert parselmouth.praat.call(grid, "Get number of tiers") >= 2
    assert textgrid.openTextgrid(str(tmp_path / "out" / "tiers.TextGrid"), includeEmptyIntervals=False).tierNames
    with pytest.raises(InputError, match="was not made from"):
        refuse_replacing_others(tmp_path / "out", None, tmp_path / "other.mp4")


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(
        InputError,
        match=r"unknown format 'json'; known are table, jsonl, csv, vtt, eaf, textgrid, html \(did you mean jsonl\?\)",
    ):
        render(prediction(), "json")


def test_the_notice_is_one_short_line():
    assert "\n" not in NOTICE
    assert len(NOTICE) <= 110
    assert "RESPONSIBLE_USE.md" in NOTICE
