"""What every transcript format gives, one `Row` an utterance, and how rows become a conversation."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from broadmamba.data.conversation import LATEST, MOST_HOURS, Conversation, Utterance
from broadmamba.errors import InputError
from broadmamba.media.transcripts.names import known_name
from broadmamba.media.transcripts.opening import name_of
from broadmamba.media.turns import Turn

_Part = TypeVar("_Part")

MOST_UTTERANCES = 200_000
"""Of a conversation: days of talk."""

_SECONDS = re.compile(r"[0-9]{1,12}(?:[.,][0-9]{0,20})?(?:[eE][+-]?[0-9]{1,2})?")
_DECIMALS = 9  # of a second
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # tabs and line breaks are white space
_CLOCK = re.compile(r"(?:([0-9]{1,9}):)?([0-9]{1,2}):([0-9]{1,2})(?:[.,]([0-9]{1,9})|(?<=:..):([0-9]{3}))?")
_FRAMES = re.compile(r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}[:;][0-9]{2}")
_DIRECTION = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Source:
    """A transcript file, decoded.

    Attributes:
        path: where it was read.
        text: its whole content; lines end in a plain newline.
        turns: who spoke when, from elsewhere, for words whose speaker the file does not give.
        tiers: names of the tiers that hold speech, where the file has tiers; none has them found.
    """

    path: Path
    text: str
    turns: tuple[Turn, ...] = ()
    tiers: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        """Of the file's name, in lower case, such as `.srt`; empty without one."""
        return self.path.suffix.lower()

    def where(self, line: int) -> str:
        """The file and a line (from 1), for messages."""
        return f"{self.path}, line {line}"


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance as a file states it; `place` is where, such as `line 3`."""

    place: str
    text: str
    speaker: str | None = None
    start: float | None = None
    end: float | None = None
    id: str | None = None


def plain_digits(written: str) -> str:
    """A time with ASCII's digits and signs: Arabic, Indic or wide ones are replaced, marks of direction left out."""
    if written.isascii():
        return written
    plain = unicodedata.normalize("NFKC", _DIRECTION.sub("", written))
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in plain)


def parse_time(value: str, where: str, *, carries: bool = False, a_second: int = 1) -> float:
    """Seconds from `12.5`, `1:02.5`, `HH:MM:SS.mmm` or the same with a comma, or `HH:MM:SS:mmm`.

    Args:
        value: the time as it was written.
        where: file and place, for the message.
        carries: whether a fraction `1000` is a thousand milliseconds, see `carries_milliseconds`.
        a_second: how many of the unit in which a plain number counts are a second, such as 1000 milliseconds.

    Raises:
        InputError: the time is negative, later than 1000 hours, counts frames or cannot be read.
    """
    written = plain_digits(value.strip())
    clock = _CLOCK.fullmatch(written)
    if clock and int(clock[2]) < 60 and int(clock[3]) < 60:
        hours, minutes, whole = int(clock[1] or 0), int(clock[2]), int(clock[3])
        fraction = clock[4] or clock[5] or "0"
        if carries and fraction == "1000":
            whole, fraction = whole + 1, "0"
        # one conversion from decimal, so that 16:16.059 is the float nearest to 976.059
        seconds = float(f"{hours * 3600 + minutes * 60 + whole}.{fraction}")
    elif _SECONDS.fullmatch(written):
        seconds = float(written.replace(",", ".")) / a_second
    elif written.startswith(("-", "−")):
        raise InputError(f"{where}: expected a time of 0 or later, found {written[:40]!r}")
    elif _FRAMES.fullmatch(written):
        raise InputError(f"{where}: expected a time as HH:MM:SS.mmm, found {written!r}, which counts frames")
    else:
        raise InputError(f"{where}: expected a time in seconds or as HH:MM:SS.mmm, found {written[:40]!r}")
    if seconds > LATEST:
        raise InputError(f"{where}: expected a time of at most {MOST_HOURS} hours, found {written[:40]!r}")
    return seconds


def carries_milliseconds(times: Iterable[str]) -> bool:
    """Whether a fraction `1000` among the times of a file is a thousand milliseconds, `4,1000` so 5 s.

    Programs that round 999.6 ms write that. Where other fractions have four digits too, it is a tenth.
    """
    plain = (plain_digits(time.strip()) for time in times)
    fractions = {time[-4:] for time in plain if time[-5:-4] in (".", ",") and _CLOCK.fullmatch(time)}
    return fractions == {"1000"}


