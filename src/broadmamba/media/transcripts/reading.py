"""The door: bytes become text, the format is found, its reader is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from broadmamba import storage
from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.transcripts.cues import has_timing, srt_rows, webvtt_rows
from broadmamba.media.transcripts.plain import plain_rows
from broadmamba.media.transcripts.rows import Row, Source, build_conversation
from broadmamba.media.transcripts.tables import csv_rows, find_delimiter, jsonl_rows

_Reader = Callable[[Source], Iterator[Row]]

_BY_SUFFIX: dict[str, _Reader] = {
    ".csv": csv_rows,
    ".tsv": csv_rows,
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".json": jsonl_rows,
    ".srt": srt_rows,
    ".vtt": webvtt_rows,
    ".txt": plain_rows,
    "": plain_rows,
}
_WEBVTT = re.compile(r"WEBVTT(?=\s|$)")
_JSON_OBJECT = re.compile(r'\{\s*["}]')
# white space and the escape sequences of a terminal's log are text
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_MOST_ODD_BYTES = 0.3


def read_transcript(path: Path | str) -> Conversation:
    """Read who said what, when, from CSV, JSONL, SRT, WebVTT or lines `Name: text`.

    The format is found by content first (a `WEBVTT` header, JSON objects, time spans, a known table header),
    then by the file's suffix. Ids that the file does not give are `<file name>_<n>`, n from 1. The order of
    the file is kept.

    Speakers come from a column or key, from `<v Name>`, or from a prefix `Name: text`, if that is a plausible
    name (`names.split_speaker`); without any, the speaker is None. A cue with several voices, dashes or names
    gives an utterance each, all with the cue's times; a cue without text is an utterance of no characters.

    Args:
        path: UTF-8, UTF-16 with a byte-order mark or, where it is plainly text, Windows-1252.

    Raises:
        InputError: the file cannot be read, is binary, holds no utterance, gives an id twice, or has a time
            that is negative, unreadable or reversed; the message names the line.
    """
    path = Path(path)
    source = Source(path, _decode(path))
    return build_conversation(source, _find_reader(source)(source))


def _find_reader(source: Source) -> _Reader:
    suffix = source.path.suffix.lower()
    content = source.text.lstrip()
    if _WEBVTT.match(content):
        return webvtt_rows
    if _JSON_OBJECT.match(content):
        return jsonl_rows
    named = _BY_SUFFIX.get(suffix)
    # one known column could be the first line of a talk, two are a header
    if named is not csv_rows and named is not jsonl_rows:
        if has_timing(source.text):
            return srt_rows
        if find_delimiter(source.text)[1] >= 2:
            return csv_rows
    if named is webvtt_rows:
        first = content.split("\n", 1)[0]
        raise InputError(f"{source.path}: expected WebVTT, which begins with a line WEBVTT, found {first[:30]!r}")
    if named is None:
        raise InputError(
            f"{source.path}: expected a transcript as CSV, JSONL, SRT, WebVTT or .txt with lines `Name: text`"
            f", found a {suffix} file that is none of them"
        )
    return named


def _decode(path: Path) -> str:
    """The file's text, with lines that end in a plain newline."""
    content = storage.read_bytes(path)
    text = (
        _decode_utf(path, content) if content.startswith((b"\xff\xfe", b"\xfe\xff")) else _decode_bytes(path, content)
    )
    control = _CONTROL.search(text)
    if control:
        raise InputError(
            f"{path}: expected text, found binary content (character {ord(control[0])} at {control.start()})"
        )
    if not text.strip():
        raise InputError(f"{path}: expected at least one utterance, found only white space")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode_utf(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-16")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-16 text, found other bytes at position {error.start}") from None


def _decode_bytes(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # old subtitles: nearly all ASCII, with a few letters and quotation marks of Windows-1252
        odd = sum(byte >= 0x80 for byte in content)
        if odd <= _MOST_ODD_BYTES * len(content):
            try:
                return content.decode("cp1252")
            except UnicodeDecodeError:
                pass
        raise InputError(f"{path}: expected UTF-8 text, found other bytes at position {error.start}") from None
