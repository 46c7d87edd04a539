"""Labels of Audacity and HTK: a start, an end and a label a line, without a header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from broadmamba.errors import InputError
from broadmamba.media.transcripts.names import Names, Said, known_name
from broadmamba.media.transcripts.rows import Row, Source, parse_time, plain_digits, with_ends
from broadmamba.media.transcripts.silence import is_silence

_LOOKED_AT = 50  # lines that decide on the format
_DECIMAL = r"[0-9]{1,9}[.,][0-9]{1,9}"
_WHOLE = r"[0-9]{1,12}"

_LABEL = re.compile(rf"({_DECIMAL})\s+({_DECIMAL})(?:[\t ]+(.*))?")
_HTK = re.compile(rf"({_WHOLE})\s+({_WHOLE})\s+(\S.*)")
_TIME_CELL = re.compile(rf"{_DECIMAL}|[0-9]{{1,3}}:[0-9]{{2}}(?::[0-9]{{2}})?(?:[.,][0-9]{{1,3}})?")
_LABEL_SPEAKER = re.compile(r"\[\[([^\[\]]{1,80})\]\]\s*(.*)")  # `[[SPEAKER_00]]…`, as whisperX writes it
_HTK_UNITS = 10_000_000  # of 100 ns, a second
_SPECTRUM = "\\"  # begins a line with the frequencies of the label above


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and content of each line that is not empty."""
    return ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


def is_labels(source: Source) -> bool:
    """Whether the first lines are a start and an end in seconds with decimals, and a label."""
    lines = [line.strip() for _, line in islice(_lines(source.text), _LOOKED_AT) if not line.startswith(_SPECTRUM)]
    parted = len(lines) > 1 or any("\t" in line for line in lines)
    return parted and all(_LABEL.fullmatch(plain_digits(line)) for line in lines)


def is_htk(source: Source) -> bool:
    """Whether the first lines of a `.lab` file are a start and an end as whole numbers, and a label."""
    lines = [line.strip() for _, line in islice(_lines(source.text), _LOOKED_AT)]
    return source.suffix == ".lab" and all(_HTK.fullmatch(line) for line in lines)


def refuse_table(source: Source) -> None:
    """Refuse cells between tabs of which some are times, and nobody knows of what or in which unit.

    Raises:
        InputError: it is such a table.
    """
    lines = [line.strip() for _, line in islice(_lines(source.text), _LOOKED_AT)]
    if all(_is_table_line(line) for line in lines):
        raise InputError(
            f"{source.path}: expected a start and an end in seconds, or a header that names the columns, found cells"
            f" such as {' '.join(lines[0].split())[:40]!r}"
        )


def _is_table_line(line: str) -> bool:
    cells = line.split("\t")
    whole = len(cells) > 2 and _HTK.fullmatch(line) is not None
    return whole or (len(cells) > 1 and any(_TIME_CELL.fullmatch(cell.strip()) for cell in cells))


def label_rows(source: Source) -> list[Row]:
    """Labels of Audacity: a start and an end in seconds, and what is said, perhaps after a name and a colon.

    Marks of a moment, which end where they start, go on until the next one. Labels of silence are passed over.

    Raises:
        InputError: a line is not of this form, or a time cannot be read; the message names it.
    """
    return _labels(source, _LABEL)


def htk_rows(source: Source) -> list[Row]:
    """Labels of HTK (`.lab`): as Audacity's, in units of 100 ns.

    Raises:
        InputError: as for `label_rows`.
    """
    return _labels(source, _HTK, _HTK_UNITS)


def _labels(source: Source, form: re.Pattern[str], a_second: int = 1) -> list[Row]:
    found: list[tuple[int, float, float, str]] = []
    for number, line in _lines(source.text):
        if line.startswith(_SPECTRUM):
            continue
        label = form.fullmatch(plain_digits(line.strip()))
        if not label:
            raise InputError(
                f"{source.where(number)}: expected a start, an end and a label, found {line.strip()[:40]!r}"
            )
        start, end = (parse_time(label[part], source.where(number), a_second=a_second) for part in (1, 2))
        text = (line.strip().split(maxsplit=2)[2:] or [""])[0].strip()
        if not text or not is_silence(text):
            found.append((number, start, end, text))
    moments = all(start == end for _, start, end, _ in found)
    names = Names(text for *_, text in found)
    rows = []
    for number, start, end, text in found:
        marked = _LABEL_SPEAKER.fullmatch(text)
        said = Said(known_name(marked[1]), marked[2]) if marked else names.split(text)
        speaker, words = (said.speaker, said.text) if said else (None, text)
        rows.append(Row(f"line {number}", words, speaker, start, None if moments else end))
    return with_ends(rows)
