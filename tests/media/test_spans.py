"""Where utterances lie in their recording, and what is told of those that lie elsewhere."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import recordings

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.errors import InputError
from broadmamba.media.recording import Recording
from broadmamba.media.spans import Span, spans_of
from broadmamba.media.voices import find_turns


@pytest.fixture(scope="module")
def ten_seconds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recordings.write(tmp_path_factory.mktemp("spans") / "talk.wav", recordings.chirps(10, 16_000), rate=16_000)


def spans(path: Path, *times: tuple[float | None, float | None]) -> list[Span | None]:
    utterances = tuple(Utterance(str(number), "a", None, *span) for number, span in enumerate(times))
    with Recording.open(path) as recording:
        return spans_of(Conversation("talk", utterances), recording)


def test_spans_within_are_as_they_are(ten_seconds: Path, caplog: pytest.LogCaptureFixture) -> None:
    times = [(0.0, 2.0), (1.5, 9.0), (9.0, 10.0), (3.0, 3.0)]
    assert spans(ten_seconds, *times) == times
    assert spans(ten_seconds, (None, None), (None, 3.0)) == [None, None]
    assert caplog.messages == []


def test_an_utterance_without_an_end_lasts_to_the_next_one(ten_seconds: Path, tmp_path: Path) -> None:
    assert spans(ten_seconds, (1.0, None), (8.0, None), (4.0, 5.0), (1.0, None)) == [
        (1.0, 4.0),
        (8.0, 10.0),
        (4.0, 5.0),
        (1.0, 4.0),
    ]
    long = recordings.write(tmp_path / "long.wav", recordings.tone(60, 4_000), rate=4_000)
    assert spans(long, (5.0, None), (50.0, None)) == [(5.0, 25.0), (50.0, 60.0)]


def test_what_goes_on_for_ever_is_cut(ten_seconds: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert spans(ten_seconds, (1.0, 2.0), (4.0, 3.6e12)) == [(1.0, 2.0), (4.0, 10.0)]
    assert caplog.messages == [
        "1 of the 2 utterances with times end after the end of the recording at 10.0 s, and are cut there"
    ]
    with Recording.open(ten_seconds) as recording:
        assert find_turns(recording, [(4.0, 3.6e12)])[-1].end <= 10.0


def test_utterances_after_the_end_are_told(ten_seconds: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert spans(ten_seconds, (1.0, 2.0), (12.0, 13.0), (5.0, 6.0)) == [(1.0, 2.0), None, (5.0, 6.0)]
    assert caplog.messages == [
        "1 of the 3 utterances with times begin after the end of the recording at 10.0 s, and have neither sound nor "
        "pictures"
    ]
    caplog.clear()
    spans(ten_seconds, (1.0, 2.0), (12.0, 13.0), (15.0, 16.0))
    assert caplog.messages[0].endswith("nor pictures; it may be the transcript of another recording")


@pytest.mark.parametrize("start, advice", [(3600.0, "take 1 h off"), (36_005.0, "take 10 h off"), (700.0, "another")])
def test_a_transcript_of_another_recording_is_refused(ten_seconds: Path, start: float, advice: str) -> None:
    with pytest.raises(InputError, match=rf"none of the 2 utterances .* 10\.0 s of .*talk\.wav: .*{advice}"):
        spans(ten_seconds, (start, start + 2), (start + 3, None))


def test_the_length_is_that_of_the_sound_and_not_what_the_file_says(tmp_path: Path) -> None:
    path = recordings.write(tmp_path / "long.wav", recordings.chirps(4, 16_000), rate=16_000)
    path.write_bytes(path.read_bytes()[:-64_000])  # two seconds are gone, and nothing says so
    assert spans(path, (1.0, 99.0)) == [(1.0, pytest.approx(2.0, abs=0.01))]
    film = recordings.write(
        tmp_path / "film.mp4", recordings.chirps(1, 48_000), pictures=recordings.numbered(75)
    )  # what is seen goes on when nothing is heard
    assert spans(film, (0.0, 1.0), (2.0, 99.0)) == [(0.0, 1.0), (2.0, pytest.approx(3.0, abs=0.05))]
