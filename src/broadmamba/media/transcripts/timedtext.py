"""Plain text with times, as services export it: a time, and perhaps a name, before or above what is said."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from broadmamba.errors import InputError
from broadmamba.media.transcripts.names import Names, are_names_alone, could_be_name, known_name, split_speaker
from broadmamba.media.transcripts.rows import Row, Source, carries_milliseconds, parse_time, plain_digits, with_ends

_LOG = logging.getLogger(__name__)

_TIME = r"(?:(?:[0-9]{1,3}:)?[0-9]{1,2}:[0-9]{2}(?:[.,][0-9]{1,6})?|[0-9]{1,6}\.[0-9]{1,3}(?=s))"
_TO = r"\s*(?:-->|->|[-–—→]|\bto\b)\s*"
_SPAN = rf"(?P<start>{_TIME})s?(?:{_TO}(?P<end>{_TIME})s?)?"
_BRACKETED = rf"[\[(<{{]\s*{_SPAN}\s*[\])>}}]"
_NAME = r"(?P<name>[^\[\]()<>:：][^\[\]<>:：]{0,79}?)"
_DATE = r"[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}"
_HALF_DAY = r"\s?[AaPp]\.?\s?[Mm]\.?"
_SAID = r"(?:\s*[-–—:]\s+|\s+(?=[^:：]{1,80}(?::\s|：)))(?P<text>.*)"  # behind a time that could be said
_FORMS = {
    "bracketed": rf"{_BRACKETED}\s*(?:[-–—:]\s+)?(?P<text>.*)",
    "name, time": rf"{_NAME}\s*{_BRACKETED}:\s*(?P<text>.*)",
    "name: time": rf"{_NAME}\s*:\s*{_BRACKETED}:?\s*(?P<text>.*)",
    "name and time alone": rf"{_NAME}\s*{_BRACKETED}",
    "name in brackets": rf"\[(?P<name>[^\[\]:]{{1,80}})\]\s*{_SPAN}\s*(?P<text>.*)",
    "columns": rf"{_NAME}(?:\s*\t\s*|\s\s+|\s*\|\s*){_SPAN}",
    "span": rf"(?P<start>{_TIME})(?:{_TO}|,)(?P<end>{_TIME})(?:\s+(?P<text>.*))?",
    "time": rf"(?P<start>{_TIME})",
    "colon": r"(?P<start>[0-9]{1,2}:[0-9]{2}:[0-9]{2}):\s*(?P<text>[^\s0-9].*)",
    # the others could be what somebody says (`_UNSURE`)
    "parted": rf"(?P<start>{_TIME})\s*(?:[-–—|]\s+|\t\s*)(?P<text>.*)",
    "before a name": rf"(?P<start>{_TIME})\s+(?P<text>[^:：\s][^:：]{{0,79}}(?::(?=\s|$)|：).*)",
    "after a name": rf"{_NAME}:?\s(?P<start>{_TIME}):?",
    "before a text": rf"(?P<start>{_TIME})\s+(?P<text>.*)",
}
_CLOCKS = {
    "date": rf"{_DATE},?\s+{_TIME}(?:{_HALF_DAY})?{_SAID}",
    "date in brackets": rf"[\[(]{_DATE},?\s+{_TIME}(?:{_HALF_DAY})?[\])]:?\s*(?P<text>.*)",
    "half day": rf"{_TIME}{_HALF_DAY}{_SAID}",
    "half day in brackets": rf"[\[(]{_TIME}{_HALF_DAY}[\])]:?\s*(?P<text>.*)",
    "date behind": rf"{_NAME},?\s+[\[(]{_DATE},?\s+{_TIME}(?:{_HALF_DAY})?[\])]",
    "day behind": rf"{_NAME}\s*[-–—]\s*(?:Today at|Yesterday at|{_DATE},?)\s+{_TIME}(?:{_HALF_DAY})?",
    "half day behind": rf"{_NAME}\s+[\[(]?{_TIME}{_HALF_DAY}[\])]?",
    "nick": rf"[\[(]?{_TIME}[\])]?\s+<[@+ ]?(?P<name>[^<>\s]{{1,40}})>\s*(?P<text>.*)",
    "chat": rf"{_TIME}\s+From\s+(?P<name>.{{1,80}}?)\s+to\s+.{{1,80}}?:\s*(?P<text>.*)",
}
_UNSURE = ("parted", "before a name", "after a name", "before a text")
_SURE = frozenset(["frames", *_FORMS, *_CLOCKS]) - frozenset(_UNSURE)
_FRAMES = re.compile(r"[\[(]?[0-9]{2}[:;][0-9]{2}[:;][0-9]{2}[:;][0-9]{2}\b.*")
_STAMPED = re.compile(r"(.*)#([0-9]{1,2}:[0-9]{2}:[0-9]{2})(?:[-.,]([0-9]{1,3}))?#\s*")
_IN_WORDS = re.compile(r"(?:[0-9]{1,2} (?:hour|minute|second)s?(?:,? |$))+")
_LATEST_FIRST = 120.0  # seconds; `10:30 was early` is a sentence
_LOOKED_AT = 2000  # lines that decide on the format
_LONGEST_LINE = 300  # characters of a line in which a time is looked for; what is said may be longer
_PATTERNS = {form: re.compile(pattern, re.DOTALL) for form, pattern in (*_CLOCKS.items(), *_FORMS.items())}
_HAS_TIME = re.compile(r"[0-9][:;][0-9]{2}|[0-9]s")


class _Head(NamedTuple):
    """A line with a time: its number, form, times as they are written, name, and the text in the same line."""

    line: int
    form: str
    start: str | None
    end: str | None
    name: str | None
    text: str
    below: Sequence[str] = ()


def is_timed_text(source: Source) -> bool:
    """Whether the lines of a text have times, or are those of a chat with the times of a clock."""
    lines = source.text.split("\n")
    return _is_stamped(lines) or bool(_forms(lines))


def timed_rows(source: Source) -> list[Row]:
    """Utterances of a text with times: a time and perhaps a name in the line, or above it.

    So do Rev, Otter, Zoom, Teams, Descript, Happy Scribe, Trint, Sonix, YouTube (SBV, and what is copied from its
    page), f4 (`#00:00:05-3#`, where a paragraph ends), whisper and whisper.cpp (as they print) write. A time without
    an end goes on until the next start. Lines above the first time are a title, and not said. The times of a chat
    (IRC, WhatsApp, Slack) are those of a clock, not of a recording, and are left out.

    Raises:
        InputError: times count frames, or cannot be read; the message names the line.
    """
    lines = source.text.split("\n")
    if _is_stamped(lines):
        return _stamped_rows(source, lines)
    forms = _forms(lines)
    heads = [head for head in map(_head, *_written(lines)) if head and head.form in forms]
    for head in heads:
        if head.form == "frames":
            raise InputError(
                f"{source.where(head.line)}: expected a time as HH:MM:SS.mmm, found {head.text[:40]!r},"
                " which counts frames"
            )
    before = [line.strip() for line in lines[: heads[0].line - 1] if line.strip()]
    above = before[-1] if before else ""
    ends = [*(head.line - 1 for head in heads[1:]), len(lines)]
    filled = [head._replace(below=_below(head, lines[head.line : end])) for head, end in zip(heads, ends, strict=True)]
    filled = _with_names_below(_with_names_around(filled, above))
    title = len(before) - (bool(above) and filled[0].name == above)
    if title:
        _LOG.warning("%s: lines above the first time are taken for a title, and not read (%d)", source.path, title)
    names = _names(filled)
    carries = carries_milliseconds(time for head in heads for time in (head.start, head.end) if time)
    return with_ends(row for head in _with_names_above(filled) for row in _turns(source, head, names, carries))


def _is_stamped(lines: Sequence[str]) -> bool:
    """Whether at least half of the first lines end with a time as f4 and MAXQDA write it."""
    written = [line for line in lines[:_LOOKED_AT] if line.strip()]
    return 0 < len(written) <= 2 * sum(_STAMPED.fullmatch(line) is not None for line in written)


def _stamped_rows(source: Source, lines: Sequence[str]) -> list[Row]:
    """Paragraphs that end with a time; each begins where the one before ended."""
    numbers, written = _written(lines)
    names = Names(written)
    rows = []
    begin = 0.0
    for number, line in zip(numbers, written, strict=True):
        said = names.split(line)
        speaker, text = (said.speaker, said.text) if said else (None, line)
        stamped = _STAMPED.fullmatch(text)
        if not stamped:
            rows.append(Row(f"line {number}", text, speaker))
            continue
        end = parse_time(f"{stamped[2]}.{stamped[3] or 0}", source.where(number))
        rows.append(Row(f"line {number}", stamped[1].strip(), speaker, min(begin, end), end))
        begin = end
    return rows


def _below(head: _Head, lines: Sequence[str]) -> list[str]:
    """What stands below a time; not the same time in words, which YouTube's page has for screen readers."""
    below = [line.strip() for line in lines if line.strip()]
    return below[1:] if head.form == "time" and below and _IN_WORDS.fullmatch(below[0]) else below


