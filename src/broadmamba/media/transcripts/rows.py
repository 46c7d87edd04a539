"""What every transcript format gives, one `Row` an utterance, and how rows become a conversation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.errors import InputError

_SECONDS = re.compile(r"[0-9]{1,12}(?:[.,][0-9]{0,20})?(?:[eE][+-]?[0-9]{1,2})?")
_CLOCK = re.compile(r"(?:([0-9]{1,9}):)?([0-9]{1,2}):([0-9]{1,2})(?:[.,]([0-9]{1,9}))?")


@dataclass(frozen=True, slots=True)
class Source:
    """A transcript file, decoded.

    Attributes:
        path: where it was read.
        text: its whole content; lines end in a plain newline.
    """

    path: Path
    text: str

    def where(self, line: int) -> str:
        """The file and a line (from 1), for messages."""
        return f"{self.path}, line {line}"


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance as a file states it; `line` (from 1) is where."""

    line: int
    text: str
    speaker: str | None = None
    start: float | None = None
    end: float | None = None
    id: str | None = None


def parse_time(value: str, where: str) -> float:
    """Seconds from `12.5`, `1:02.5`, `HH:MM:SS.mmm` or the same with a comma.

    Args:
        value: the time as it was written.
        where: file and line, for the message.

    Raises:
        InputError: the time is negative or cannot be read.
    """
    written = value.strip()
    if _SECONDS.fullmatch(written):
        return float(written.replace(",", "."))
    if written.startswith(("-", "−")):
        raise InputError(f"{where}: expected a time of 0 or later, found {written[:40]!r}")
    clock = _CLOCK.fullmatch(written)
    if clock:
        hours, minutes, seconds = (int(part or 0) for part in clock.group(1, 2, 3))
        if minutes < 60 and seconds < 60:
            # one conversion from decimal, so that 16:16.059 is the float nearest to 976.059
            return float(f"{hours * 3600 + minutes * 60 + seconds}.{clock.group(4) or 0}")
    raise InputError(f"{where}: expected a time in seconds or as HH:MM:SS.mmm, found {written[:40]!r}")


def build_conversation(source: Source, rows: Iterable[Row]) -> Conversation:
    """Number, check and collect the rows of one file.

    Args:
        source: its file name without suffix is the conversation's id, and begins each id that is not given.
        rows: in the order of the file, which is kept.

    Raises:
        InputError: there is no utterance, an id comes twice, or an utterance ends before it starts.
    """
    # a file name may hold bytes that are no text; an id must be writable as UTF-8
    stem = source.path.stem.encode("utf-8", "replace").decode()
    utterances: list[Utterance] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        name = row.id if row.id is not None else f"{stem}_{number}"
        if name in seen:
            raise InputError(f"{source.path}: utterance id {name!r} is given in lines {seen[name]} and {row.line}")
        seen[name] = row.line
        if row.start is not None and row.end is not None and row.start > row.end:
            raise InputError(f"{source.where(row.line)}: expected an end at {row.start} s or later, found {row.end} s")
        utterances.append(Utterance(name, row.text, row.speaker, row.start, row.end))
    if not utterances:
        raise InputError(f"{source.path}: expected at least one utterance, found none")
    return Conversation(stem, tuple(utterances))
