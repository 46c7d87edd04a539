"""Predictions out: a table for people, JSONL and CSV for programs; each writer gives text."""

from __future__ import annotations

import html
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.style import Style

from broadmamba import storage
from broadmamba.recognition.palette import colour_of
from broadmamba.recognition.prediction import NOTICE, ConversationPrediction, UtterancePrediction
from broadmamba.terminal import printable

_DECIMALS = 6  # float32 holds no more
_LONGEST_TEXT = 300  # characters of an utterance in the table
_PLAIN_WIDTH = 100  # of a table in a file, in characters
_WIDEST_NAME, _NARROWEST_TEXT = 16, 10  # cells of a terminal


def jsonl_text(prediction: ConversationPrediction, source: str | None = None) -> str:
    """One JSON object an utterance; probabilities and weights are rounded to six decimals.

    Args:
        prediction: what was recognised.
        source: file that it was recognised in, as seen from where the text will stand.
    """
    return storage.jsonl_text(records(prediction, source))


def csv_text(prediction: ConversationPrediction, source: str | None = None, *, excel: bool = False) -> str:
    """A row an utterance, with columns `p_<label>` and `w_<modality>`; present modalities are joined by `+`.

    Text that a spreadsheet would take for a formula gets an apostrophe before it; all line breaks become
    newlines.

    Args:
        prediction: what was recognised.
        source: file that it was recognised in, as seen from where the text will stand.
        excel: as for `storage.csv_text`.
    """
    columns, rows = columns_and_rows(prediction, source)
    return storage.csv_text(columns, rows, excel=excel)


def columns_and_rows(
    prediction: ConversationPrediction, source: str | None = None
) -> tuple[list[str], Iterator[list[Any]]]:
    """The columns of the CSV, and a row of their values for each utterance; None where one is not known.

    Args:
        prediction: what was recognised.
        source: file that it was recognised in, as seen from where the rows will stand.
    """
    labels = _keys(item.probabilities for item in prediction)
    modalities = _keys(item.modality_weights for item in prediction)
    fixed = ("conversation", "utterance", "speaker", "start", "end", "text", "label", "probability")
    columns = [*fixed, *(f"p_{label}" for label in labels), *(f"w_{name}" for name in modalities)]
    rows = (
        [
            *(record[column] for column in fixed),
            *(record["probabilities"].get(label) for label in labels),
            *(record["modality_weights"].get(name) for name in modalities),
            "+".join(record["present"]),
            record["model"],
            record["source"],
        ]
        for record in records(prediction, source)
    )
    return [*columns, "present", "model", "source"], rows


def table_text(prediction: ConversationPrediction) -> str:
    """The table of `print_table` without colour, 100 characters wide."""
    file = io.StringIO()
    print_table(prediction, Console(file=file, width=_PLAIN_WIDTH, color_system=None, force_terminal=False))
    return "\n".join(line.rstrip() for line in file.getvalue().split("\n")).rstrip("\n") + "\n"


def print_table(prediction: ConversationPrediction, console: Console) -> None:
    """Print who said what with which emotion, how probable it is, and what each modality weighed.

    Args:
        prediction: to be printed.
        console: decides on width and colour; 80 characters are enough.
    """
    header, rows = _cells(prediction)
    said = header.index("said")
    widths = [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]
    widths[:said] = [min(width, _WIDEST_NAME) for width in widths[:said]]
    widths[said + 1] = min(widths[said + 1], _WIDEST_NAME)
    others = sum(widths) - widths[said] + len(widths)
    widths[said] = min(widths[said], max(console.width - others, _NARROWEST_TEXT))
    rule = ("-" if console.options.ascii_only else "─") * (sum(widths) + len(widths) - 1)
    styles = [Style.parse(colour_of(item.label) or "") for item in prediction]
    console.print(_Lines([Segment(f"{line}\n") for line in _folded(_title(prediction), console.width)]))
    console.print(_Lines([Segment("\n"), *_line(header, widths, said, Style(bold=True)), Segment(f"{rule}\n")]))
    console.print(
        _Lines([part for row, style in zip(rows, styles, strict=True) for part in _line(row, widths, said, style)])
    )


