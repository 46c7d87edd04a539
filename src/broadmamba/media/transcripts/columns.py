"""What the columns of a table, or the keys of objects, stand for, and in which unit their times are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

FIELD_NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "utterance", "sentence", "transcript"),
    "speaker": ("speaker", "name"),
    "start": ("start", "starttime", "begin", "begintime", "onset"),
    "duration": ("duration", "dur"),
    "end": ("end", "endtime", "stop", "stoptime", "offset"),
    "id": ("id", "utteranceid"),
}
"""Names of each field, most telling first; case and signs in a name do not matter, and a unit may follow a time's."""

TIMES = ("start", "end", "duration")
"""The fields that are times."""

_UNITS = {
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), 1000),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
}
_SIGNS = re.compile(r"[\s_.()\[\]:#-]")
_UNKNOWN = frozenset(["", "-", "--", "?", "na", "n/a", "#n/a", "nan", "nat", "null", "none", "nil", "undefined", "\\n"])
_NUMBER = re.compile(r"[0-9]{1,15}(?:[.,]0*)?")
_CACHED = 64  # headers: the keys of most objects are those of the one before
_SLOWEST = 0.03
"""Characters a second; where less is said, whole numbers are no seconds. As milliseconds they are up to 30 a second."""

_SHORTEST = 200
"""Milliseconds that utterances take, on average, at the least."""


class Column(NamedTuple):
    """A column: its name, and how many of its times' units a second has, where the name says that."""

    name: str
    a_second: int | None = None


@lru_cache(maxsize=_CACHED)
def find_columns(names: tuple[str, ...]) -> Mapping[str, Column]:
    """Which column stands for which field: under `start` the one called `StartTime`, `start_ms` or `Start (sec)`."""
    plain = {_SIGNS.sub("", name).lower(): name for name in reversed(names)}
    found = {field: _find(plain, field, aliases) for field, aliases in FIELD_NAMES.items()}
    begun, ended = (_SIGNS.sub("", column.name).lower() if (column := found[key]) else "" for key in ("start", "end"))
    if ended.startswith("offset") and not begun.startswith("onset"):
        if found["duration"] and not begun:
            found["start"] = found["end"]  # in manifests of NeMo
        found["end"] = None  # an offset alone is a distance from somewhere
    return {field: column for field, column in found.items() if column is not None}


def _find(plain: Mapping[str, str], field: str, aliases: Iterable[str]) -> Column | None:
    units = _UNITS if field in TIMES else {}
    for alias in aliases:
        if alias in plain:
            return Column(plain[alias])
        for unit, a_second in units.items():
            for written in (alias + unit, f"{alias}in{unit}"):
                if written in plain:
                    return Column(plain[written], a_second)
    return None


def is_own(names: Iterable[str]) -> bool:
    """Whether names are those that `predict` writes: nothing of such a table has to be guessed."""
    return {"utterance", "label", "probability", "model"} <= set(names)


def is_unknown(value: object) -> bool:
    """Whether a time is what programs write where they know none: nothing, `NaN`, `null`, `NA` and the like."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _UNKNOWN)


def are_milliseconds(rows: Iterable[tuple[str, Any, Any]]) -> bool:
    """Whether times of an unnamed unit are milliseconds, as in the tables of Whisper and whisper.cpp.

    They are if all are whole numbers, and so little would be said in as many seconds that nobody speaks so slowly. Rows
    without a text say nothing, and nothing that is said takes a few milliseconds.

    Args:
        rows: text, start and end of each row, as they are written; or text, 0 and how long it takes.
    """
    said, passed, counted = 0, 0.0, 0
    for text, start, end in rows:
        times = [value for value in (start, end) if not is_unknown(value)]
        if not all(map(_is_whole, times)):
            return False
        if len(times) == 2 and text.strip():
            said += len(text.strip())
            passed += _number(end) - _number(start)
            counted += 1
    return counted > 0 and said < _SLOWEST * passed and passed >= _SHORTEST * counted


def _is_whole(value: object) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value.strip()) is not None
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15 and value == int(value)


def _number(value: float | str) -> float:
    return float(value.strip().replace(",", ".")) if isinstance(value, str) else float(value)
