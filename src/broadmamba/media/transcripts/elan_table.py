"""ELAN's tab-delimited text: a row an annotation, whose times stand in one form or several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from broadmamba.errors import InputError
from broadmamba.media.transcripts.names import known_name
from broadmamba.media.transcripts.rows import Row, Source, end_after, parse_time
from broadmamba.media.transcripts.tiers import Span, Tier, tier_rows

_LOOKED_AT = 50  # lines that decide on the format
_KINDS = {
    "clock": re.compile(r"[0-9]{1,3}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,3})?"),
    "decimal": re.compile(r"[0-9]{1,9}[.,][0-9]{1,9}"),
    "whole": re.compile(r"[0-9]{1,12}"),
    "frames": re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}[:;][0-9]{2}"),
}
_HEADER = re.compile(r"(?:Begin Time|End Time|Duration)\b.*")
_FEWEST_CELLS = 3
_ABOUT_FILE = '"#'  # begins a line with the name of the file that was exported


class _Columns(NamedTuple):
    """Which column holds what: `times` are begin, end and duration, or those of them that there are."""

    times: Sequence[int]
    kind: str
    labels: Sequence[int]
    texts: Sequence[int]
    header: bool


def is_elan_table(source: Source) -> bool:
    """Whether the first lines are cells between tabs, of which two columns or more are times, and one stands behind."""
    lines = (line for line in source.text.split("\n") if line.strip() and not line.startswith(_ABOUT_FILE))
    return _columns([line.split("\t") for line, _ in zip(lines, range(_LOOKED_AT), strict=False)]) is not None


def elan_rows(source: Source) -> list[Row]:
    """Utterances of ELAN's table, in the order in which they begin; which tiers hold them, says `tiers.tier_rows`.

    Columns are a tier, perhaps a participant, then begin, end and duration in one to three forms, and the annotation;
    or with a header, one column of annotations for each tier. The speaker is the participant, else the tier.

    Raises:
        InputError: a row has no such cells, a time cannot be read, or no tier plainly holds speech.
    """
    lines = [
        (number, line)
        for number, line in enumerate(source.text.split("\n"), start=1)
        if line.strip() and not line.startswith(_ABOUT_FILE)
    ]
    cells = [line.split("\t") for _, line in lines]
    columns = _columns(cells)
    if columns is None:
        raise InputError(f"{source.path}: expected rows of ELAN's with a begin and an end, found others as well")
    body = list(zip([number for number, _ in lines], cells, strict=True))[1 if columns.header else 0 :]
    begin, second = columns.times[:2]
    spans = [
        (_seconds(source, number, row[begin], columns), _seconds(source, number, row[second], columns))
        for number, row in body
    ]
    # where somebody chose begin and duration, the second is sooner or later less than the first
    lengths = len(columns.times) == 2 and any(end < start for start, end in spans)
    if lengths:
        spans = [
            (start, end_after(start, length, source.where(number)))
            for (number, _), (start, length) in zip(body, spans, strict=True)
        ]
    tiers: dict[tuple[str, str | None], Tier] = {}
    for (number, row), (start, end) in zip(body, spans, strict=True):
        for name, speaker, text in _annotations(columns, cells[0], row):
            tier = tiers.setdefault((name, speaker), Tier(name, speaker))
            tier.spans.append(Span(f"line {number}", text, start, end, start, unit=number))
    return tier_rows(source, list(tiers.values()))


def _columns(cells: Sequence[Sequence[str]]) -> _Columns | None:
    header = bool(cells) and any(_HEADER.fullmatch(cell.strip()) for cell in cells[0])
    rows = cells[1:] if header else cells
    width = max(map(len, rows), default=0)
    if width < _FEWEST_CELLS or any(len(row) < width - 1 for row in rows):
        return None  # an editor may have taken the tab before an empty annotation away
    kinds = [_kind([row[at].strip() if at < len(row) else "" for row in rows]) for at in range(width)]
    timed = [at for at, kind in enumerate(kinds) if kind]
    for kind in ("clock", "decimal", "whole"):
        times = [at for at in timed if kinds[at] == kind]
        known = header or kind != "whole" or _are_milliseconds(rows, times)
        if known and len(times) >= 2 and timed[-1] < width - 1:
            texts = range(timed[-1] + 1, width)
            labels = range(timed[0])
            return _Columns(times, kind, labels, texts if header and not labels else texts[:1], header)
    return None


def _are_milliseconds(rows: Sequence[Sequence[str]], times: Sequence[int]) -> bool:
    """Whether whole numbers are a begin, an end and what lies between, so that they are no other numbers."""
    return len(times) == 3 and all(int(row[times[1]]) - int(row[times[0]]) == int(row[times[2]]) for row in rows)


def _kind(cells: Sequence[str]) -> str:
    """In which form all cells are times; none if they are something else."""
    return next((kind for kind, form in _KINDS.items() if all(map(form.fullmatch, cells))), "")


def _seconds(source: Source, number: int, cell: str, columns: _Columns) -> float:
    return parse_time(cell, source.where(number), a_second=1000 if columns.kind == "whole" else 1)


def _annotations(columns: _Columns, header: Sequence[str], row: Sequence[str]) -> list[tuple[str, str | None, str]]:
    """Tier, participant and text of each annotation of a row."""
    texts = [(at, row[at].strip() if at < len(row) else "") for at in columns.texts]
    if columns.labels:
        tier, participant = [*(row[at].strip() for at in columns.labels), ""][:2]
        return [(tier, known_name(participant), text) for _, text in texts]
    return [
        (header[at].strip() if columns.header and at < len(header) else "", None, text) for at, text in texts if text
    ]