def table_html(prediction: ConversationPrediction) -> str:
    """The table as a piece of HTML, as notebooks show it."""
    header, rows = _cells(prediction)
    emotion = header.index("emotion")

    def line(cells: Sequence[str], kind: str, colour: str | None = None) -> str:
        marked = f' style="border-left: 0.5em solid {colour or "transparent"}"'
        parts = (
            f"<{kind}{marked if place == emotion else ''}>{html.escape(cell)}</{kind}>"
            for place, cell in enumerate(cells)
        )
        return f"<tr>{''.join(parts)}</tr>"

    body = (line(row, "td", colour_of(item.label)) for row, item in zip(rows, prediction, strict=True))
    return (
        f"<table><caption>{html.escape(_title(prediction))}</caption>"
        f"<thead>{line(header, 'th')}</thead><tbody>{''.join(body)}</tbody></table><p>{html.escape(NOTICE)}</p>"
    )


def _title(prediction: ConversationPrediction) -> str:
    count = f"{len(prediction)} utterance{'' if len(prediction) == 1 else 's'}"
    return f"{_shown(prediction.conversation)} · {count} · {_shown(prediction.model)}"


def _cells(prediction: ConversationPrediction) -> tuple[list[str], list[list[str]]]:
    """The header of a table for people, and a row for each utterance."""
    modalities = _keys(item.modality_weights for item in prediction)
    speakers = any(item.speaker is not None for item in prediction)
    header = [*(["speaker"] if speakers else []), "said", "emotion", "prob.", *modalities]
    rows = [
        [
            *([_shown(item.speaker or "–")] if speakers else []),
            _shown(item.text) or "–",
            _shown(item.label),
            _per_cent(item.probability),
            *(_per_cent(item.modality_weights.get(name) if name in item.present else None) for name in modalities),
        ]
        for item in prediction
    ]
    return header, rows


class _Lines:
    """Lines that are laid out already: rich's own tables take a millisecond a row."""

    def __init__(self, parts: Sequence[Segment]) -> None:
        self._parts = parts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        return self._parts


def _line(cells: Sequence[str], widths: Sequence[int], said: int, style: Style) -> Iterator[Segment]:
    """One row, of several lines where a cell is wider than its column; its emotion in a style."""
    columns = [_folded(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for texts in zip_longest(*columns, fillvalue=""):
        gaps = [" " * (width - cell_len(text)) for text, width in zip(texts, widths, strict=True)]
        padded = [text + gap for text, gap in zip(texts[: said + 2], gaps[: said + 2], strict=True)]
        numbers = [gap + text for text, gap in zip(texts[said + 2 :], gaps[said + 2 :], strict=True)]
        yield Segment(" ".join(padded[:-1]) + " ")
        yield Segment(padded[-1], style)
        yield Segment(" ".join(["", *numbers]) + "\n")


def _folded(text: str, width: int) -> list[str]:
    """The text in lines of at most so many cells of a terminal, broken at spaces where there are any."""
    if cell_len(text) <= width:
        return [text]
    lines, line = [], ""
    for word in text.split(" "):
        grown = f"{line} {word}" if line else word
        if cell_len(grown) <= width:
            line = grown
            continue
        if line:
            lines.append(line)
        *full, line = chop_cells(word, width)
        lines.extend(full)
    return [*lines, line]


def records(prediction: ConversationPrediction, source: str | None = None) -> Iterator[dict[str, Any]]:
    """The values of each line of the JSONL.

    Args:
        prediction: what was recognised.
        source: file that it was recognised in, as seen from where they will stand.
    """
    return (_record(prediction, item, source) for item in prediction)


def _record(prediction: ConversationPrediction, item: UtterancePrediction, source: str | None) -> dict[str, Any]:
    return {
        "conversation": prediction.conversation,
        "utterance": item.utterance.id,
        "speaker": item.utterance.speaker,
        "start": _finite(item.utterance.start),
        "end": _finite(item.utterance.end),
        "text": item.utterance.text,
        "label": item.label,
        "probability": round(item.probability, _DECIMALS),
        "probabilities": {label: round(value, _DECIMALS) for label, value in item.probabilities.items()},
        "modality_weights": {name: round(value, _DECIMALS) for name, value in item.modality_weights.items()},
        "present": list(item.present),
        "model": prediction.model,
        "source": source,
    }


def _finite(time: float | None) -> float | None:
    """JSON has no numbers that are not finite: such a time is not known."""
    return time if time is not None and math.isfinite(time) else None


def _keys(mappings: Iterable[Mapping[str, float]]) -> list[str]:
    """Keys of all mappings, in the order in which they first come."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _shown(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1].rstrip() + "…"


def _per_cent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
