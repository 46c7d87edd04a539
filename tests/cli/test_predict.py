"""The command `broadmamba predict`."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broadmamba.media.transcripts import read_transcript
from broadmamba.recognition.prediction import NOTICE
from broadmamba.recognition.recognizer import Recognizer
from corpora import LABELS, WORDS

Predict = Callable[..., Any]


@pytest.fixture
def predict(command: Callable[..., Any], text_model: tuple[Path, Path]) -> Predict:
    """The command with the tiny model."""
    encoder, model = text_model
    return lambda transcript, *options: command("predict", transcript, "--model", model, "--encoder", encoder, *options)


@pytest.fixture
def transcript(tmp_path: Path) -> Path:
    path = tmp_path / "talk.txt"
    path.write_text("".join(f"{who}: {' '.join(WORDS[label])}\n" for who, label in zip("ABA", LABELS, strict=True)))
    return path


def make_tone(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes([0, 20, 0, 236]) * 4000)


@pytest.fixture
def expected(transcript: Path, text_model: tuple[Path, Path]) -> list[dict[str, Any]]:
    """What the library predicts for the transcript."""
    encoder, model = text_model
    prediction = Recognizer.from_pretrained(model, encoder=str(encoder)).predict(read_transcript(transcript))
    return [
        {
            "speaker": item.utterance.speaker,
            "text": item.utterance.text,
            "label": item.label,
            "probability": round(item.probability, 6),
            "probabilities": {name: round(value, 6) for name, value in item.probabilities.items()},
            "modality_weights": {"text": 1.0},
            "present": ["text"],
        }
        for item in prediction
    ]


def test_a_table_on_standard_output(predict: Predict, transcript: Path, expected: list[dict[str, Any]]) -> None:
    result = predict(transcript)
    assert (result.code, result.err) == (0, NOTICE + "\n")
    lines = list(filter(str.strip, result.out.splitlines()))
    assert lines[0] == "talk · 3 utterances · model"
    assert lines[1].split() == ["speaker", "said", "emotion", "prob.", "text"]
    for line, row in zip(lines[3:6], expected, strict=True):
        assert line.split() == [
            row["speaker"], *row["text"].split(), row["label"], f"{row['probability']:.0%}", "100%"
        ]  # fmt: skip


@pytest.mark.parametrize("to_file", [False, True])
def test_jsonl(
    predict: Predict, transcript: Path, expected: list[dict[str, Any]], tmp_path: Path, to_file: bool
) -> None:
    out = tmp_path / "deep" / "talk.jsonl"
    result = predict(transcript, *(["--out", out] if to_file else ["--format", "jsonl"]))
    assert (result.code, result.err) == (0, NOTICE + "\n")
    assert not to_file or result.out == ""
    rows = [json.loads(line) for line in (out.read_text("utf-8") if to_file else result.out).splitlines()]
    assert [{key: row[key] for key in expected[0]} for row in rows] == expected
    assert [row["utterance"] for row in rows] == ["talk_1", "talk_2", "talk_3"]


@pytest.mark.parametrize("to_file", [False, True])
def test_csv(predict: Predict, transcript: Path, expected: list[dict[str, Any]], tmp_path: Path, to_file: bool) -> None:
    out = tmp_path / "talk.csv"
    result = predict(transcript, *(["--out", out] if to_file else ["--format", "csv"]))
    assert (result.code, result.err) == (0, NOTICE + "\n")
    rows = list(csv.DictReader(io.StringIO(out.read_text("utf-8") if to_file else result.out)))
    for row, wanted in zip(rows, expected, strict=True):
        assert {key: row[key] for key in ("speaker", "text", "label")} == {
            key: wanted[key] for key in ("speaker", "text", "label")
        }
        assert float(row["probability"]) == wanted["probability"]
        assert {label: float(row[f"p_{label}"]) for label in LABELS} == wanted["probabilities"]
        assert (row["w_text"], row["present"]) == ("1.0", "text")


def test_the_runtime_and_the_device_are_chosen(
    predict: Predict, transcript: Path, expected: list[dict[str, Any]]
) -> None:
    for options in (("--runtime", "onnx", "--device", "cpu"), ("--runtime", "torch")):
        result = predict(transcript, "--format", "jsonl", *options)
        assert (result.code, result.err) == (0, NOTICE + "\n")
        for line, wanted in zip(result.out.splitlines(), expected, strict=True):
            assert json.loads(line)["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-4)
    for option, told in (("--runtime", "known are onnx, torch"), ("--device", "auto, cpu, cuda")):
        refused = predict(transcript, option, "abacus")
        assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
        assert "abacus" in refused.err and told in refused.err


def test_the_format_that_is_said_counts_more_than_the_name(predict: Predict, transcript: Path, tmp_path: Path) -> None:
    for name, options, first in (
        ("a.csv", ["--format", "jsonl"], "{"),
        ("b.txt", ["--format", "csv"], "conversation,utterance,"),
        ("c.txt", [], "talk · 3 utterances"),
    ):
        assert predict(transcript, "--out", tmp_path / name, *options).code == 0
        assert (tmp_path / name).read_text("utf-8").startswith(first)


def test_what_the_command_writes_it_reads(predict: Predict, transcript: Path, tmp_path: Path) -> None:
    assert predict(transcript, "--out", tmp_path / "one.jsonl").code == 0
    assert predict(tmp_path / "one.jsonl", "--out", tmp_path / "two.jsonl").code == 0
    one, two = ((tmp_path / f"{name}.jsonl").read_text().splitlines() for name in ("one", "two"))
    assert [json.loads(line)["probabilities"] for line in one] == [json.loads(line)["probabilities"] for line in two]


@pytest.mark.parametrize(
    ("name", "content", "utterances"),
    [
        ("speakerless.txt", "w1 w2\nw3\n", 2),
        ("one.jsonl", '{"text": "w1"}\n', 1),
        ("empty.jsonl", '{"text": ""}\n{"text": ""}\n', 2),
        ("long.jsonl", json.dumps({"text": "w1 " * 33_333 + "w"}) + "\n", 1),
        ("column.csv", "text\n" + "w1\nw2\n", 2),
        ("talk.srt", "1\n00:00:01,000 --> 00:00:02,000\nw1 w2\n\n2\n00:00:03,000 --> 00:00:04,000\n\n", 2),
        ("talk.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>w1 w2\n", 1),
        ("many.jsonl", "".join(json.dumps({"text": f"w{i % 30} w1"}) + "\n" for i in range(20_000)), 20_000),
    ],
    ids=["no speakers", "one", "no characters", "100,000 characters", "csv", "srt", "vtt", "20,000 utterances"],
)
def test_these_simply_work(predict: Predict, tmp_path: Path, name: str, content: str, utterances: int) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    result = predict(tmp_path / name, "--out", tmp_path / "out.jsonl")
    assert (result.code, result.err) == (0, NOTICE + "\n")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == utterances
    assert all(sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5) for row in rows)
    if name == "long.jsonl":
        assert len(rows[0]["text"]) == 100_000


def test_a_table_of_the_longest_utterance(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("w1 " * 33_333 + "w")
    result = predict(tmp_path / "long.txt")
    assert result.code == 0 and len(result.out) < 10_000


def test_tiers_are_chosen_by_name(predict: Predict, tmp_path: Path) -> None:
    grid = tmp_path / "talk.TextGrid"
    tiers = " ".join(f'"IntervalTier" "{name}" 0 1 1 0 1 "{name}"' for name in ("Ann", "notes", "Bo", "gaze"))
    grid.write_text(f'File type = "ooTextFile"\nObject class = "TextGrid"\n0 1 <exists> 4 {tiers}')
    result = predict(grid, "--tiers", "notes,Bo", "--tiers", "gaze", "--format", "jsonl")
    assert result.code == 0, result.err
    assert [json.loads(line)["text"] for line in result.out.splitlines()] == ["notes", "Bo", "gaze"]
    result = predict(grid, "--tiers", "None")
    assert result.code == 2 and "expected a tier 'None', found Ann, notes, Bo, gaze" in result.err
    make_tone(tmp_path / "tone.wav")
    result = predict(tmp_path / "tone.wav", "--tiers", "Bo")
    assert result.code == 2 and "expected a transcript too, since tiers of one were named" in result.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_transcript_out_of_a_pipe(predict: Predict, tmp_path: Path) -> None:
    """A pipe gives its bytes once: alone, and as what is said in a recording."""
    make_tone(tmp_path / "voice.wav")
    pipe = tmp_path / "talk.fifo"
    os.mkfifo(pipe)
    for arguments in ((pipe,), (tmp_path / "voice.wav", "--transcript", pipe)):
        writer = threading.Thread(target=pipe.write_text, args=("1\n00:00:00,100 --> 00:00:00,900\nAnna: w1 w2\n",))
        writer.start()
        result = predict(*arguments, "--format", "jsonl")
        writer.join(20)
        assert (result.code, result.err.splitlines()[-1]) == (0, NOTICE)
        row = json.loads(result.out)
        assert (row["utterance"], row["speaker"], row["text"], row["start"]) == ("talk_1", "Anna", "w1 w2", 0.1)


def test_the_encoding_of_a_transcript_is_said_or_asked_for(predict: Predict, tmp_path: Path) -> None:
    path = tmp_path / "talk.srt"
    path.write_bytes("1\n00:00:01,000 --> 00:00:02,000\nЯна: Уже поздно.\n".encode("koi8_r"))
    refused = predict(path)
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert refused.err.startswith(f"broadmamba: {path}: expected UTF-8 text") and "--encoding" in refused.err
    result = predict(path, "--encoding", "koi8-r", "--format", "jsonl")
    assert (result.code, result.err) == (0, NOTICE + "\n")
    row = json.loads(result.out)
    assert (row["speaker"], row["text"]) == ("Яна", "Уже поздно.")
    path.write_bytes("Zoë: Très bien.\nMax: Gr\xfc\xdfe\n".encode("latin-1"))
    western = predict(path.rename(tmp_path / "talk.txt"))
    assert western.code == 0
    assert western.err.splitlines()[0].startswith(f"broadmamba: {tmp_path / 'talk.txt'}: its text is no UTF-8")
    make_tone(tmp_path / "voice.wav")
    alone = predict(tmp_path / "voice.wav", "--encoding", "cp1251")
    assert alone.code == 2 and "expected a transcript too" in alone.err
