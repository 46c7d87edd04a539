"""Predictions out: a table for people, JSONL and CSV for programs; each writer gives text."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from broadmamba import storage
from broadmamba.recognition.palette import colour_of
from broadmamba.recognition.prediction import ConversationPrediction, UtterancePrediction

_DECIMALS = 6  # float32 holds no more
_LONGEST_TEXT = 300  # characters of an utterance in the table
_PLAIN_WIDTH = 100  # of a table in a file, in characters

# a terminal must not obey what a transcript says: control characters and reversals of direction
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\s]+")


def jsonl_text(prediction: ConversationPrediction, source: str | None = None) -> str:
    """One JSON object an utterance; probabilities and weights are rounded to six decimals.

    Args:
        prediction: what was recognised.
        source: file that it was recognised in, as seen from where the text will stand.
    """
    return storage.jsonl_text(_record(prediction, item, source) for item in prediction)


def csv_text(prediction: ConversationPrediction, source: str | None = None, *, excel: bool = False) -> str:
    """A row an utterance, with columns `p_<label>` and `w_<modality>`; present modalities are joined by `+`.

    Text that a spreadsheet would take for a formula gets an apostrophe before it; all line breaks become
    newlines.

    Args:
        prediction: what was recognised.
        source: file that it was recognised in, as seen from where the text will stand.
        excel: as for `storage.csv_text`.
    """
    labels = _keys(item.probabilities for item in prediction)
    modalities = _keys(item.modality_weights for item in prediction)
    fixed = ("conversation", "utterance", "speaker", "start", "end", "text", "label", "probability")
    header = (*fixed, *(f"p_{label}" for label in labels), *(f"w_{name}" for name in modalities))
    rows = (
        [
            *(record[column] for column in fixed),
            *(record["probabilities"].get(label) for label in labels),
            *(record["modality_weights"].get(name) for name in modalities),
            "+".join(record["present"]),
            record["model"],
            record["source"],
        ]
        for record in (_record(prediction, item, source) for item in prediction)
    )
    return storage.csv_text([*header, "present", "model", "source"], rows, excel=excel)


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
    modalities = _keys(item.modality_weights for item in prediction)
    speakers = any(item.utterance.speaker is not None for item in prediction)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    if speakers:
        table.add_column("speaker", max_width=16, overflow="fold")
    table.add_column("said", min_width=10, overflow="fold")
    table.add_column("emotion", no_wrap=True)
    table.add_column("prob.", justify="right", no_wrap=True)
    for name in modalities:
        table.add_column(name, justify="right", no_wrap=True)
    for item in prediction:
        cells = [Text(_shown(item.utterance.speaker or "–"))] if speakers else []
        table.add_row(
            *cells,
            Text(_shown(item.utterance.text) or "–"),
            Text(_shown(item.label), style=colour_of(item.label) or ""),
            _per_cent(item.probability),
            *(_per_cent(item.modality_weights.get(name) if name in item.present else None) for name in modalities),
        )
    count = f"{len(prediction)} utterance{'' if len(prediction) == 1 else 's'}"
    console.print(Text(f"{_shown(prediction.conversation)} · {count} · {_shown(prediction.model)}"))
    console.print(table)


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
    line = _UNSAFE.sub(" ", text).strip()
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1].rstrip() + "…"


def _per_cent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
