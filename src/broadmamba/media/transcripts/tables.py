"""CSV and JSONL: the same fields, as columns or as keys, under the names that are in use."""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from broadmamba.errors import InputError
from broadmamba.media.transcripts.cells import Line, quoted_cells, split_cells, unescape
from broadmamba.media.transcripts.columns import (
    FIELD_NAMES,
    TIMES,
    Column,
    are_milliseconds,
    find_columns,
    is_own,
    is_unknown,
)
from broadmamba.media.transcripts.rows import (
    MOST_UTTERANCES,
    Row,
    Source,
    carries_milliseconds,
    check_name,
    check_seconds,
    check_string,
    either,
    end_after,
    listed,
    parse_time,
)

_log = logging.getLogger(__name__)

_LONGEST_HEADER = 10_000  # characters of it that tell the format
_DELIMITERS = (",", ";", "\t")
_STATED = re.compile(r'\n*"?sep=([,;|\t])"?[,;]*\n', re.IGNORECASE)  # a first line for Excel
_NULL = "\\N"  # what MySQL writes for nothing


class _Record(NamedTuple):
    """A row of a table or an object of JSONL: its line, its values by name, and what these stand for."""

    line: int
    values: Mapping[str, Any]
    columns: Mapping[str, Column]

    def get(self, field: str) -> Any:
        value = self.values[self.columns[field].name] if field in self.columns else None
        return "" if value is None or value == _NULL else value


def is_csv(source: Source) -> bool:
    """Whether the first line is a header: of one known column it could be the first line of a talk too."""
    return _delimiter(source.text)[1] >= (1 if source.suffix in (".csv", ".tsv") else 2)


def _delimiter(text: str) -> tuple[str, int]:
    """The delimiter under which the first line names most fields, and how many (0 if none is the text)."""
    stated, begin = _begin(text)
    header = text[begin : begin + _LONGEST_HEADER].split("\n", 1)[0]
    counts = {delimiter: _known_fields(header, delimiter) for delimiter in (stated or _DELIMITERS)}
    best = max(counts, key=counts.__getitem__)
    return best, counts[best]


def _begin(text: str) -> tuple[str | None, int]:
    """The delimiter that a first line for Excel states, and where the header begins."""
    stated = _STATED.match(text)
    begin = stated.end() if stated else 0
    while text.startswith("\n", begin):
        begin += 1
    return stated and stated[1], begin


def _known_fields(header: str, delimiter: str) -> int:
    fields = find_columns(tuple(_names(header, delimiter)))
    return len(fields) if "text" in fields else 0


