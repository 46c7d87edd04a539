"""NIST's tables: CTM, a word a line; RTTM, a turn a line; and STM, a segment a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from broadmamba.errors import InputError
from broadmamba.media.transcripts.names import known_name
from broadmamba.media.transcripts.rows import Row, Source, check_seconds, end_after, of_one_recording, parse_time
from broadmamba.media.transcripts.silence import is_silence
from broadmamba.media.transcripts.words import Word, group_words, with_speakers
from broadmamba.media.turns import Turn

_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_CTM_LINE = re.compile(
    rf"\S+\s+[^\s:]+\s+(?:{_NUMBER}\s+{_NUMBER}|\*\s+\*)\s+\S+(?:\s+(?:{_NUMBER}|NA|\S*<NA>)(?:\s+\S+)*)?"
)
_RTTM_LINE = re.compile(
    rf"[A-Z]+(?:[-_/][A-Z]+)*\s+\S+\s+\S+\s+(?:{_NUMBER}|<NA>)\s+(?:{_NUMBER}|<NA>)(?:\s+\S+){{2,5}}"
)
_STM_LINE = re.compile(
    r"(?P<file>\S+)\s+(?P<channel>\S+)\s+(?P<speaker>\S+)\s+(?P<start>[0-9]*\.?[0-9]+)\s+(?P<end>[0-9]*\.?[0-9]+)"
    r"(?:\s+(?P<labels><[^<>]*>))?(?:\s+(?P<text>.*))?"
)
_COMMENT = ";;"
_LOOKED_AT = 20  # lines that decide on the format
_LONGEST_LINE = 1000  # characters of a line that may decide
_MOST_SPEAKERS = 1000
_ALTERNATIVES = re.compile(r"\{\s*([^/{}]*?)\s*(?:/[^{}]*)?\}")
_NOT_SCORED = "ignore_time_segment_in_scoring"
_BETWEEN = "inter_segment_gap"
_NO_WORDS = frozenset(["noise", "non-lex", "non-speech", "silence"])


def _is_no_word(word: str) -> bool:
    """Whether what stands in the text of a segment is a mark; others than `@` only between `<` and `>`."""
    return word == "@" or (word.startswith("<") and is_silence(word))


def is_ctm(source: Source) -> bool:
    """Whether the first lines, at least two, all look like CTM."""
    lines = _first_lines(source.text)
    return len(lines) >= 2 and all(_CTM_LINE.fullmatch(line) for line in lines)


def is_rttm(source: Source) -> bool:
    """Whether the first lines all look like RTTM, and one of them is a turn."""
    lines = _first_lines(source.text)
    return all(_RTTM_LINE.fullmatch(line) for line in lines) and any(line.startswith("SPEAKER") for line in lines)


def is_stm(source: Source) -> bool:
    """Whether the first lines all look like STM; without the suffix, each needs labels such as `<o,f0,male>`."""
    sure = source.suffix == ".stm"
    found = [_STM_LINE.fullmatch(line) for line in _first_lines(source.text)]
    return bool(found) and all(
        line and float(line["start"]) <= float(line["end"]) and (sure or line["labels"]) for line in found
    )


def ctm_rows(source: Source) -> list[Row]:
    """Utterances of a CTM table, whose words are grouped at pauses and by speaker.

    A line is `recording channel start duration word [confidence [type [speaker]]]`; lines that begin with `;;`
    are comments. Of alternatives (`<ALT_BEGIN>`), the first is read. Of several recordings in one table, the
    one named like the file is read. Silence (`silence.is_silence`) and lines whose type says that they are no words
    (`noise`, `non-lex`, `non-speech`) are not said. Where a line names no speaker, the source's turns say who
    speaks, and without those the channel, if there is more than one.

    Raises:
        InputError: a line is not of this form, a time is negative, or there are several recordings and none
            has the file's name; the message names the line.
    """
    lines = of_one_recording(source, list(_spoken_lines(source)), lambda line: line[1][0])
    read = [(_word(source, number, fields), fields) for number, fields in lines]
    said = [(word, fields) for word, fields in read if _is_word(fields)]
    words = with_speakers(source, [word for word, _ in said])
    if not source.turns and len({fields[1] for _, fields in said}) > 1:
        words = [
            replace(word, speaker=word.speaker or fields[1]) for word, (_, fields) in zip(words, said, strict=True)
        ]
    return group_words(words)


def rttm_rows(source: Source) -> list[Row]:
    """Turns of an RTTM table as utterances without words, in the order in which they begin.

    Raises:
        InputError: as for `rttm_turns`.
    """
    turns = sorted(_numbered_turns(source), key=lambda numbered: numbered[1].start)
    return [Row(f"line {number}", "", turn.speaker, turn.start, turn.end) for number, turn in turns]


def rttm_turns(source: Source) -> tuple[Turn, ...]:
    """Turns of an RTTM table: lines `SPEAKER recording channel start duration <NA> <NA> speaker <NA> [<NA>]`.

    Lines of other types are passed over, and so are turns of nobody known (`names.known_name`). Of several
    recordings in one table, the one named like the file is read.

    Raises:
        InputError: there is no turn, a line is not of this form, a time is negative, there are more than 1000
            speakers, or several recordings of which none has the file's name; the message names the line.
    """
    return tuple(turn for _, turn in _numbered_turns(source) if known_name(turn.speaker))


def stm_rows(source: Source) -> list[Row]:
    """Segments of an STM table: `recording channel speaker start end <labels> text`, in seconds.

    Segments that are not scored and gaps between segments are passed over; of alternatives in braces, the first is
    read. Of several recordings in one table, the one named like the file is read.

    Raises:
        InputError: a line is not of this form, or there are several recordings and none has the file's name.
    """
    segments = []
    for number, line in _lines(source):
        found = _STM_LINE.fullmatch(line)
        if not found:
            raise InputError(
                f"{source.where(number)}: expected recording, channel, speaker, start, end and text,"
                f" found {line[:40]!r}"
            )
        segments.append((number, found))
    rows = []
    for number, found in of_one_recording(source, segments, lambda segment: segment[1]["file"]):
        text = (found["text"] or "").strip()
        if found["speaker"] == _BETWEEN or text.lower() == _NOT_SCORED:
            continue
        start, end = (parse_time(found[key], source.where(number)) for key in ("start", "end"))
        words = [word for word in _ALTERNATIVES.sub(r"\1", text).split() if not _is_no_word(word)]
        rows.append(Row(f"line {number}", " ".join(words), found["speaker"], start, end))
    return rows


def _first_lines(text: str) -> list[str]:
    found: list[str] = []
    head = text[: _LOOKED_AT * _LONGEST_LINE]
    for line in (head if head == text else head[: head.rfind("\n")]).split("\n"):
        if line.strip() and not line.lstrip().startswith(_COMMENT):
            found.append(line.strip()[:_LONGEST_LINE])
        if len(found) == _LOOKED_AT:
            break
    return found


def _lines(source: Source) -> Iterator[tuple[int, str]]:
    """Number and content of each line that is not empty or a comment."""
    for number, line in enumerate(source.text.split("\n"), start=1):
        if line.strip() and not line.lstrip().startswith(_COMMENT):
            yield number, line.strip()


def _spoken_lines(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Lines of CTM words; of alternatives, only the first."""
    alternative = 0
    for number, line in _lines(source):
        fields = line.split()
        if len(fields) < 5:
            raise InputError(
                f"{source.where(number)}: expected recording, channel, start, duration and word"
                f", found {len(fields)} fields"
            )
        mark = fields[4].upper()
        if mark in ("<ALT_BEGIN>", "<ALT>", "<ALT_END>"):
            alternative = {"<ALT_BEGIN>": 1, "<ALT>": alternative + 1, "<ALT_END>": 0}[mark]
        elif alternative <= 1:
            yield number, fields


