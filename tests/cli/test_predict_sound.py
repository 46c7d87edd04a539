"""What `predict` hears of a recording, and what it tells of utterances that it labels without sound."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")
from recordings import chirps, write, write_tracks
from spoken import speech_model

from broadmamba.features.audio import load_audio
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.recognition.recognizer import Recognizer
from broadmamba.recognition.recording import Listening, predict_recording
from corpora import make_untaught_model

RATE = 16_000
SAID = ("So it is you.", "It is.", "I knew it all along.")


@dataclass(frozen=True)
class Talk:
    model: Path
    voice: Path
    transcript: Path


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    folder = tmp_path_factory.mktemp("talk")
    model = make_untaught_model((TextEncoder.load("minilm").spec, load_audio("logmel").spec), folder / "model")
    voice = write(folder / "voice.wav", chirps(4, RATE), rate=RATE)
    return Talk(model, voice, srt(folder / "talk.srt", 0.0, 1.0, 2.5))


def srt(path: Path, *starts: float) -> Path:
    def clock(seconds: float) -> str:
        return f"{int(seconds // 3600):02d}:{int(seconds % 3600 // 60):02d}:{seconds % 60:06.3f}".replace(".", ",")

    cues = [
        f"{number}\n{clock(start)} --> {clock(start + 1)}\nAnna: {text}\n"
        for number, (start, text) in enumerate(zip(starts, SAID, strict=True), start=1)
    ]
    path.write_text("\n".join(cues))
    return path


@pytest.fixture
def predict(command: Callable[..., Any], talk: Talk) -> Callable[..., tuple[list[dict[str, Any]], list[str]]]:
    """Rows, and what is told without the last line."""

    def call(recording: Path, transcript: Path, *options: object) -> tuple[list[dict[str, Any]], list[str]]:
        result = command(
            "predict", recording, "--transcript", transcript, "--model", talk.model, "--format", "jsonl", *options
        )
        assert result.code == 0, result.err
        return [json.loads(line) for line in result.out.splitlines()], result.err.splitlines()[:-1]

    return call


def heard(rows: list[dict[str, Any]]) -> list[bool]:
    return ["audio" in row["present"] for row in rows]


def test_one_inverted_channel_changes_nothing(talk: Talk, predict: Callable[..., Any], tmp_path: Path) -> None:
    expected, nothing = predict(talk.voice, talk.transcript)
    assert heard(expected) == [True] * 3 and nothing == []
    voice = chirps(4, RATE)
    stereo = write(tmp_path / "voice.wav", np.stack([voice, -voice], axis=1), rate=RATE)
    found, told = predict(stereo, talk.transcript)
    assert [row["probabilities"] for row in found] == [row["probabilities"] for row in expected]
    assert told == [f"broadmamba: {stereo}: its channels cancel out when they are mixed, so channel 1 alone is heard"]
    found, told = predict(stereo, talk.transcript, "--channels", "mix")
    assert heard(found) == [False] * 3
    assert told == ["broadmamba: 3 of 3 utterances are labelled without logmel: nothing is to be heard in them"]


def test_the_track_that_is_marked_or_asked_for(talk: Talk, predict: Callable[..., Any], tmp_path: Path) -> None:
    voice = chirps(4, RATE)
    tracks = write_tracks(tmp_path / "two.mkv", [(0 * voice, "eng", []), (voice, "ger", ["default"])])
    expected, _ = predict(talk.voice, talk.transcript)
    found, told = predict(tracks, talk.transcript)
    assert [row["probabilities"] for row in found] == [row["probabilities"] for row in expected]
    assert told == [f"broadmamba: {tracks}: it has the audio tracks 1 (eng), 2 (ger, default); number 2 is heard"]
    assert heard(predict(tracks, talk.transcript, "--audio-track", "1")[0]) == [False] * 3
    assert heard(predict(tracks, talk.transcript, "--audio-track", "ger")[0]) == [True] * 3


def test_wrong_choices_get_one_sentence(talk: Talk, command: Callable[..., Any]) -> None:
    for options, expected in (
        (("--audio-track", "2"), "there is no audio track 2; it has 1"),
        (("--audio-track", "0"), "counted from 1"),
        (("--channels", "2"), "there is no channel 2"),
        (("--channels", "left"), "mix, best or a number"),
    ):
        result = command("predict", talk.voice, "--transcript", talk.transcript, "--model", talk.model, *options)
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1), options
        assert expected in result.err


def test_a_transcript_of_another_recording(
    talk: Talk, predict: Callable[..., Any], command: Callable[..., Any], tmp_path: Path
) -> None:
    hour = srt(tmp_path / "hour.srt", 3600, 3601, 3602)
    out = tmp_path / "out"
    refused = command("predict", talk.voice, "--transcript", hour, "--model", talk.model, "--out", out)
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "none of the 3 utterances with times lies within the 4.0 s" in refused.err
    assert "begins at 01:00:00.000; timecodes often count from an hour: take 1 h off all times" in refused.err
    assert not out.exists()
    rows, told = predict(talk.voice, srt(tmp_path / "part.srt", 0, 5, 9))
    assert heard(rows) == [True, False, False]
    assert told == [
        "broadmamba: 2 of the 3 utterances with times begin after the end of the recording at 4.0 s, and have neither "
        "sound nor pictures; it may be the transcript of another recording"
    ]


def test_a_film_without_sound_is_told(talk: Talk, predict: Callable[..., Any], tmp_path: Path) -> None:
    from recordings import numbered

    film = write(tmp_path / "film.mp4", pictures=numbered(100))
    rows, told = predict(film, talk.transcript)
    assert heard(rows) == [False] * 3
    assert told == [f"broadmamba: {film} has no sound: its utterances are labelled without it"]


@pytest.mark.parametrize("kills", [1, 2])
def test_a_worker_that_is_killed_costs_nothing_or_is_told(
    talk: Talk, tmp_path: Path, caplog: pytest.LogCaptureFixture, kills: int
) -> None:
    caplog.set_level(logging.WARNING)
    recognizer, listening = Recognizer.from_pretrained(talk.model), Listening(transcript=talk.transcript)
    unbroken = predict_recording(recognizer, talk.voice, tmp_path / "unbroken", listening)
    left = [kills]

    def kill(stage: str, done: float, total: float) -> None:
        if stage == "Extracting logmel" and left[0]:
            left[0] -= 1
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGSTOP)  # before it sends the next row
                os.kill(worker.pid, signal.SIGKILL)

    found = predict_recording(recognizer, talk.voice, tmp_path / "killed", listening, progress=kill)
    assert left == [0]
    present = ["audio" in item.present for item in found]
    if present == [True] * 3:
        assert found == unbroken and caplog.messages == []
    else:
        assert f"{present.count(False)} of 3 utterances are labelled without logmel" in caplog.text
        assert "SIGKILL" in caplog.text


def test_a_recording_without_a_word_leaves_nothing_behind(
    talk: Talk, command: Callable[..., Any], tmp_path: Path
) -> None:
    silence = write(tmp_path / "silence.wav", np.zeros(2 * RATE, np.float32), rate=RATE)
    for out in (tmp_path / "out", tmp_path / "out.jsonl"):
        result = command("predict", silence, "--model", talk.model, "--speech-model", speech_model(), "--out", out)
        assert result.code == 2
        assert "expected speech, found no word" in result.err
        assert [file.name for file in tmp_path.iterdir()] == ["silence.wav"]