def _written(lines: Sequence[str]) -> tuple[list[int], list[str]]:
    """Numbers of the lines that are not empty, and the lines with plain digits."""
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    return [number for number, _ in numbered], [plain_digits(line.strip()) for _, line in numbered]


def _forms(lines: Sequence[str]) -> frozenset[str]:
    """The forms of the times of a text, if there are enough of them to be sure that the times are not said."""
    numbers, written = _written(lines[:_LOOKED_AT])
    known = [head for head in map(_head, numbers, written) if head]
    if not known:
        return frozenset()
    sure = [head for head in known if head.form in _SURE]
    if _enough(sure, numbers[0], len(numbers)):
        return _SURE
    for forms in (
        _SURE | {"parted", "before a name", "after a name"},
        _SURE | {"parted", "before a name", "before a text"},
    ):
        found = [head for head in known if head.form in forms]
        early = "before a text" not in forms or (len(found) > 1 and _seconds(found[0]) <= _LATEST_FIRST)
        often = len(found) * 2 >= len(numbers) and (len(found) > 1 or len(numbers) <= 2)
        above = {head.line + 1 for head in found if head.form == "after a name"}  # what is said must stand below
        apart = above.isdisjoint(head.line for head in found)
        if found and found[0].line == numbers[0] and early and often and apart and _ascending(found):
            return forms
    return frozenset()