def check_seconds(value: object, where: str, a_second: int = 1) -> float:
    """A time that a file gives as a number.

    Args:
        value: of any type.
        where: file and place, for the message.
        a_second: how many of the unit in which it counts are a second, such as 1000 milliseconds.

    Raises:
        InputError: it is no number, or is negative, infinite, NaN or later than 1000 hours.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: expected a time in seconds, found {str(value)[:40]!r}")
    if not 0 <= value <= LATEST * a_second:
        unit = "s" if a_second == 1 else f"1/{a_second} s"
        raise InputError(f"{where}: expected a time from 0 to {MOST_HOURS} hours, found {str(value)[:40]} {unit}")
    return value / a_second


def end_after(start: float, length: float, where: str) -> float:
    """The end of what begins at a time and takes a while, both in seconds, to the digits that a sum of floats has.

    Raises:
        InputError: it is later than 1000 hours.
    """
    return check_seconds(round(start + length, _DECIMALS), where)


def check_string(value: object, what: str) -> str:
    """A text that a file gives in JSON or a cell.

    Args:
        value: of any type.
        what: file, place and the value's role, for the message.

    Raises:
        InputError: it is no string, or one that cannot be written as UTF-8.
    """
    if not isinstance(value, str):
        raise InputError(f"{what} is {str(value)[:40]!r}, expected a string")
    if _LONE_SURROGATE.search(value):
        raise InputError(f"{what} holds half a character (a lone surrogate), expected whole ones")
    return value


def check_name(value: object, what: str) -> str | None:
    """A name or an id, which programs also write as an integer; None if there is nothing in it.

    Args:
        value: of any type.
        what: file, place and the value's role, for the message.

    Raises:
        InputError: it is neither a string nor an integer.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return check_string(value, what).strip() or None


def listed(names: Iterable[str]) -> str:
    """The first twelve names, each cut and on one line, for a message."""
    first = list(islice(names, 13))
    return ", ".join([" ".join(name[:30].split()) for name in first[:12]] + ["…"] * (len(first) > 12))


def either(names: Iterable[str]) -> str:
    """Two names or more, of which one is expected, for a message."""
    *others, last = names
    return f"{', '.join(others)} or {last}"


def of_one_recording(source: Source, parts: Sequence[_Part], name: Callable[[_Part], str]) -> Sequence[_Part]:
    """The parts of one recording: all, or of several recordings in one file, those of the one named like the file.

    Args:
        source: the file.
        parts: of it.
        name: of the recording that a part belongs to.

    Raises:
        InputError: there are several recordings, and none has the file's name.
    """
    names = list(dict.fromkeys(map(name, parts)))
    if len(names) <= 1:
        return parts
    own = source.path.stem
    if own not in names:
        raise InputError(
            f"{source.path}: expected one recording, or one named {own[:60]}, found {len(names)} ({listed(names)})"
        )
    return [part for part in parts if name(part) == own]


def with_ends(rows: Iterable[Row]) -> list[Row]:
    """The rows; one that has a start and no end goes on until the next start after its own, as captions do.

    The last one's end stays unknown.
    """
    rows = list(rows)
    starts = sorted({row.start for row in rows if row.start is not None})
    ended: list[Row] = []
    for row in rows:
        if row.start is not None and row.end is None:
            following = bisect_right(starts, row.start)
            row = replace(row, end=starts[following] if following < len(starts) else None)
        ended.append(row)
    return ended


def build_conversation(source: Source, rows: Iterable[Row]) -> Conversation:
    """Number, check and collect the rows of one file.

    A control character in a text, a name or an id becomes a space, whatever the format: it would be obeyed where it
    is shown. Tabs and line breaks stay.

    Args:
        source: its name (`opening.name_of`) is the conversation's id, and begins each id that is not given.
        rows: in the order of the file, which is kept. Who is called `?`, `unknown` or the like is nobody known
            (`names.known_name`).

    Raises:
        InputError: there is no utterance or more than 200 000, an id comes twice, or an utterance ends before it
            starts.
    """
    stem = name_of(source.path)
    utterances: list[Utterance] = []
    seen: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        name = _shown(row.id) if row.id is not None else f"{stem}_{number}"
        if name in seen:
            raise InputError(f"{source.path}: utterance id {name!r} is given in {seen[name]} and in {row.place}")
        if number > MOST_UTTERANCES:
            raise InputError(
                f"{source.path}: expected a conversation of at most {MOST_UTTERANCES} utterances, found more"
            )
        seen[name] = row.place
        if row.start is not None and row.end is not None and row.start > row.end:
            raise InputError(
                f"{source.path}, {row.place}: expected an end at {row.start} s or later, found {row.end} s"
            )
        speaker = known_name(_shown(row.speaker)) if row.speaker is not None else None
        utterances.append(Utterance(name, _shown(row.text), speaker, row.start, row.end))
    if not utterances:
        raise InputError(f"{source.path}: expected at least one utterance, found none")
    return Conversation(stem, tuple(utterances))


def _shown(text: str) -> str:
    return _CONTROL.sub(" ", text).strip() if _CONTROL.search(text) else text
