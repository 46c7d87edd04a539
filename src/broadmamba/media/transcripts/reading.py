"""The door: the format of a file is found, its reader is called, and speakers are given to who has none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.transcripts.contents import markup_kind
from broadmamba.media.transcripts.cues import has_timing, srt_rows, webvtt_rows
from broadmamba.media.transcripts.decoding import read_lines
from broadmamba.media.transcripts.eaf import eaf_rows, is_eaf
from broadmamba.media.transcripts.elan_table import elan_rows, is_elan_table
from broadmamba.media.transcripts.labels import htk_rows, is_htk, is_labels, label_rows, refuse_table
from broadmamba.media.transcripts.nist import (
    ctm_rows,
    is_ctm,
    is_rttm,
    is_stm,
    rttm_rows,
    rttm_turns,
    stm_rows,
)
from broadmamba.media.transcripts.opening import is_stream
from broadmamba.media.transcripts.plain import plain_rows
from broadmamba.media.transcripts.rows import Row, Source, build_conversation
from broadmamba.media.transcripts.speech_json import json_rows
from broadmamba.media.transcripts.tables import csv_rows, find_delimiter, jsonl_rows
from broadmamba.media.transcripts.textgrid import is_textgrid, textgrid_rows
from broadmamba.media.transcripts.timedtext import is_timed_text, timed_rows
from broadmamba.media.turns import Turn, assign_speakers

_Reader = Callable[[Source], Iterable[Row]]

_BY_SUFFIX: dict[str, _Reader] = {
    ".csv": csv_rows,
    ".tsv": csv_rows,
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".json": json_rows,
    ".srt": srt_rows,
    ".vtt": webvtt_rows,
    ".textgrid": textgrid_rows,
    ".eaf": eaf_rows,
    ".ctm": ctm_rows,
    ".rttm": rttm_rows,
    ".txt": plain_rows,
    "": plain_rows,
}
_STRICT = (jsonl_rows, json_rows, textgrid_rows, eaf_rows)  # no other format is looked for under their suffixes
_WEBVTT = re.compile(r"WEBVTT(?=\s|$)")
_JSON = re.compile(r'(?:\[\s*)?\{\s*["}]')
_KNOWN = (
    "CSV, JSONL, SRT, WebVTT, TextGrid, EAF, JSON of speech to text, CTM, RTTM, STM, labels of Audacity, or text with"
    " lines `Name: text` or times"
)


def read_transcript(
    path: Path | str,
    speakers: Path | str | None = None,
    tiers: Sequence[str] = (),
    *,
    encoding: str | None = None,
) -> Conversation:
    """Read who said what, when.

    Formats are CSV, JSONL, SRT, WebVTT, Praat's TextGrid, ELAN's EAF and tab-delimited text, JSON of speech to text,
    CTM, RTTM, STM, labels of Audacity, text with times and lines `Name: text`. The format is found by content first
    (a header, JSON objects, time spans, a known table header), then by the file's suffix. Ids that the file does not
    give are `<file name>_<n>`, n from 1. The order of the file is kept; what has tiers or single words is put in the
    order in which it begins.

    Speakers come from a column or key, from a tier's name, from `<v Name>`, or from a prefix `Name: text`, if that
    is a name by all lines of the conversation (`names.Names`); without any, the speaker is None. A cue with several
    voices, dashes or names gives an utterance each, all with the cue's times; a cue without text is an utterance of
    no characters.

    Args:
        path: of a file or a pipe, which is read once; `-` is the standard input.
        speakers: an RTTM file that says who spoke when. It gives speakers to the words and utterances that have
            none (`turns.speakers_of`). For a CTM file, one of the same name beside it is taken if there is one.
        tiers: names of the tiers of a TextGrid or EAF file that hold speech, whatever they are called; without any
            they are found (`tiers.tier_rows`). A name may also be several with commas between them.
        encoding: of the file, such as `cp1251`; None finds out (`decoding.read_lines`).

    Raises:
        InputError: a file cannot be read, is binary, is in an encoding that nobody can be sure of, holds no utterance,
            gives an id twice, has a time that is negative, unreadable or reversed, or lacks a tier that is asked for;
            the message names file and line.
    """
    path = Path(path)
    source = Source(path, read_lines(path, encoding))
    reader = _find_reader(source)
    if speakers is None and reader is ctm_rows and path.with_suffix(".rttm").is_file():
        speakers = path.with_suffix(".rttm")
    if tiers and reader not in (textgrid_rows, eaf_rows, elan_rows):
        raise InputError(f"{path}: expected a TextGrid or EAF file, since tiers of it were named, found another format")
    turns = read_turns(speakers, encoding=encoding) if speakers is not None else ()
    source = Source(path, source.text, turns, tuple(tiers))
    return assign_speakers(build_conversation(source, reader(source)), turns)


def read_turns(path: Path | str, *, encoding: str | None = None) -> tuple[Turn, ...]:
    """Read who spoke when from an RTTM file.

    Args:
        path: of the file.
        encoding: of the file, such as `cp1251`; None finds out (`decoding.read_lines`).

    Raises:
        InputError: the file cannot be read or is not RTTM (`nist.rttm_turns`); the message names the line.
    """
    path = Path(path)
    return rttm_turns(Source(path, read_lines(path, encoding)))


def _find_reader(source: Source) -> _Reader:
    suffix = source.path.suffix.lower()
    content = source.text.lstrip()
    named = _BY_SUFFIX.get(suffix)
    found = _reader_of_content(content)
    kind = markup_kind(content) if found is None and named not in _STRICT else None
    if kind:
        told = kind if named or is_stream(source.path) else f"a {suffix} file that is none of them ({kind})"
        raise InputError(f"{source.path}: expected a transcript as {_KNOWN}, found {told}")
    if found is None and named not in (*_STRICT, ctm_rows, rttm_rows):
        found = _reader_of_table(source)
    if found is not None:
        return found
    columns = find_delimiter(source.text)[1]
    if named not in (*_STRICT, csv_rows):
        if has_timing(source.text):
            return srt_rows
        # one known column could be the first line of a talk, two are a header
        if columns >= 2:
            return csv_rows
    if named not in _STRICT and not columns and is_timed_text(source.text):
        return timed_rows
    if named in (None, plain_rows):
        refuse_table(source)
    if named is webvtt_rows:
        first = content.split("\n", 1)[0]
        raise InputError(f"{source.path}: expected WebVTT, which begins with a line WEBVTT, found {first[:30]!r}")
    if named is None and is_stream(source.path):
        return plain_rows
    if named is None:
        raise InputError(
            f"{source.path}: expected a transcript as {_KNOWN}, found a {suffix} file that is none of them"
        )
    return named


def _reader_of_table(source: Source) -> _Reader | None:
    """The reader of a table that has no header and is known by its columns."""
    suffix = source.path.suffix.lower()
    if is_labels(source.text):
        return label_rows
    if suffix == ".lab" and is_htk(source.text):
        return htk_rows
    if is_stm(source.text, sure=suffix == ".stm"):
        return stm_rows
    if is_elan_table(source.text):
        return elan_rows
    return None


def _reader_of_content(content: str) -> _Reader | None:
    """The reader of a text that says itself what it is."""
    if _WEBVTT.match(content):
        return webvtt_rows
    if _JSON.match(content):
        return json_rows
    if is_textgrid(content):
        return textgrid_rows
    if is_eaf(content):
        return eaf_rows
    if is_rttm(content):
        return rttm_rows
    if is_ctm(content):
        return ctm_rows
    return None
