"""CSV and JSONL: the same fields, as columns or as keys, under the names that are in use."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from broadmamba.errors import InputError
from broadmamba.media.transcripts.rows import Row, Source, check_name, check_seconds, check_string, listed, parse_time

FIELD_NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "utterance", "sentence", "transcript"),
    "speaker": ("speaker", "name"),
    "start": ("start", "starttime", "begin", "begintime"),
    "end": ("end", "endtime"),
    "id": ("id", "utteranceid"),
}
"""Names of each field, most telling first; case, spaces, `_`, `-` and `.` in a name do not matter."""

_LONGEST_HEADER = 10_000  # characters of it that tell the format
_DELIMITERS = (",", ";", "\t")


def find_fields(names: Sequence[str]) -> dict[str, str]:
    """Which given name stands for which field, such as `{"text": "Utterance", "start": "StartTime"}`."""
    plain = {re.sub(r"[\s_.-]", "", name).lower(): name for name in reversed(names)}
    found = {
        field: next((plain[known] for known in aliases if known in plain), None)
        for field, aliases in FIELD_NAMES.items()
    }
    return {field: name for field, name in found.items() if name is not None}


def find_delimiter(text: str) -> tuple[str, int]:
    """The delimiter under which the first line names most fields, and how many (0 if none is the text)."""
    first = text.lstrip("\n")[:_LONGEST_HEADER].split("\n", 1)[0]
    counts = {delimiter: _known_fields(first, delimiter) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS, key=counts.__getitem__)
    return best, counts[best]


def _known_fields(header: str, delimiter: str) -> int:
    try:
        fields = find_fields(next(csv.reader([header], delimiter=delimiter), []))
    except csv.Error:
        return 0
    return len(fields) if "text" in fields else 0


def csv_rows(source: Source) -> Iterator[Row]:
    """Utterances of a table with a header, separated by commas, semicolons or tabs; empty rows are skipped.

    Raises:
        InputError: no column holds the text, a row has another number of cells than the header, quotes do not
            close, or a time cannot be read; the message names the line.
    """
    delimiter, _ = find_delimiter(source.text)
    header: list[str] = []
    fields: dict[str, str] = {}
    for line, cells in _csv_lines(source, delimiter):
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = cells
            fields = find_fields(header)
            if "text" not in fields:
                found = listed(header)
                raise InputError(
                    f"{source.where(line)}: expected a header with a column {_either('text')}, found {found}"
                )
            continue
        if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
            raise InputError(
                f"{source.where(line)}: expected {len(header)} cells as in the header, found {len(cells)}"
                " (a text that holds the separator must be quoted)"
            )
        # of two columns with one name the first counts
        values = dict(zip(reversed(header), reversed(cells[: len(header)]), strict=True))
        yield _row(source, line, values, fields)


def _csv_lines(source: Source, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number of its first line, and cells, of each row."""
    # strict: otherwise a quote that never closes swallows the rest of the file into one utterance
    reader = csv.reader(io.StringIO(source.text), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{source.where(line)}: expected a row of a CSV table, found bad quoting ({error})"
            ) from None
        yield line, cells


def jsonl_rows(source: Source) -> Iterator[Row]:
    """Utterances of a file with one JSON object a line; empty lines are passed over.

    Raises:
        InputError: a line is not an object, or has no text or a value of another type; the message names it.
    """
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
        fields = find_fields(list(values))
        if "text" not in fields:
            found = listed(values) or "no key"
            raise InputError(f"{where}: expected a key {_either('text')}, found {found}")
        yield _row(source, line, values, fields)


def _either(field: str) -> str:
    *others, last = FIELD_NAMES[field]
    return f"{', '.join(others)} or {last}"


def _row(source: Source, line: int, values: Mapping[str, Any], fields: Mapping[str, str]) -> Row:
    where = source.where(line)
    given = {field: values[name] for field, name in fields.items() if values[name] is not None}
    return Row(
        place=f"line {line}",
        text=check_string(given.get("text", ""), f"{where}: the text").strip(),
        speaker=check_name(given.get("speaker", ""), f"{where}: the speaker"),
        start=_seconds(given.get("start", ""), where),
        end=_seconds(given.get("end", ""), where),
        id=check_name(given.get("id", ""), f"{where}: the id"),
    )


def _seconds(value: object, where: str) -> float | None:
    if isinstance(value, str):
        return parse_time(value, where) if value.strip() else None
    return check_seconds(value, where)
