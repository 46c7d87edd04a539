"""Whisper's family: openai-whisper, faster-whisper, whisperX, whisper.cpp, transformers; and podcasts' transcripts."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from broadmamba.errors import InputError
from broadmamba.media.transcripts.columns import are_milliseconds
from broadmamba.media.transcripts.names import known_name
from broadmamba.media.transcripts.rows import Row, Source, check_name, check_seconds, end_after, parse_time
from broadmamba.media.transcripts.segments import (
    Spoken,
    cut_at_next,
    result_rows,
    segment_rows,
    with_own_blanks,
    word_rows,
)
from broadmamba.media.transcripts.speech_json.entries import MILLISECONDS, Entry, entries_of, first_of

_log = logging.getLogger(__name__)

_CLOCK = re.compile(r"[0-9.,:]+")
_TIME_KEY = re.compile(
    r"(?:.*_)?(?:start|begin|end|stop|from|to|time|times|timestamp|timestamps|timecode|offset|duration|ts|ms)(?:_.*)?"
)
_SPEAKERS = ("speaker", "speaker_name", "speaker_label", "speaker_id")
_DURATIONS = ("duration", "dur")
_SPEAKER_TURN = re.compile(r"\s*\[SPEAKER_TURN\]\s*")
_MOST_FOR_WORDS = 0.95


def is_segments(value: object) -> bool:
    """`{"segments": […]}`."""
    return isinstance(value, dict) and isinstance(value.get("segments"), list)


def segments(source: Source, value: Any) -> list[Row]:
    """Segments, or a list of them alone, with `start` and `end` in seconds, `text`, and perhaps `speaker` and `words`.

    openai-whisper and its API (`verbose_json`, `diarized_json`), faster-whisper, whisperX, whisper-timestamped,
    stable-ts, Voxtral; and captions of YouTube as libraries fetch them, with `duration` in place of `end`.

    Raises:
        InputError: a segment is no object or has no text, or has times of unknown names and units.
    """
    entries = entries_of(source, value if isinstance(value, list) else value["segments"], "segment")
    units = MILLISECONDS if are_milliseconds(map(_written, entries)) else 1
    if units != 1:
        _log.warning("%s: its times are whole numbers so large that they were read as milliseconds", source.path)
    spoken = [_segment(entry, units) for entry in entries]
    return segment_rows(source, cut_at_next(spoken) if any(map(_length, entries)) else spoken)


def _written(entry: Entry) -> tuple[str, Any, Any]:
    """Text and times of a segment, for `columns.are_milliseconds`."""
    key = _length(entry)
    text, start, end = (entry.values.get(key) for key in ("text", "start", "end"))
    return (str(text), 0, entry.values[key]) if key else (str(text), start, end)


def _length(entry: Entry) -> str | None:
    """The key that says how long a caption is shown, where nothing says when it ends."""
    return None if entry.has("end") else next((key for key in _DURATIONS if entry.has(key)), None)


def _segment(entry: Entry, units: int) -> Spoken:
    if not entry.has("start") and not entry.has("offsets"):
        _refuse_other_times(entry)
        if any(isinstance(entry.values.get(key), list) for key in ("segments", "chunks")):
            raise InputError(
                f"{entry.where}: expected one recording, found a list of several with segments of their own"
            )
    words = entry.values.get("words")
    known = [word for word in words if isinstance(word, dict)] if isinstance(words, list) else []
    spoken = [_spoken(word, units, "word", "text") for word in entries_of(entry.source, known, "word", entry.place)]
    whole = _spoken(entry, units, "text")._replace(words=spoken)
    key = _length(entry)
    length = _time(entry, key, units) if key else None
    if whole.start is None or length is None:
        return whole
    return whole._replace(end=end_after(whole.start, length, entry.where))


def _spoken(entry: Entry, units: int, *keys: str) -> Spoken:
    text = entry.text(*keys).strip()
    label = next((entry.values[key] for key in _SPEAKERS if entry.has(key)), None)
    written = None if label is None else check_name(label, f"{entry.where}: the speaker")
    # some programs write the speaker into the text as well
    text = text.removeprefix(f"[{written}]:").strip()
    start, end = (_time(entry, key, units) for key in ("start", "end"))
    return Spoken(entry.place, text, start, end, known_name(written))


def _time(entry: Entry, key: str, units: int) -> float | None:
    value = entry.values.get(key)
    if isinstance(value, str) and _CLOCK.fullmatch(value.strip()):
        return parse_time(value, entry.where, a_second=units)
    return entry.seconds(key, units)


def _refuse_other_times(entry: Entry) -> None:
    keys = [key for key in entry.values if _TIME_KEY.fullmatch(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower())]
    if any(entry.has(key) for key in keys):
        raise InputError(
            f"{entry.where}: expected times in seconds under start and end, found {entry.keys()},"
            " which is of no program whose units are known"
        )


def is_whisper_cpp(value: object) -> bool:
    """`{"transcription": [{"offsets": …, "text"}]}`."""
    return isinstance(value, dict) and isinstance(value.get("transcription"), list)


def whisper_cpp(source: Source, value: Any) -> list[Row]:
    """whisper.cpp (`-oj`, `-ojf`): `offsets` in milliseconds; a mark of a speaker's turn is not said."""
    spoken = []
    for entry in entries_of(source, value["transcription"], "segment"):
        offsets = entry.entry("offsets")
        text = _SPEAKER_TURN.sub(" ", entry.text("text")).strip()
        start, end = (offsets.seconds(key, MILLISECONDS) for key in ("from", "to"))
        spoken.append(Spoken(entry.place, text, start, end, entry.name("speaker")))
    return segment_rows(source, spoken)