def _names(header: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error:
        return []


def csv_rows(source: Source) -> Iterator[Row]:
    """Utterances of a table with a header, separated by commas, semicolons or tabs; empty rows are skipped.

    What quotation marks and backslashes are, says `cells.split_cells`; whole numbers may be milliseconds
    (`columns.are_milliseconds`), with a notice.

    Raises:
        InputError: no column holds the text, a row has another number of cells than the header, quotes do not
            close, or a time cannot be read; the message names the line.
    """
    delimiter, _ = _delimiter(source.text)
    _, begin = _begin(source.text)
    text, first = source.text[begin:], source.text.count("\n", 0, begin) + 1
    names = _names(text.split("\n", 1)[0], delimiter)
    known = find_columns(tuple(names))
    times = [names.index(known[field].name) for field in TIMES if field in known]

    def is_row(cells: Sequence[str]) -> bool:
        return len(cells) >= len(names) and bool(times) and all(_is_time(cells[column]) for column in times)

    own = is_own(names)
    found = quoted_cells(source, text, first, delimiter) if own else split_cells(source, text, first, delimiter, is_row)
    header, *lines = (found if own else unescape(found)) or [Line(first, [])]
    columns = find_columns(tuple(header.cells))
    if "text" not in columns:
        raise InputError(
            f"{source.where(header.number)}: expected a header with a column {either(FIELD_NAMES['text'])}, "
            f"found {listed(header.cells)}"
        )
    return _rows(source, _records(source, header.cells, lines, columns))


def _records(
    source: Source, header: list[str], lines: Sequence[Line], columns: Mapping[str, Column]
) -> Iterator[_Record]:
    for number, cells in lines:
        if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
            raise InputError(
                f"{source.where(number)}: expected {len(header)} cells as in the header, found {len(cells)}"
                " (a text that holds the separator must be quoted)"
            )
        # of two columns with one name the first counts
        yield _Record(number, dict(zip(reversed(header), reversed(cells[: len(header)]), strict=True)), columns)


def jsonl_rows(source: Source) -> Iterator[Row]:
    """Utterances of a file with one JSON object a line; empty lines are passed over.

    Raises:
        InputError: a line is not an object, or has no text or a value of another type; the message names it.
    """
    return _rows(source, _objects(source))


def _objects(source: Source) -> Iterator[_Record]:
    for line, written in enumerate(source.text.split("\n"), start=1):
        if not written.strip():
            continue
        where = source.where(line)
        try:
            values = json.loads(written)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: expected a JSON object, found {written[:40]!r} ({error})") from None
        if not isinstance(values, dict):
            raise InputError(f"{where}: expected a JSON object, found {type(values).__name__}")
        columns = find_columns(tuple(values))
        if "start" not in columns and any(_holds_objects(values.get(key)) for key in ("segments", "chunks")):
            raise InputError(f"{where}: expected an utterance, found a recording with segments of its own")
        if "text" not in columns:
            found = listed(values) or "no key"
            raise InputError(f"{where}: expected a key {either(FIELD_NAMES['text'])}, found {found}")
        yield _Record(line, values, columns)


def _holds_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _rows(source: Source, records: Iterator[_Record]) -> Iterator[Row]:
    # one more than a conversation may have, so that too many are told where they are counted
    kept = list(islice(records, MOST_UTTERANCES + 1))
    unnamed = [
        record
        for record in kept
        if not is_own(record.values) and not any(column.a_second for column in record.columns.values())
    ]
    milliseconds = are_milliseconds(written for record in unnamed for written in _written(record))
    if milliseconds:
        _log.warning(
            "%s: its times are whole numbers so large that they were read as milliseconds; if they are seconds, call"
            " them start_s and end_s",
            source.path,
        )
    written = (record.get(field) for record in kept for field in TIMES)
    carries = carries_milliseconds(time for time in written if isinstance(time, str))
    for record in kept:
        where = source.where(record.line)
        start, end, lasts = (_seconds(record, field, 1000 if milliseconds else 1, carries, where) for field in TIMES)
        if end is None and start is not None and lasts is not None:
            end = end_after(start, lasts, where)
        yield Row(
            place=f"line {record.line}",
            text=check_string(record.get("text"), f"{where}: the text").strip(),
            speaker=check_name(record.get("speaker"), f"{where}: the speaker"),
            start=start,
            end=end,
            id=check_name(record.get("id"), f"{where}: the id"),
        )


def _written(record: _Record) -> Iterator[tuple[str, Any, Any]]:
    """Text and times of a row, for `columns.are_milliseconds`."""
    text = str(record.get("text"))
    if is_unknown(record.get("end")) and not is_unknown(record.get("duration")):
        yield text, 0, record.get("duration")
        yield "", record.get("start"), None
    else:
        yield text, record.get("start"), record.get("end")


def _seconds(record: _Record, field: str, a_second: int, carries: bool, where: str) -> float | None:
    value = record.get(field)
    if is_unknown(value):
        return None
    a_second = record.columns[field].a_second or a_second
    if isinstance(value, str):
        return parse_time(value, where, carries=carries, a_second=a_second)
    return check_seconds(value, where, a_second)


def _is_time(cell: str) -> bool:
    try:
        return not is_unknown(cell) and parse_time(cell, "") >= 0
    except InputError:
        return False
