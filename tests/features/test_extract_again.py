"""Rows that fail for a reason that may pass, files that are none, and clips of the wrong length."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")
sys.path.append(str(Path(__file__).parents[1] / "media"))
from frail import load_frail, tries
from recordings import tone, write

from broadmamba.data.conversation import Conversation, LabelSet, Utterance
from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.features.audio import load_audio
from broadmamba.features.extract_media import extract_media, report_file
from broadmamba.media.tracks import SoundChoice

RATE = 16_000


def corpus_of(folder: Path, *utterances: Utterance | str) -> Corpus:
    made = tuple(u if isinstance(u, Utterance) else Utterance(u) for u in utterances)
    Corpus("test", LabelSet(["sad", "glad"]), (Conversation("c", made),), {"train": ("c",)}).save(folder)
    return Corpus.open(folder)


def clip(path: Path, seconds: float = 0.3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, tone(seconds, RATE, loud=0.1 + len(path.stem) / 100), rate=RATE)


def reported(corpus: Corpus, feature: str = "frail") -> dict[str, str]:
    with report_file(corpus.path, feature).open(newline="") as file:
        return {row["utterance"]: row["reason"] for row in csv.DictReader(file)}


def test_what_may_pass_is_tried_again_and_the_rest_stays_bit_equal(tmp_path: Path) -> None:
    names = ["fine", "kill1", "memory1", "disk1", "kill3", "wrong1"]
    for name in names:
        clip(tmp_path / f"media/{name}.wav")
    corpus = corpus_of(tmp_path / "corpus", *names, "absent")
    load = partial(load_frail, tmp_path / "trace")
    extended, report = extract_media(corpus, load, tmp_path / "media", 2)
    assert list(extended.features["frail"].missing()) == [False] * 4 + [True] * 3
    assert reported(corpus) == {
        "kill3": "its worker process was killed by SIGKILL, as happens where memory runs out",
        "wrong1": "ValueError: no such thing",
        "absent": "no clip was found",
    }
    assert tries(tmp_path / "trace") == {"fine": 1, "kill1": 2, "memory1": 2, "disk1": 2, "kill3": 2, "wrong1": 1}

    before = extended.features["frail"].values.copy()
    same, none = extract_media(extended, load, tmp_path / "media", 2)
    assert same is extended and not none.retried
    clip(tmp_path / "media/absent.wav")
    again, report = extract_media(extended, load, tmp_path / "media", 2, retry=True)
    assert report.retried == 3 and not report.failures
    assert tries(tmp_path / "trace") == {
        "fine": 1, "kill1": 2, "memory1": 2, "disk1": 2, "kill3": 4, "wrong1": 2, "absent": 1,
    }  # fmt: skip
    assert again.features["frail"].values[:4].tobytes() == before[:4].tobytes()
    assert not again.features["frail"].missing().any()
    assert reported(corpus) == {}
    final, nothing = extract_media(again, load, tmp_path / "media", 2, retry=True)
    assert final is again and not nothing.retried


def test_what_may_pass_is_never_stored_as_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fine", "kill2", "wrong1"):
        clip(tmp_path / f"media/{name}.wav")
    corpus = corpus_of(tmp_path / "corpus", "fine", "kill2", "wrong1")
    load = partial(load_frail, tmp_path / "trace")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(Corpus, "add_feature", interrupt)
        extract_media(corpus, load, tmp_path / "media")
    _, report = extract_media(corpus, load, tmp_path / "media")
    assert [failure.utterance for failure in report.failures] == ["wrong1"]
    assert tries(tmp_path / "trace") == {"fine": 1, "kill2": 3, "wrong1": 1}


def test_a_folder_that_vanishes_while_it_is_read(tmp_path: Path) -> None:
    media = tmp_path / "media"
    names = ["remove", "second", "third"]
    corpus = corpus_of(tmp_path / "corpus", *names)
    load = partial(load_frail, tmp_path / "trace")
    for name in names:
        clip(media / f"{name}.wav")
    extended, _ = extract_media(corpus, load, media)
    assert list(extended.features["frail"].missing()) == [False, True, True]
    assert reported(corpus) == dict.fromkeys(names[1:], "there is no such file")
    for name in names:
        clip(media / f"{name}.wav")
    again, report = extract_media(extended, load, media, retry=True)
    assert report.retried == 2 and not again.features["frail"].missing().any()


def test_another_choice_of_sound_is_another_feature(tmp_path: Path) -> None:
    stereo = np.stack([tone(0.3, RATE), 0.2 * tone(0.3, RATE)], axis=1)
    (tmp_path / "media").mkdir()
    write(tmp_path / "media/a.wav", stereo, rate=RATE)
    corpus = corpus_of(tmp_path / "corpus", "a", "b")
    load = partial(load_frail, tmp_path / "trace")
    second = SoundChoice(channels=2)
    extended, _ = extract_media(corpus, load, tmp_path / "media", sound=second)
    assert extended.features["frail"].values[0, 0] == pytest.approx(np.abs(stereo[:, 1]).mean(), rel=0.01)
    with pytest.raises(InputError, match=r"made of other sound .*channels 2.*, expected .*channels 1"):
        extract_media(extended, load, tmp_path / "media", sound=SoundChoice(channels=1))
    write(tmp_path / "media/b.wav", stereo, rate=RATE)
    again, _ = extract_media(extended, load, tmp_path / "media", retry=True)  # of the same sound
    values = again.features["frail"].values
    assert values[1, 0] == values[0, 0]
    (tmp_path / "corpus/reports/frail.sound.json").write_text('{"track": [], "volume": 11}')
    with pytest.raises(InputError, match=r"frail\.sound\.json: is damaged or of another version at track"):
        extract_media(again, load, tmp_path / "media", retry=True)


def test_a_resumed_run_does_not_mix_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "media").mkdir()
    write(tmp_path / "media/a.wav", np.stack([tone(0.3, RATE), 0.2 * tone(0.3, RATE)], axis=1), rate=RATE)
    corpus = corpus_of(tmp_path / "corpus", "a")
    load = partial(load_frail, tmp_path / "trace")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(Corpus, "add_feature", interrupt)
        extract_media(corpus, load, tmp_path / "media", sound=SoundChoice(channels=1))
    extract_media(corpus, load, tmp_path / "media", sound=SoundChoice(channels=2))
    assert tries(tmp_path / "trace") == {"a": 2}


def test_files_that_are_none_cost_their_own_rows_alone(tmp_path: Path) -> None:
    media = tmp_path / "media"
    strange = media / os.fsdecode(b"caf\xe9")
    clip(media / "fine.wav")
    strange.mkdir()
    (strange / "bad.wav").write_bytes(b"RIFF")
    (media / "folder.wav").mkdir()
    (media / "broken.wav").symlink_to(tmp_path / "nowhere.wav")
    (media / "device.wav").symlink_to("/dev/zero")
    os.mkfifo(media / "pipe.wav")
    names = ["fine", "bad", "folder", "broken", "device", "pipe", "absent"]
    corpus = corpus_of(tmp_path / "corpus", *names)
    extended, report = extract_media(corpus, partial(load_audio, "logmel"), media)
    assert list(extended.features["logmel"].missing()) == [False] + [True] * 6
    reasons = reported(corpus, "logmel")
    assert reasons["folder"] == "no clip was found"
    assert reasons["broken"] == "broken.wav cannot be read (No such file or directory)"
    assert reasons["device"] == reasons["pipe"] == "expected a file, found a special file"
    assert {failure.utterance: failure.file for failure in report.failures}["bad"] == r"caf\udce9/bad.wav"


def test_a_clip_of_the_wrong_length_is_told_and_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spans = {"long": (10.0, 12.0), "fine": (12.0, 15.0), "also": (15.0, 16.0), "none": (17.0, 17.0)}
    seconds = {"long": 40.0, "fine": 3.5, "also": 30.0, "none": 20.0}
    for name, length in seconds.items():
        clip(tmp_path / f"media/{name}.wav", length)
    corpus = corpus_of(
        tmp_path / "corpus", *(Utterance(name, start=start, end=end) for name, (start, end) in spans.items())
    )
    extended, report = extract_media(corpus, partial(load_audio, "logmel"), tmp_path / "media", 2)
    assert not extended.features["logmel"].missing().any() and not report.failures
    words = "its length is far from what its utterance is said to last; it is used as it is"
    assert reported(corpus, "logmel") == {
        "long": f"{words} (40.0 s, said to be 2.0 s)",
        "also": f"{words} (30.0 s, said to be 1.0 s)",
    }
    assert caplog.messages == [f"long.wav and 1 more: {words}"]


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
from broadmamba.errors import PassingError
from broadmamba.media.recording import Recording
with Recording.open(sys.argv[1]) as recording:
    assert len(recording.audio(0, 1)) == 16_000
    try:
        recording.audio(1150, 1151)
    except PassingError as error:
        print(error)
"""


def test_a_disk_that_is_full_is_a_reason_that_may_pass(tmp_path: Path) -> None:
    path = write(tmp_path / "long.wav", (tone(1200, 4_000) * 32767).astype(np.int16), rate=4_000)
    ended = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, timeout=100, check=True
    )
    assert "long.wav: decoding its sound" in ended.stdout
    assert "File too large; TMPDIR says where long sound is kept meanwhile" in ended.stdout
