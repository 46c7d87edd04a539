"""Labels, and refusals, where there is no torch."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

KITCHEN = Path(__file__).resolve().parents[2] / "examples" / "kitchen.vtt"
FILES = {"predictions.jsonl", "predictions.csv", "captions.vtt", "tiers.eaf", "tiers.TextGrid", "report.html"}


def rows(out: Path) -> list[dict[str, object]]:
    """The rows of a `predictions.jsonl`."""
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def test_a_transcript_is_labelled(command: Command) -> None:
    ended = command("predict", KITCHEN, "--format", "csv")
    assert ended.returncode == 0, ended.stderr
    labels = {row["text"]: row["label"] for row in csv.DictReader(io.StringIO(ended.stdout))}
    assert len(labels) == 16
    assert labels["Lin, that is wonderful! I am so happy for you!"] == "joy"


def test_a_recording_is_labelled_with_words_voice_and_faces(command: Command, recorded: Path, tmp_path: Path) -> None:
    ended = command(
        "predict", recorded / "talk.mp4", "--transcript", recorded / "talk.srt", "--model", recorded / "model",
        "--out", "out",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    labelled = rows(tmp_path / "out" / "predictions.jsonl")
    assert [row["speaker"] for row in labelled] == ["slt", "rms", "awb"]
    assert all(row["present"] == ["text", "audio", "video"] for row in labelled), labelled
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>") and "Content-Security-Policy" in page
    tiers = ElementTree.parse(tmp_path / "out" / "tiers.eaf").getroot()
    assert len(list(tiers.iter("ALIGNABLE_ANNOTATION"))) >= 3
    assert (tmp_path / "out" / "tiers.TextGrid").read_text("utf-8").count("IntervalTier") >= 3


def test_words_are_heard_and_voices_told_apart(command: Command, recorded: Path, tmp_path: Path) -> None:
    ended = command(
        "predict", recorded / "talk.mp4", "--speech-model", recorded / "whisper", "--out", "heard.jsonl"
    )  # with the model that comes with the package
    assert ended.returncode == 0, ended.stderr
    heard = rows(tmp_path / "heard.jsonl")
    assert "meeting" in str(heard[0]["text"])
    assert len({row["speaker"] for row in heard}) == 3
    assert all(row["present"] == ["text", "audio"] for row in heard)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["absent.vtt"], "absent.vtt"),
        ([KITCHEN, "--model", "melt"], "did you mean meld?"),
        ([KITCHEN, "--out", "labels.docx"], "docx"),
        ([KITCHEN, "--encoding", "martian"], "martian"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused(command: Command, arguments: list[object], told: str) -> None:
    ended = command("predict", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in ended.stderr and ended.stderr.count("\n") == 1 and "Traceback" not in ended.stderr


def test_what_needs_torch_says_so() -> None:
    code = "import broadmamba\ntry: broadmamba.train_seeds\nexcept broadmamba.MissingExtraError as error: print(error)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "broadmamba.train_seeds needs torch: pip install 'broadmamba[train]'\n"


def test_a_script_loads_nothing_of_training(tmp_path: Path) -> None:
    code = """
import broadmamba, sys
recognizer = broadmamba.Recognizer.from_pretrained()
talk = broadmamba.Conversation("talk", (broadmamba.Utterance("1", "You won! That is amazing!", "Ida"),))
(item,) = recognizer.predict(talk)
print(item.label)
rooms = {name.split(".")[1] for name in sys.modules if name.startswith("broadmamba.")}
print(rooms & {"model", "training", "baselines", "experiments"})
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    label, loaded = ended.stdout.splitlines()
    assert label in ("joy", "surprise")
    assert loaded == "set()"


def test_a_plain_script_labels_a_recording(recorded: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import broadmamba, sys\n"
        "talk, transcript, model = sys.argv[1:]\n"
        "result = broadmamba.recognize(talk, transcript=transcript, model=model)\n"
        "print(len(result), *result[0].present, 'torch' in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, str(script), *(str(recorded / name) for name in ("talk.mp4", "talk.srt", "model"))],
        env={**os.environ, "BROADMAMBA_CACHE": str(recorded / "cache")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "3 text audio video False\n"), ended.stderr


def test_the_doctor_knows_what_is_not_there(command: Command) -> None:
    ended = command("doctor", "--json")
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    assert facts["problems"] == []
    states = {name: extra["state"] for name, extra in facts["extras"].items()}
    expected = {"recording": "installed", "praat": "installed", "opensmile": "missing", "train": "missing"}
    assert {name: states[name] for name in expected} == expected
