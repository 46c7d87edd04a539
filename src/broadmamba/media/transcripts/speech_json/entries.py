"""Values of a JSON file with their place in it: each is checked where it is read, and refused by its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from broadmamba.errors import InputError
from broadmamba.media.transcripts.names import known_name
from broadmamba.media.transcripts.rows import Source, check_name, check_seconds, check_string, listed, parse_time
from broadmamba.media.transcripts.segments import Spoken

MILLISECONDS = 1000
TICKS = 10_000_000
"""How many of a unit make a second; Azure counts in ticks of 100 ns."""

_ISO = re.compile(r"PT(?:([0-9]{1,4})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,12}(?:\.[0-9]{1,12})?)S)?")
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")


class Entry:
    """A JSON object and where it stands in the file."""

    def __init__(self, source: Source, values: Mapping[str, Any], place: str = "") -> None:
        """Hold an object of the file, whose place is such as `segment 3`; the whole file has none."""
        self.source = source
        self.values = values
        self.place = place

    @property
    def where(self) -> str:
        """The file and the place in it, for messages."""
        return f"{self.source.path}, {self.place}" if self.place else str(self.source.path)

    def has(self, key: str) -> bool:
        """Whether a key is there and not null."""
        return self.values.get(key) is not None

    def entry(self, key: str) -> Entry:
        """An object under a key; one without keys if there is none."""
        value = self.values.get(key)
        if value is None:
            return Entry(self.source, {}, self.place)
        if not isinstance(value, dict):
            raise InputError(f"{self.where}: expected a JSON object {key}, found {type(value).__name__}")
        return Entry(self.source, value, self.place)

    def entries(self, key: str, kind: str) -> list[Entry]:
        """The objects of a list under a key, called `<kind> <number>`; none if there is no list."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise InputError(f"{self.where}: expected a list {key}, found {type(value).__name__}")
        return entries_of(self.source, value, kind, self.place)

    def first(self, key: str) -> Entry:
        """The first object of a list under a key, which is the best of several; one without keys if there is none."""
        return next(iter(self.entries(key, key)), Entry(self.source, {}, self.place))

    def text(self, *keys: str) -> str:
        """The string under the first of some keys that is there, with the white space around it.

        Raises:
            InputError: none is there, or it is no string.
        """
        key = next((key for key in keys if key in self.values), None)
        if key is None:
            raise InputError(f"{self.where}: expected a key {' or '.join(keys)}, found {self.keys()}")
        return check_string(self.values[key], f"{self.where}: the text")

    def keys(self) -> str:
        """The keys that are there, for messages."""
        return listed(self.values) or "no key"

    def name(self, *keys: str) -> str | None:
        """A speaker under the first of some keys that has one: the label, or None for nobody known.

        Raises:
            InputError: it is neither a string nor an integer.
        """
        value = next((self.values[key] for key in keys if self.has(key)), None)
        return None if value is None else known_name(check_name(value, f"{self.where}: the speaker"))

    def seconds(self, key: str, units: int = 1) -> float | None:
        """A time that is a number, `units` of which make a second; None if it is not there.

        Raises:
            InputError: it is no number, or not the time of a recording.
        """
        value = self.values.get(key)
        return None if value is None else check_seconds(value, self.where, units)

    def clock(self, key: str) -> float | None:
        """A time as a string, `1.25` or `HH:MM:SS.mmm`; None if it is not there."""
        value = self.values.get(key)
        return None if value is None else parse_time(check_string(value, f"{self.where}: the time"), self.where)

    def iso(self, key: str) -> float | None:
        """A time as an ISO 8601 duration such as `PT1M2.5S`; None if it is not there."""
        value = self.values.get(key)
        if value is None:
            return None
        found = _ISO.fullmatch(check_string(value, f"{self.where}: the time"))
        if not found or value == "PT":
            raise InputError(f"{self.where}: expected a time such as PT1M2.5S, found {value[:40]!r}")
        hours, minutes, seconds = found.groups("0")
        return check_seconds(int(hours) * 3600 + int(minutes) * 60 + float(seconds), self.where)

    def proto(self, *keys: str) -> float | None:
        """A duration of Google's protocol buffers under one of some keys: `1.300s`, or seconds and nanos."""
        value = next((self.values[key] for key in keys if self.has(key)), None)
        if value is None:
            return None
        if isinstance(value, dict):
            whole, nanos = (value.get(key) or 0 for key in ("seconds", "nanos"))
            value = f"{whole}.{nanos:09d}s" if isinstance(nanos, int) and 0 <= nanos < 10**9 else None
        if not isinstance(value, str) or not value.endswith("s") or not _SECONDS.fullmatch(value[:-1]):
            raise InputError(f"{self.where}: expected a time such as 1.300s, found {str(value)[:40]!r}")
        return check_seconds(float(value[:-1]), self.where)

    def spoken(
        self, *text: str, start: str = "start", end: str = "end", units: int = 1, speaker: str = "speaker"
    ) -> Spoken:
        """What many programs write in an object: a text, a start, an end and a speaker."""
        words = self.text(*text).strip()
        return Spoken(self.place, words, self.seconds(start, units), self.seconds(end, units), self.name(speaker))


def entries_of(source: Source, values: list[Any], kind: str, place: str = "") -> list[Entry]:
    """The objects of a list, called `<kind> <number>`, numbered from 1.

    Raises:
        InputError: an element is no object.
    """
    entries = []
    for number, value in enumerate(values, start=1):
        named = f"{place}, {kind} {number}" if place else f"{kind} {number}"
        if not isinstance(value, dict):
            raise InputError(f"{source.path}, {named}: expected a JSON object, found {type(value).__name__}")
        entries.append(Entry(source, value, named))
    return entries


def first_of(value: object, *keys: str) -> Mapping[str, Any]:
    """The first object of a list that lies under some keys inside each other; {} if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return value[0]
    return {}