def _is_word(fields: list[str]) -> bool:
    return not is_silence(fields[4]) and not (len(fields) > 6 and fields[6].lower() in _NO_WORDS)


def _word(source: Source, number: int, fields: list[str]) -> Word:
    start, end = _span(source, number, fields[2], fields[3])
    speaker = known_name(fields[7]) if len(fields) > 7 else None
    return Word(f"line {number}", fields[4], start, end, speaker)


def _numbered_turns(source: Source) -> list[tuple[int, Turn]]:
    lines = [(number, line.split()) for number, line in _lines(source) if line.split(maxsplit=1)[0] == "SPEAKER"]
    if not lines:
        raise InputError(f"{source.path}: expected an RTTM table with lines SPEAKER, found none")
    for number, fields in lines:
        if not 8 <= len(fields) <= 10:
            raise InputError(f"{source.where(number)}: expected 9 or 10 fields of RTTM, found {len(fields)}")
    turns = [
        (number, Turn(*_span(source, number, fields[3], fields[4]), fields[7]))
        for number, fields in of_one_recording(source, lines, lambda line: line[1][1])
    ]
    speakers = len({turn.speaker for _, turn in turns})
    if speakers > _MOST_SPEAKERS:
        raise InputError(f"{source.path}: expected at most {_MOST_SPEAKERS} speakers, found {speakers}")
    return turns


def _span(source: Source, number: int, start: str, duration: str) -> tuple[float, float]:
    where = source.where(number)
    for written in (start, duration):
        if len(written) > 40 or not re.fullmatch(_NUMBER, written):
            raise InputError(f"{where}: expected a start and a duration in seconds, found {written[:40]!r}")
    begin, length = check_seconds(float(start), where), check_seconds(float(duration), where)
    return begin, end_after(begin, length, where)