def is_chunks(value: object) -> bool:
    """`{"chunks": [{"timestamp": [start, end], "text"}]}`, or such a list alone."""
    if isinstance(value, list):
        first = first_of({"": value}, "")
        return isinstance(first.get("timestamp"), list) and "text" in first
    if "timestamp" in first_of(value, "speakers"):
        return True
    return isinstance(value, dict) and isinstance(value.get("chunks"), list)


def chunks(source: Source, value: Any) -> list[Row]:
    """Transformers and insanely-fast-whisper: the list `speakers` where it has anything, else `chunks`.

    Chunks of single words are grouped. The end of the last may be null.
    """
    spoken: list[Spoken] = []
    parts = value if isinstance(value, list) else value.get("speakers") or value.get("chunks")
    if not isinstance(parts, list):
        raise InputError(f"{source.path}: expected a list speakers, found {type(parts).__name__}")
    for entry in entries_of(source, parts, "chunk"):
        times = entry.values.get("timestamp")
        if times is not None and not (isinstance(times, list | tuple) and len(times) == 2):
            raise InputError(f"{entry.where}: expected a timestamp of start and end, found {str(times)[:40]!r}")
        start, end = (None if time is None else check_seconds(time, entry.where) for time in times or (None, None))
        spoken.append(Spoken(entry.place, entry.text("text"), start, end, entry.name("speaker")))
    return _segments_or_words(source, spoken)


def _segments_or_words(source: Source, spoken: Sequence[Spoken]) -> list[Row]:
    """Rows of segments, or of words if nearly all are single words."""
    said = [part for part in spoken if part.text.strip()]
    single = sum(len(part.text.split()) == 1 for part in said)
    if len(said) > 4 and single >= _MOST_FOR_WORDS * len(said) and all(part.start is not None for part in said):
        return word_rows(source, with_own_blanks(said))
    return segment_rows(source, [part._replace(text=part.text.strip()) for part in spoken])


def is_podcast(value: object) -> bool:
    """`{"segments": [{"startTime", "body"}]}`."""
    return "body" in first_of(value, "segments")


def podcast(source: Source, value: Any) -> list[Row]:
    """Transcripts of the podcast namespace: `startTime` and `endTime` in seconds, `body`, `speaker`.

    A speaker stands where it changes, and goes on until the next one.
    """
    spoken: list[Spoken] = []
    for entry in entries_of(source, value["segments"], "segment"):
        part = entry.spoken("body", start="startTime", end="endTime")._replace(text=entry.text("body"))
        if not entry.has("speaker") and spoken:
            part = part._replace(speaker=spoken[-1].speaker)
        spoken.append(part)
    return _segments_or_words(source, spoken)


def is_words(value: object) -> bool:
    """`{"words": [{"word", "start"}]}`, `word_segments` or Vosk's `result`."""
    if isinstance(value, dict) and "start" in value:
        return False  # a segment
    return any({"word", "start"} <= first_of(value, key).keys() for key in _WORDS)


_WORDS = ("word_segments", "words", "result")


def words(source: Source, value: Any) -> list[Row]:
    """Words with `word`, `start` and `end` in seconds: Vosk, whisperX's `word_segments`, OpenAI's API."""
    key = next(key for key in _WORDS if {"word", "start"} <= first_of(value, key).keys())
    return word_rows(source, with_own_blanks([_spoken_word(entry) for entry in entries_of(source, value[key], "word")]))


def _spoken_word(entry: Entry) -> Spoken:
    return entry.spoken("word")._replace(text=entry.text("word"))


def is_vosk_list(value: object) -> bool:
    """Several results of Vosk, one for each stretch of speech."""
    return (
        isinstance(value, list)
        and any(isinstance(part, dict) and "result" in part for part in value)
        and all(
            isinstance(part, dict) and part.keys() <= {"result", "text", "spk", "spk_frames", "partial"}
            for part in value
        )
    )


def vosk_list(source: Source, value: Any) -> list[Row]:
    """Vosk's results, one after the other; partial ones and those without words are passed over."""
    found = entries_of(source, value, "result")
    return result_rows(source, [[_spoken_word(word) for word in entry.entries("result", "word")] for entry in found])


def is_nemo(value: object) -> bool:
    """NeMo's hypotheses with `timestamp`, and what its diarization with words writes."""
    if not isinstance(value, dict):
        return False
    return bool(first_of(value, "timestamp", "segment")) or (
        "session_id" in value and {"word", "start_time"} <= first_of(value, "words").keys()
    )


def nemo(source: Source, value: Any) -> list[Row]:
    """NVIDIA NeMo: segments in seconds, or words with speakers."""
    whole = Entry(source, value)
    if whole.has("timestamp"):
        parts = whole.entry("timestamp").entries("segment", "segment")
        return segment_rows(source, [part.spoken("segment") for part in parts])
    words = whole.entries("words", "word")
    spoken = [word.spoken("word", start="start_time", end="end_time") for word in words]
    labels = [word.name("speaker", "speaker_label") for word in words]
    return word_rows(source, [part._replace(speaker=label) for part, label in zip(spoken, labels, strict=True)])
