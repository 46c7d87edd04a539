"""JSON of Whisper's family: openai-whisper, faster-whisper, whisperX and whisper.cpp."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from broadmamba.errors import InputError
from broadmamba.media.transcripts.names import known_name
from broadmamba.media.transcripts.rows import Row, Source, check_name, check_seconds, check_string, listed
from broadmamba.media.turns import Turn, speakers_of

_OPENINGS = ("{", "[", "[{")  # of a value over several lines
_LISTS = ("segments", "transcription")


class _Spoken(NamedTuple):
    """A segment or a word of it."""

    text: str
    start: float | None
    end: float | None
    speaker: str | None


def is_whisper(content: str) -> bool:
    """Whether the text is one JSON value, written over several lines, a list, or an object with segments."""
    if content.split("\n", 1)[0].strip() in _OPENINGS:
        return True
    try:
        value, end = json.JSONDecoder().raw_decode(content)
    except (ValueError, RecursionError):
        return False
    return _segments(value) is not None and not content[end : end + 100].strip()


def whisper_rows(source: Source) -> Iterator[Row]:
    """Utterances of `{"segments": [{"start", "end", "text", …}]}`, of such a list alone, or of whisper.cpp.

    whisper.cpp writes `{"transcription": [{"offsets": {"from", "to"}, "text"}]}`, in milliseconds. A segment's
    `speaker` is kept. A segment whose `words` change speaker is split there; words without a speaker belong to
    the one before them. Where there are no speakers, the source's turns give them to the words.

    Raises:
        InputError: it is not such JSON, or a text, a speaker or a time is of another type, negative or NaN;
            the message names the segment (from 1).
    """
    try:
        value = json.loads(source.text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source.path}: expected JSON, found something else ({error})") from None
    segments = _segments(value)
    if segments is None:
        raise InputError(f"{source.path}: expected a list of segments, found {type(value).__name__}")
    for number, segment in enumerate(segments, start=1):
        place = f"segment {number}"
        where = f"{source.path}, {place}"
        if not isinstance(segment, dict):
            raise InputError(f"{where}: expected a JSON object, found {type(segment).__name__}")
        whole = _spoken(segment, ("text",), where)
        words = segment.get("words")
        spoken = [
            _spoken(word, ("word", "text"), f"{where}, word {index}")
            for index, word in enumerate(words if isinstance(words, list) else [], start=1)
            if isinstance(word, dict)
        ]
        for part in _split(whole, spoken, source.turns):
            yield Row(place, part.text, part.speaker, part.start, part.end)


def _segments(value: object) -> list[Any] | None:
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return None
    return next((value[key] for key in _LISTS if isinstance(value.get(key), list)), None)


def _spoken(values: Mapping[str, Any], keys: Sequence[str], where: str) -> _Spoken:
    key = next((key for key in keys if key in values), None)
    if key is None:
        raise InputError(f"{where}: expected a key {' or '.join(keys)}, found {listed(values)}")
    text = check_string(values[key], f"{where}: the text").strip()
    named = values.get("speaker")
    speaker = None if named is None else check_name(named, f"{where}: the speaker")
    # some programs write the speaker into the text as well
    text = text.removeprefix(f"[{speaker}]:").strip()
    speaker = known_name(speaker)
    offsets = values.get("offsets")
    if isinstance(offsets, dict):
        start, end = (_time(offsets.get(key), where) for key in ("from", "to"))
        return _Spoken(text, None if start is None else start / 1000, None if end is None else end / 1000, speaker)
    return _Spoken(text, _time(values.get("start"), where), _time(values.get("end"), where), speaker)


def _time(value: object, where: str) -> float | None:
    return None if value is None else check_seconds(value, where)


def _split(whole: _Spoken, words: Sequence[_Spoken], turns: Iterable[Turn]) -> list[_Spoken]:
    """The segment, or a part for each run of words of one speaker."""
    speakers = _word_speakers(whole, words, turns)
    runs = [[index for index, _ in run] for _, run in groupby(enumerate(speakers), key=lambda entry: entry[1])]
    if len(runs) < 2:
        return [whole._replace(speaker=next(iter(speakers), whole.speaker))]
    texts = _split_text(whole.text, words, [run[0] for run in runs])
    parts = []
    for run, text in zip(runs, texts, strict=True):
        own = [words[index] for index in run]
        start = min((word.start for word in own if word.start is not None), default=None)
        end = max((word.end for word in own if word.end is not None), default=None)
        parts.append(_Spoken(text, start, end, speakers[run[0]]))
    return parts


def _word_speakers(whole: _Spoken, words: Sequence[_Spoken], turns: Iterable[Turn]) -> list[str | None]:
    """A speaker for each word, or nothing where the words do not tell."""
    speakers = [word.speaker for word in words]
    if whole.speaker is None and not any(speakers):
        timed = [index for index, word in enumerate(words) if word.start is not None and word.end is not None]
        spans = [(words[index].start or 0.0, words[index].end or 0.0) for index in timed]
        for index, speaker in zip(timed, speakers_of(spans, turns), strict=True):
            speakers[index] = speaker
    current = next((speaker for speaker in speakers if speaker is not None), None)
    if current is None:
        return []
    filled: list[str | None] = []
    for speaker in speakers:
        current = speaker or current
        filled.append(current)
    return filled


def _split_text(text: str, words: Sequence[_Spoken], firsts: Sequence[int]) -> list[str]:
    """The text cut before each of the words `firsts`; the words alone where they do not make up the text."""
    cuts: dict[int, int] = {}
    position = 0
    for index, word in enumerate(words):
        found = text.find(word.text, position)
        if found < 0:
            bounds = [*firsts, len(words)]
            return [" ".join(word.text for word in words[first:last]) for first, last in pairwise(bounds)]
        cuts[index] = found
        position = found + len(word.text)
    edges = [0, *(cuts[index] for index in firsts[1:]), len(text)]
    return [text[begin:end].strip() for begin, end in pairwise(edges)]
