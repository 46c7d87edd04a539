"""Which shape a JSON file has, and its utterances; what has none that is known is refused by its keys."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, product
from typing import Any, NamedTuple

from broadmamba.errors import InputError
from broadmamba.media.transcripts.columns import find_columns
from broadmamba.media.transcripts.rows import Row, Source, listed
from broadmamba.media.transcripts.speech_json import clouds, meetings, services, whisper
from broadmamba.media.transcripts.speech_json.services import no_times
from broadmamba.media.transcripts.tables import jsonl_rows


class _Shape(NamedTuple):
    """A shape of JSON: whether a value has it, and how it is read."""

    recognises: Callable[[object], bool]
    read: Callable[[Source, Any], Iterable[Row]]


# the first that recognises a value reads it, so the more telling come first
_SHAPES = (
    _Shape(services.is_deepgram, services.deepgram),
    _Shape(clouds.is_aws, clouds.aws),
    _Shape(clouds.is_aws_calls, clouds.aws_calls),
    _Shape(clouds.is_azure, clouds.azure),
    _Shape(clouds.is_azure_event, clouds.azure_events),
    _Shape(services.is_speechmatics, services.speechmatics),
    _Shape(clouds.is_watson, clouds.watson),
    _Shape(clouds.is_google, clouds.google),
    _Shape(services.is_assemblyai, services.assemblyai),
    _Shape(services.is_rev, services.rev),
    _Shape(services.is_gladia, services.gladia),
    _Shape(services.is_soniox, services.soniox),
    _Shape(services.is_elevenlabs, services.elevenlabs),
    _Shape(services.is_pyannote, services.pyannote),
    _Shape(services.is_fireflies, services.fireflies),
    _Shape(services.is_recall, services.recall),
    _Shape(meetings.is_teams, meetings.teams),
    _Shape(meetings.is_indexer, meetings.indexer),
    _Shape(meetings.is_youtube, meetings.youtube),
    _Shape(meetings.is_seglst, meetings.seglst),
    _Shape(whisper.is_whisper_cpp, whisper.whisper_cpp),
    _Shape(whisper.is_chunks, whisper.chunks),
    _Shape(whisper.is_podcast, whisper.podcast),
    _Shape(whisper.is_nemo, whisper.nemo),
    _Shape(whisper.is_vosk_list, whisper.vosk_list),
    _Shape(whisper.is_segments, whisper.segments),
    _Shape(whisper.is_words, whisper.words),
)
_LIST = _Shape(lambda value: isinstance(value, list), whisper.segments)  # of segments, if it is none of those above

_OBJECT = re.compile(r'(?:\[\s*)?\{\s*["}]')
_OPENINGS = ("{", "[", "[{")  # of a value over several lines
_WRAPPERS = (
    "result",
    "results",
    "response",
    "output",
    "data",
    "payload",
    "transcript",
    "transcription",
    "inlineResult",
)
_MOST_WRAPPERS = 4
_BETWEEN = re.compile(r"[\s,]*")
_LINES = (".jsonl", ".ndjson")


def is_json(source: Source) -> bool:
    """Whether a text begins with a JSON object, or a list of them."""
    return _OBJECT.match(source.text.lstrip()) is not None


def json_rows(source: Source) -> Iterable[Row]:
    """Utterances of JSON: what a program for speech to text writes, or an object a line (`tables.jsonl_rows`).

    The shape is found by its keys, and says in which unit times are. A value that lies in another (`result`,
    `response`, a list of one) is found there. Several values in a file are pieces of one (Vosk, Azure's SDK) or lines.

    Raises:
        InputError: the shape is not known, the JSON is damaged or gives a key twice, or a value is not what the shape
            needs; the message names the place.
    """
    text = source.text.strip()
    try:
        first, end = _decode(source, text, 0)
    except (ValueError, RecursionError) as error:
        if text.split("\n", 1)[0].strip() in _OPENINGS:
            raise InputError(f"{source.path}: expected JSON, found something else ({error})") from None
        return jsonl_rows(source)
    if end < len(text):
        return _rows_of_several(source, text, first, end)
    within = list(_unwrapped(first))
    for value, shape in chain(product(within, _SHAPES), product(within, [_LIST])):
        if shape.recognises(value):
            return _with_times(source, shape.read(source, value))
    if isinstance(first, dict) and _is_line(source, first):
        return jsonl_rows(source)
    raise InputError(
        f"{source.path}: expected JSON of a known program for speech to text, or utterances with times, "
        f"found {_described(first)}"
    )


def _with_times(source: Source, rows: Iterable[Row]) -> list[Row]:
    """The rows, unless they are one that could be a whole recording."""
    rows = list(rows)
    if len(rows) == 1 and rows[0].start is None and rows[0].end is None:
        raise no_times(source)
    return rows


def _decode(source: Source, text: str, position: int) -> tuple[Any, int]:
    """A value and where it ends.

    Raises:
        InputError: an object gives a key twice, so that one of two values would be lost.
        ValueError: it is no JSON.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InputError(f"{source.path}: expected each key once in a JSON object, found {twice[:40]!r} twice")
        return values

    return json.JSONDecoder(object_pairs_hook=once).raw_decode(text, position)


def _rows_of_several(source: Source, text: str, first: object, end: int) -> Iterable[Row]:
    """Utterances of several values: a list of pieces of which the shape is known, or else lines."""
    if isinstance(first, dict) and not _is_own(first):
        values = [first]
        try:
            while end < len(text):
                value, end = _decode(source, text, _following(text, end))
                values.append(value)
        except (ValueError, RecursionError):
            return jsonl_rows(source)
        for shape in _SHAPES:
            if shape.recognises(values):
                return shape.read(source, values)
    return jsonl_rows(source)


def _following(text: str, position: int) -> int:
    """Where the next value begins: behind white space and a comma, which some programs write between values."""
    blank = _BETWEEN.match(text, position)
    return blank.end() if blank else position


def _is_own(value: dict[str, Any]) -> bool:
    """Whether an object is a line as `tables.jsonl_rows` reads them."""
    fields = find_columns(tuple(value))
    return "text" in fields and not isinstance(value.get("timestamp"), list) and "result" not in value


def _is_line(source: Source, value: dict[str, Any]) -> bool:
    """Whether one object alone is an utterance: a text that nothing else is known of could be a whole recording."""
    if any(_is_structure(part) for part in value.values()):
        return False
    fields = find_columns(tuple(value))
    return source.suffix in _LINES or ("text" in fields and not fields.keys().isdisjoint(["start", "speaker"]))


def _is_structure(part: object) -> bool:
    """Whether a part of an object could hold utterances; what `predict` writes has objects of numbers."""
    if isinstance(part, dict):
        return not all(isinstance(number, (int, float)) for number in part.values())
    return isinstance(part, list) and bool(part) and isinstance(part[0], dict)


def _unwrapped(value: Any) -> Iterator[Any]:
    """The value, and what lies in it under a key that wraps, or alone."""
    for _ in range(_MOST_WRAPPERS):
        yield value
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        elif isinstance(value, dict):
            inner = [value[key] for key in _WRAPPERS if isinstance(value.get(key), dict)]
            inner = inner or ([part for part in value.values() if isinstance(part, dict) and len(value) == 1])
            if not inner:
                return
            value = inner[0]
        else:
            return


def _described(value: object) -> str:
    if isinstance(value, dict):
        return f"an object with {listed(value) or 'no key'}"
    return f"{type(value).__name__}"
