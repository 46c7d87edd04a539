"""Which of several tracks is heard and seen, held against what ffprobe says of the file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
import recordings

from broadmamba.errors import InputError
from broadmamba.media.recording import Recording
from broadmamba.media.tracks import SoundChoice

HERTZ = (300, 700, 1500)
Dispositions = list[list[str]]


def heard(path: Path, choice: SoundChoice = SoundChoice()) -> int:  # noqa: B008
    """Which of the tones of `HERTZ` is heard, from 1."""
    with Recording.open(path, choice) as recording:
        spectrum = np.abs(np.fft.rfft(recording.audio(0, 1)))
    return HERTZ.index(min(HERTZ, key=lambda hertz: abs(hertz - int(spectrum.argmax())))) + 1


def tones(path: Path, dispositions: Dispositions, languages: tuple[str, ...] = ("", "", "")) -> Path:
    sounds = [
        (recordings.tone(1, 16_000, hertz), language, marks)
        for hertz, language, marks in zip(HERTZ, languages, dispositions, strict=False)
    ]
    return recordings.write_tracks(path, sounds)


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
@pytest.mark.parametrize(
    ("dispositions", "expected"),
    [
        ([[], ["default"], []], 2),
        ([[], ["default"], ["default"]], 2),
        ([[], [], []], 1),
        ([["default", "comment"], ["default"], []], 2),
        ([["visual_impaired"], ["hearing_impaired"], []], 3),
        ([["comment"], [], ["default"]], 3),
        ([["default", "comment"], [], []], 1),  # what the file marks itself
        ([["comment"], ["comment"], ["comment"]], 1),
    ],
)
def test_the_default_track_is_heard(tmp_path: Path, kind: str, dispositions: Dispositions, expected: int) -> None:
    if kind == "mp4" and any("comment" in marks or "visual_impaired" in marks for marks in dispositions):
        pytest.skip("mp4 has no such marks")
    path = tones(tmp_path / f"talk.{kind}", dispositions)
    if which("ffprobe") and kind == "mkv":  # the file says what was meant
        probed: dict[str, Any] = json.loads(
            subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-of", "json", path], stdout=-1).stdout
        )
        marked = [[name for name, on in stream["disposition"].items() if on] for stream in probed["streams"]]
        assert [set(marks) for marks in marked] == [set(marks) for marks in dispositions]
    assert heard(path) == expected
    with Recording.open(path) as recording:
        (remark,) = recording.remarks
    assert f"number {expected} is heard" in remark


def test_a_track_is_chosen_by_number_or_language(tmp_path: Path) -> None:
    path = tones(tmp_path / "talk.mkv", [["default"], [], []], ("eng", "ger", "eng"))
    for wanted, expected in (("3", 3), ("1", 1), ("ger", 2), ("GER", 2), ("eng", 1)):
        choice = SoundChoice.parse(wanted, None)
        assert heard(path, choice) == expected
        with Recording.open(path, choice) as recording:
            assert recording.heard == SoundChoice(expected, "mix")
            assert recording.remarks == ()
    for wanted, message in (("4", "no audio track 4"), ("fre", "no audio track 'fre'"), ("99999999999", "no audio")):
        with pytest.raises(InputError, match=rf"{message}.*; it has 1 \(eng, default\), 2 \(ger\), 3 \(eng\)"):
            Recording.open(path, SoundChoice.parse(wanted, None))
    with pytest.raises(InputError, match="counted from 1"):
        SoundChoice.parse("0", None)
    film = recordings.write(tmp_path / "film.mkv", pictures=recordings.numbered(5))
    with pytest.raises(InputError, match="no audio track 1; it has none"):
        Recording.open(film, SoundChoice(1))


def test_a_default_track_that_cannot_be_decoded_is_told(tmp_path: Path) -> None:
    path = tones(tmp_path / "talk.mkv", [[], ["default"], []])
    content = bytearray(path.read_bytes())
    entry = content.index(b"A_FLAC", content.index(b"A_FLAC") + 1)
    content[entry : entry + 6] = b"A_TTA1"
    path.write_bytes(content)
    assert heard(path) == 1
    with Recording.open(path) as recording:
        assert recording.remarks[0].endswith("number 1 is heard, since the default one, 2, cannot be decoded")
    with pytest.raises(InputError, match=r"talk\.mkv: "):
        Recording.open(path, SoundChoice(2))


def test_the_default_film_is_seen_and_a_preview_is_none(tmp_path: Path) -> None:
    films = [recordings.numbered(8)[5:], recordings.numbered(12)[9:]]
    path = recordings.write_tracks(tmp_path / "two.mkv", films=[(films[0], []), (films[1], ["default"])])
    with Recording.open(path) as recording:
        assert [recordings.number_of(frame.pixels) for frame in recording.frames([0.0])] == [9]
        assert recording.remarks == ("it has the video tracks 1, 2 (default); number 2 is seen",)
