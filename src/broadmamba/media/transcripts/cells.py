"""A table's text as rows of cells: what its quotation marks and backslashes are is found from all rows together."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from broadmamba.errors import InputError
from broadmamba.media.transcripts.rows import Source

_ESCAPED_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*)\\"')
_ESCAPED_BREAK = re.compile(r"(?<!\\)((?:\\\\)*)\\([\t\n])")
_ANY_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_DRIVE = re.compile(r"\b[A-Za-z]:\\(?!\\)")
_ESCAPES = frozenset('tnr0N\\"\t\n')  # what programs write after a backslash that escapes
_WELL_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_WELL_ESCAPED = re.compile(r'"(?:[^"\\]|\\.)*"')
_QUOTE = "\x01"  # stands for an escaped quotation mark while cells are found; no text has it by then


class Line(NamedTuple):
    """A row of a table: the number of its first line, and its cells."""

    number: int
    cells: list[str]


def split_cells(
    source: Source, text: str, first: int, delimiter: str, is_row: Callable[[Sequence[str]], bool]
) -> list[Line]:
    """The rows of a table, without those that are empty.

    In a table with tabs, quotation marks are text, unless all cells of a column have them or the rows only come out
    with them. Elsewhere they enclose cells. A quotation mark after a backslash is text.

    Args:
        source: for messages.
        text: the table, its header first.
        first: number of the header's line.
        delimiter: between cells.
        is_row: whether cells alone could be a row (its times are times), which no text should hold.

    Raises:
        InputError: quotes do not close, or only after whole rows; the message names the line.
    """
    if '"' not in text:
        plain = _plain(text, first, delimiter)
        return plain if _even(plain) or "\\" not in text else _unescaped_breaks(text, first, delimiter)
    if delimiter == "\t":
        for lines in (_plain(text, first, delimiter), _unescaped_breaks(text, first, delimiter)):
            if _even(lines):
                return _unquoted(lines)
    escaped = _ESCAPED_QUOTE.sub(rf"\1{_QUOTE}", text)
    if escaped != text:
        try:
            lines = quoted_cells(source, escaped, first, delimiter)
        except InputError:
            lines = []
        if _even(lines) and _swallowed(lines, delimiter, is_row) is None:
            return [Line(number, [cell.replace(_QUOTE, '"') for cell in cells]) for number, cells in lines]
    lines = quoted_cells(source, text, first, delimiter)
    swallowing = _swallowed(lines, delimiter, is_row)
    if swallowing is not None:
        raise InputError(
            f"{source.where(swallowing)}: expected a row of a CSV table, found bad quoting (a cell holds whole rows)"
        )
    return lines


def unescape(lines: list[Line]) -> list[Line]:
    r"""The rows with a space for each `\t` and `\n`, if all backslashes are such escapes; else they are text.

    Those of a path such as `C:\new` are text in any case.
    """
    found = {match[1] for _, cells in lines for cell in cells for match in _ANY_ESCAPE.finditer(cell)}
    path = any(_DRIVE.search(cell) for _, cells in lines for cell in cells)
    if path or not found - {"\\"} or not found <= _ESCAPES:
        return lines
    return [Line(number, [_ANY_ESCAPE.sub(_meant, cell) for cell in cells]) for number, cells in lines]


def _meant(escape: re.Match[str]) -> str:
    return {"\\": "\\", '"': '"', "N": escape[0]}.get(escape[1], " ")


def _plain(text: str, first: int, delimiter: str) -> list[Line]:
    rows = (Line(number, line.split(delimiter)) for number, line in enumerate(text.split("\n"), start=first))
    return [row for row in rows if any(map(str.strip, row.cells))]


def _unescaped_breaks(text: str, first: int, delimiter: str) -> list[Line]:
    """Rows whose own tabs and line breaks have a backslash before them, as MySQL writes them."""
    hidden = _ESCAPED_BREAK.sub(lambda match: match[1] + ("\x02" if match[2] == "\t" else "\x03"), text)
    lines, number = [], first
    for line in hidden.split("\n"):
        cells = line.replace("\x02", " ").replace("\x03", " ").split(delimiter)
        if any(map(str.strip, cells)):
            lines.append(Line(number, cells))
        number += 1 + line.count("\x03")
    return lines


def quoted_cells(source: Source, text: str, first: int, delimiter: str) -> list[Line]:
    """The rows of a table whose quotation marks enclose cells and whose backslashes are text, as RFC 4180 has it.

    Raises:
        InputError: quotes do not close, or only before other text; the message names the line.
    """
    # strict: otherwise a quote that never closes swallows the rest of the file into one utterance
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    lines: list[Line] = []
    while True:
        number = first + reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return lines
        except csv.Error as error:
            raise InputError(
                f"{source.where(number)}: expected a row of a CSV table, found bad quoting ({error})"
            ) from None
        if any(map(str.strip, cells)):
            lines.append(Line(number, cells))


def _even(lines: Sequence[Line]) -> bool:
    """Whether all rows have the header's cells, and at most empty ones besides."""
    if not lines:
        return False
    width = len(lines[0].cells)
    return all(len(cells) >= width and not any(map(str.strip, cells[width:])) for _, cells in lines)


def _unquoted(lines: Sequence[Line]) -> list[Line]:
    """Rows of a table with tabs, without quotation marks around cells where those are no text."""
    header, *rows = lines
    width = len(header.cells)
    enclosed = [
        all(_enclosed(cell) is not None for _, cells in rows if (cell := cells[column].strip()))
        for column in range(width)
    ]
    bare = [Line(header.number, [_bare(cell) for cell in header.cells])]
    for number, cells in rows:
        pairs = zip(cells, enclosed, strict=False)
        bare.append(Line(number, [_bare(cell) if whole or _holds_quotes(cell) else cell for cell, whole in pairs]))
    return bare


def _enclosed(cell: str) -> str | None:
    """What stands between the quotation marks around a cell; None if it has none around it."""
    if len(cell) > 1 and _WELL_QUOTED.fullmatch(cell):
        return cell[1:-1].replace('""', '"')
    return cell[1:-1].replace('\\"', '"') if len(cell) > 1 and _WELL_ESCAPED.fullmatch(cell) else None


def _bare(cell: str) -> str:
    inner = _enclosed(cell.strip())
    return cell if inner is None else inner


def _holds_quotes(cell: str) -> bool:
    """Whether a cell has other quotation marks inside its own, for which a program puts it between them."""
    return '"' in cell.strip()[1:-1]


def _swallowed(lines: Sequence[Line], delimiter: str, is_row: Callable[[Sequence[str]], bool]) -> int | None:
    """Number of the first row that holds a whole row in a cell, as where a quotation mark closes late."""
    for number, cells in lines:
        for cell in cells:
            if "\n" in cell and any(is_row(part.split(delimiter)) for part in cell.split("\n")[1:]):
                return number
    return None
