"""What is made of a recording where torch cannot be imported, in this process's children and theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from face_package import face_package, sample
from safetensors.numpy import load_file
from spoken import SIZE, TALK, make_recording, require_flite, same_grouping, speech_model, word_error_rate

from broadmamba.features.video.expression_weights import fetch_weights

BLOCKED = ("torch", "transformers", "librosa", "numba", "resemblyzer")

ROOMS = """
import importlib, pkgutil, sys
import broadmamba.features, broadmamba.media
rooms = ("audio", "video", "clips", "extract_media", "extract_recording", "parts", "rows", "workers")
for room in ("media", *("features." + name for name in rooms)):
    module = importlib.import_module("broadmamba." + room)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
        if not found.name.endswith(("_child", "densenet", "densenet_extractor")):
            importlib.import_module(found.name)
            print(found.name)
print(*{name.split(".")[1] for name in sys.modules if name.startswith("broadmamba.")})
"""

FEATURES = """
import sys
from functools import partial
from pathlib import Path
from safetensors.numpy import save_file
from broadmamba.features.audio import load_audio
from broadmamba.features.extract_recording import extract_recording
from broadmamba.features.video import load_video
from broadmamba.media.recording import Recording
from broadmamba.media.spans import spans_of
from broadmamba.media.transcripts import read_transcript
from broadmamba.media.turns import assign_speakers
from broadmamba.media.voices import find_turns
if __name__ == "__main__":
    path, transcript, out = map(Path, sys.argv[1:])
    with Recording.open(path) as recording:
        conversation = read_transcript(transcript)
        spans = spans_of(conversation, recording)
        conversation = assign_speakers(conversation, find_turns(recording, spans))
        sound = recording.heard
    made = {}
    for load in (partial(load_audio, "prosody"), partial(load_video, "expression")):
        feature, reasons = extract_recording(spans, path, sound, load, out.parent / "work")
        assert not reasons, reasons
        made[feature.spec.name] = feature.values
    save_file(made, out)
    print(*(u.speaker.replace(" ", "") for u in conversation))
"""

WORDS = """
import sys
from pathlib import Path
from broadmamba.media.recording import Recording
from broadmamba.media.speech import SpeechRecognizer
with Recording.open(Path(sys.argv[1])) as recording:
    for block in SpeechRecognizer.load(sys.argv[2], threads=1).blocks(recording):
        print(*(word.text for word in block.words))
"""


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose processes cannot import what is blocked."""
    folder = tmp_path_factory.mktemp("without")
    for name in BLOCKED:
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError('{name} is blocked', name='{name}')")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}


def run(code: str, without: dict[str, str], folder: Path, *arguments: object) -> str:
    script = folder / "script.py"
    script.write_text(code)
    command = [sys.executable, str(script), *map(str, arguments)]
    ended = subprocess.run(command, env=without, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_block_holds(without: dict[str, str], tmp_path: Path) -> None:
    code = "try: import torch\nexcept ModuleNotFoundError as error: print(error)"
    assert run(code, without, tmp_path) == "torch is blocked\n"


def test_the_rooms_of_recordings_are_imported(without: dict[str, str], tmp_path: Path) -> None:
    *modules, rooms = run(ROOMS, without, tmp_path).splitlines()
    assert len(modules) > 60
    assert not set(rooms.split()) & {"model", "training", "baselines", "experiments", "evaluation"}


def test_voices_sound_and_faces(without: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("parselmouth")
    require_flite()
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path / "cache"))
    fetch_weights(face_package())
    people = np.full((*SIZE, 3), 90, np.uint8)
    picture = sample(1)[: SIZE[0]]
    people[: picture.shape[0], : picture.shape[1]] = picture
    recording = make_recording(tmp_path / "talk.mp4", TALK[:3], footage=lambda time: people)
    clock = "00:{:06.3f}".format
    cues = [f"\n{clock(turn.start)} --> {clock(turn.end)}\n{turn.text}\n" for turn in recording.turns]
    (tmp_path / "talk.vtt").write_text("".join(["WEBVTT\n", *cues]))
    environment = {**without, "BROADMAMBA_CACHE": str(tmp_path / "cache")}
    out = tmp_path / "rows.safetensors"
    speakers = run(FEATURES, environment, tmp_path, recording.path, tmp_path / "talk.vtt", out)
    assert same_grouping(speakers.split(), [turn.speaker for turn in recording.turns])
    made = load_file(out)
    assert {name: values.shape for name, values in made.items()} == {"prosody": (3, 8), "expression": (3, 789)}
    assert all(np.isfinite(values).all() for values in made.values())
    np.testing.assert_allclose(made["expression"][:, :7].sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(made["prosody"][:, 0], [t.end - t.start for t in recording.turns], atol=0.01)


def test_words_are_transcribed(without: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    model, recording = speech_model(), make_recording(tmp_path / "talk.wav", TALK[:2])
    said = " ".join(turn.text for turn in recording.turns)
    assert word_error_rate(said, run(WORDS, without, tmp_path, recording.path, model)) < 0.2