def _enough(heads: Sequence[_Head], first: int, lines: int) -> bool:
    if not heads:
        return False
    if len(heads) == 1 and lines > 2:
        return heads[0].line == first and (heads[0].end is not None or heads[0].form == "frames")
    if heads[0].form == "time" and len(heads) == 1:
        return False
    return heads[0].line == first or len(heads) * 4 >= lines or _ascending(heads)


def _ascending(heads: Sequence[_Head]) -> bool:
    return all(_seconds(before) <= _seconds(after) for before, after in pairwise(heads))


def _seconds(head: _Head) -> float:
    """For comparison only; 0 where the time is a clock's or no time at all."""
    try:
        return parse_time(head.start, "") if head.start else 0.0
    except InputError:
        return 0.0


def _head(number: int, line: str) -> _Head | None:
    if not _HAS_TIME.search(line, 0, _LONGEST_LINE):
        return None
    if _FRAMES.fullmatch(line):
        return _Head(number, "frames", None, None, None, line)
    for form, pattern in _PATTERNS.items():
        found = pattern.fullmatch(line)
        if not found:
            continue
        groups = found.groupdict()
        name = groups.get("name")
        name = name.strip().rstrip(",-–—|").strip() if name else None
        if name is not None and not could_be_name(name):
            continue
        if form == "after a name" and split_speaker(f"{name}:")[0] is None:
            continue
        return _Head(number, form, groups.get("start"), groups.get("end"), name, (groups.get("text") or "").strip())
    return None


def _with_names_around(heads: Sequence[_Head], above: str) -> list[_Head]:
    """The heads; where each time stands alone and each has a name in the line above it, or below, it is the name.

    Args:
        heads: of the text.
        above: the line above the first.
    """
    if any(head.name is not None or head.text for head in heads):
        return list(heads)
    lines = [above, *(head.below[-1] if len(head.below) > 1 else "" for head in heads[:-1])]
    if are_names_alone(lines):
        cut = [*(head.below[:-1] for head in heads[:-1]), heads[-1].below]
        return [h._replace(name=name, below=below) for h, name, below in zip(heads, lines, cut, strict=True)]
    lines = [head.below[0] if len(head.below) > 1 else "" for head in heads]
    if are_names_alone(lines):
        return [head._replace(name=name, below=head.below[1:]) for head, name in zip(heads, lines, strict=True)]
    return list(heads)


def _with_names_below(heads: Sequence[_Head]) -> list[_Head]:
    """The heads; where all that follows the times is a name, and what is said stands below, it is the name."""
    bare = [head for head in heads if head.name is None and head.text]
    if not all(head.below and split_speaker(f"{head.text}:")[0] for head in bare):
        return list(heads)
    return [head._replace(name=head.text, text="") if head.name is None and head.text else head for head in heads]


def _with_names_above(heads: Sequence[_Head]) -> Iterator[_Head]:
    """The heads; a time alone inside a turn that has a name is that person's."""
    name: str | None = None
    for head in heads:
        if head.name is None and not head.text:
            head = head._replace(name=name)
        else:
            name = head.name
        yield head


def _names(heads: Sequence[_Head]) -> Names:
    return Names(line for head in heads if head.name is None for line in ([head.text] if head.text else head.below))


def _turns(source: Source, head: _Head, names: Names, carries: bool) -> Iterator[Row]:
    """A row, or one for each line with a name below a time that stands alone."""
    where = source.where(head.line)
    place = f"line {head.line}"
    start, end = (parse_time(time, where, carries=carries) if time else None for time in (head.start, head.end))
    if head.name is not None:
        yield Row(place, " ".join([head.text, *head.below]).strip(), known_name(head.name), start, end)
        return
    opened: tuple[str | None, list[str]] | None = None
    named = False
    for written in [head.text, *head.below] if head.text else head.below:
        line = written.removeprefix(">>").lstrip("> ")
        said = names.split(line)
        if opened and not (said and named) and not written.startswith(">>"):
            opened[1].append(line)
            continue
        if opened:
            yield Row(place, " ".join(filter(None, opened[1])), opened[0], start, end)
        named = named or said is not None
        opened = (said.speaker, [said.text]) if said else (None, [line])
    if opened:
        yield Row(place, " ".join(filter(None, opened[1])), opened[0], start, end)
