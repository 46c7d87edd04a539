"""The door: the format of a file is found, its reader is called, and speakers are given to who has none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.transcripts.contents import markup_kind
from broadmamba.media.transcripts.cues import is_srt, is_webvtt, srt_rows, webvtt_rows
from broadmamba.media.transcripts.decoding import read_lines
from broadmamba.media.transcripts.eaf import eaf_rows, is_eaf
from broadmamba.media.transcripts.elan_table import elan_rows, is_elan_table
from broadmamba.media.transcripts.labels import htk_rows, is_htk, is_labels, label_rows, refuse_table
from broadmamba.media.transcripts.nist import ctm_rows, is_ctm, is_rttm, is_stm, rttm_rows, rttm_turns, stm_rows
from broadmamba.media.transcripts.opening import is_stream
from broadmamba.media.transcripts.plain import plain_rows
from broadmamba.media.transcripts.rows import Row, Source, build_conversation, either
from broadmamba.media.transcripts.speech_json import is_json, json_rows
from broadmamba.media.transcripts.tables import csv_rows, is_csv, jsonl_rows
from broadmamba.media.transcripts.textgrid import is_textgrid, textgrid_rows
from broadmamba.media.transcripts.timedtext import is_timed_text, timed_rows
from broadmamba.media.turns import Turn, assign_speakers


class _Format(NamedTuple):
    """A format of transcripts.

    Attributes:
        name: for people.
        rows: reads the utterances of a file.
        fits: whether a file is of this format by its content; None where only the suffix can say so.
        suffixes: under which it is expected.
        strict: whether a file with such a suffix is of this format or one of `_DECLARED`, and no other.
        tiers: whether there are tiers to choose from.
    """

    name: str
    rows: Callable[[Source], Iterable[Row]]
    fits: Callable[[Source], bool] | None = None
    suffixes: tuple[str, ...] = ()
    strict: bool = False
    tiers: bool = False


# the first that fits a file is taken; these say themselves what they are, whatever the file is called
_DECLARED = (
    _Format("WebVTT", webvtt_rows, is_webvtt, (".vtt",)),
    _Format("JSON of speech to text", json_rows, is_json, (".json",), strict=True),
    _Format("TextGrid", textgrid_rows, is_textgrid, (".textgrid",), strict=True, tiers=True),
    _Format("EAF", eaf_rows, is_eaf, (".eaf",), strict=True, tiers=True),
    _Format("RTTM", rttm_rows, is_rttm, (".rttm",), strict=True),
    _Format("CTM", ctm_rows, is_ctm, (".ctm",), strict=True),
)
_PLAIN = _Format("text with lines `Name: text`", plain_rows, suffixes=(".txt", ""))
# these are known by their columns, their header and their times, in this order, since each may look like the next
_LIKELY = (
    _Format("labels of Audacity", label_rows, is_labels),
    _Format("labels of HTK", htk_rows, is_htk),
    _Format("STM", stm_rows, is_stm),
    _Format("ELAN's tab-delimited text", elan_rows, is_elan_table, tiers=True),
    _Format("CSV", csv_rows, is_csv, (".csv", ".tsv")),
    _Format("SRT", srt_rows, is_srt, (".srt",)),
    _Format("text with times", timed_rows, is_timed_text),
    _Format("JSONL", jsonl_rows, suffixes=(".jsonl", ".ndjson"), strict=True),
    _PLAIN,
)
_FORMATS = (*_DECLARED, *_LIKELY)


def read_transcript(
    path: Path | str,
    speakers: Path | str | None = None,
    tiers: Sequence[str] = (),
    *,
    encoding: str | None = None,
) -> Conversation:
    """Read who said what, when.

    Formats are CSV, JSONL, SRT, WebVTT, Praat's TextGrid, ELAN's EAF and tab-delimited text, JSON of speech to text,
    CTM, RTTM, STM, labels of Audacity and HTK, text with times and lines `Name: text`. The format is found by content
    first, then by the file's suffix. Ids that the file does not
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
    found = _find_format(source)
    if speakers is None and found.rows is ctm_rows and path.with_suffix(".rttm").is_file():
        speakers = path.with_suffix(".rttm")
    if tiers and not found.tiers:
        expected = either(known.name for known in _FORMATS if known.tiers)
        raise InputError(f"{path}: expected {expected}, since tiers of it were named, found {found.name}")
    turns = read_turns(speakers, encoding=encoding) if speakers is not None else ()
    source = Source(path, source.text, turns, tuple(tiers))
    return assign_speakers(build_conversation(source, found.rows(source)), turns)


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


def _find_format(source: Source) -> _Format:
    named = next((known for known in _FORMATS if source.suffix in known.suffixes), None)
    found = _first_fitting(source, _DECLARED)
    if found is None and not (named and named.strict):
        _refuse_markup(source, named)
        found = _first_fitting(source, _LIKELY)
    if found is not None:
        return found
    if named in (None, _PLAIN):
        refuse_table(source)
    if named is None and not is_stream(source.path):
        raise _unknown(source, f"a {source.suffix} file that is none of them")
    return named or _PLAIN


def _first_fitting(source: Source, formats: Iterable[_Format]) -> _Format | None:
    return next((known for known in formats if known.fits and known.fits(source)), None)


def _refuse_markup(source: Source, named: _Format | None) -> None:
    kind = markup_kind(source.text)
    if kind:
        told = kind if named or is_stream(source.path) else f"a {source.suffix} file that is none of them ({kind})"
        raise _unknown(source, told)


def _unknown(source: Source, found: str) -> InputError:
    return InputError(f"{source.path}: expected a transcript as {either(f.name for f in _FORMATS)}, found {found}")
