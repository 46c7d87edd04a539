"""Predictions as files: one in a chosen format, or a folder with all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from broadmamba.data.conversation import near
from broadmamba.errors import InputError
from broadmamba.recognition.captions import webvtt_text
from broadmamba.recognition.prediction import ConversationPrediction
from broadmamba.recognition.report import report_html
from broadmamba.recognition.tiers import eaf_text, textgrid_text
from broadmamba.recognition.writers import csv_text, jsonl_text, table_text
from broadmamba.storage import write_text

Writer = Callable[[ConversationPrediction, Path | None], str]
"""From a prediction, and where its recording lies as seen from the file, to the file's text."""

FORMATS: Mapping[str, Writer] = {
    "table": lambda prediction, media: table_text(prediction),
    "jsonl": lambda prediction, media: jsonl_text(prediction),
    "csv": lambda prediction, media: csv_text(prediction),
    "vtt": lambda prediction, media: webvtt_text(prediction),
    "eaf": eaf_text,
    "textgrid": lambda prediction, media: textgrid_text(prediction),
    "html": lambda prediction, media: report_html(prediction, media.as_posix() if media else None),
}
"""Format name to writer; the names are also the suffixes of files, except for `table`."""

_NEED_TIMES = ("vtt", "eaf", "textgrid")
_FOLDER = {
    "csv": "predictions.csv",
    "vtt": "captions.vtt",
    "eaf": "tiers.eaf",
    "textgrid": "tiers.TextGrid",
    "html": "report.html",
    "jsonl": "predictions.jsonl",  # comes last: where it is, all are
}


def choose_format(wanted: str | None, out: Path | None) -> str | None:
    """The format that was asked for, else the one that the output's name ends with.

    Args:
        wanted: a name of `FORMATS`, or None.
        out: file or folder to write, or None for standard output.

    Returns:
        The format of the one file; `table` where nothing is to be written; None where `out` is a folder for all.

    Raises:
        InputError: the format is unknown; the message lists those that are.
    """
    if wanted is None:
        if out is None:
            return "table"
        suffix = out.suffix.removeprefix(".").lower()
        return None if out.is_dir() or not suffix else _known("table" if suffix == "txt" else suffix)
    return _known(wanted.lower())


def render(prediction: ConversationPrediction, format: str, media: Path | None = None) -> str:
    """The prediction as text in one of `FORMATS`.

    Raises:
        InputError: the format is unknown, or needs times where the conversation has none.
    """
    return FORMATS[_known(format)](prediction, media)


def write_file(prediction: ConversationPrediction, out: Path, format: str, recording: Path | None = None) -> None:
    """Write one file, whole or not at all."""
    write_text(out, render(prediction, format, _as_seen_from(out.parent, recording)))


def write_folder(prediction: ConversationPrediction, out: Path, recording: Path | None = None) -> list[Path]:
    """Write all formats into a folder, each file whole or not at all.

    Formats that need times are left out where the conversation has none.

    Args:
        prediction: what was recognised.
        out: the folder, made where it does not exist.
        recording: what it was recognised in; report and ELAN file refer to it by its path from the folder.

    Returns:
        The files.

    Raises:
        InputError: the folder cannot be written.
    """
    timed = any(item.utterance.start is not None for item in prediction)
    media = _as_seen_from(out, recording)
    texts = {
        out / name: render(prediction, format, media)
        for format, name in _FOLDER.items()
        if timed or format not in _NEED_TIMES
    }
    for file, text in texts.items():
        write_text(file, text)
    return list(texts)


def _known(format: str) -> str:
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}; known are {', '.join(FORMATS)}{near(format, list(FORMATS))}")
    return format


def _as_seen_from(folder: Path, recording: Path | None) -> Path | None:
    """Where the recording lies relative to the folder; None where that cannot be said, as on another drive."""
    if recording is None:
        return None
    try:
        return Path(os.path.relpath(recording.resolve(), folder.resolve()))
    except ValueError:
        return None
