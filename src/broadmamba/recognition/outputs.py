"""Predictions as files: one in a chosen format, or a folder with all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from broadmamba import storage
from broadmamba.data.conversation import near
from broadmamba.errors import InputError
from broadmamba.recognition.captions import webvtt_text
from broadmamba.recognition.prediction import ConversationPrediction
from broadmamba.recognition.report import report_html
from broadmamba.recognition.tiers import eaf_text, textgrid_text
from broadmamba.recognition.writers import csv_text, jsonl_text, table_text
from broadmamba.storage import is_stream, json_text, utf8, write_text


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is written with a prediction, and how.

    Attributes:
        media: the recording, as seen from the file.
        source: what was read, the recording or a transcript, as seen from the file.
        caption_speakers: captions say in words who speaks.
        excel: CSV as Excel opens it.
    """

    media: Path | None = None
    source: str | None = None
    caption_speakers: bool = False
    excel: bool = False


Writer = Callable[[ConversationPrediction, Setting], str]
"""From a prediction to a file's text."""

FORMATS: Mapping[str, Writer] = {
    "table": lambda prediction, setting: table_text(prediction),
    "jsonl": lambda prediction, setting: jsonl_text(prediction, setting.source),
    "csv": lambda prediction, setting: csv_text(prediction, setting.source, excel=setting.excel),
    "vtt": lambda prediction, setting: webvtt_text(prediction, speakers=setting.caption_speakers),
    "eaf": lambda prediction, setting: eaf_text(prediction, setting.media),
    "textgrid": lambda prediction, setting: textgrid_text(prediction),
    "html": lambda prediction, setting: report_html(
        prediction,
        f"./{setting.media.as_posix()}" if setting.media else None,  # relative, even one that is named `C:\\a.mp4`
    ),
}
"""Format name to writer; the names are also the suffixes of files, except for `table`."""

_NEED_TIMES = ("vtt", "eaf", "textgrid")
_MARKS = {
    "table": "source: {}\n",
    "vtt": "\nNOTE source: {}\n",
    "eaf": "<!-- source: {} -->\n",
    "textgrid": "! source: {}\n",
    "html": "<!-- source: {} -->\n",
}
"""How a file ends that was made from a source, quoted as in a URL; JSONL and CSV have it in each row."""

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
        folder = os.path.isdir(out)  # noqa: PTH112 - pathlib's raises for a long name, which is told where it is written
        return None if folder or not suffix else _known("table" if suffix == "txt" else suffix)
    return _known(wanted.lower())


def render(prediction: ConversationPrediction, format: str, setting: Setting = Setting()) -> str:
    """The prediction as text in one of `FORMATS`.

    Raises:
        InputError: the format is unknown, or needs times where the conversation has none.
    """
    text = FORMATS[_known(format)](prediction, setting)
    if setting.source is None or format not in _MARKS:
        return text
    return text + _MARKS[format].format(_quoted(setting.source))


def output_files(out: Path, format: str | None) -> list[Path]:
    """The files that are written: one, or with the format None all of a folder."""
    return [out] if format is not None else [out / name for name in _FOLDER.values()]


def refuse_replacing_others(out: Path, format: str | None, source: Path | None) -> None:
    """Refuse to replace what stands where the outputs will, unless it was made from the same source.

    Args:
        out: file or folder that is to be written.
        format: of the one file; None for a folder.
        source: the recording or transcript that is read; None where it is no file.

    Raises:
        InputError: something else stands there.
    """
    formats = _FOLDER if format is None else {format: out.name}
    for kind, file in zip(formats, output_files(out, format), strict=True):
        if file.is_file() and not is_stream(file) and not _was_made_from(source, file, kind):
            raise InputError(
                f"{file}: stands there already and was not made from {source or 'this conversation'}; choose another "
                "name, or replace it by --overwrite (overwrite=True in Python)"
            )


def write_outputs(
    prediction: ConversationPrediction,
    out: Path,
    format: str | None,
    source: Path | None,
    setting: Setting = Setting(),
    *,
    is_recording: bool = False,
) -> list[Path]:
    """Write one file, or all formats into a folder, each file whole or not at all.

    In a folder, formats that need times are left out where the conversation has none; what an earlier run wrote in them
    is removed.

    Args:
        prediction: what was recognised.
        out: the file or the folder, made where it does not exist.
        format: of the one file; None for a folder.
        source: what was read, None where it is no file; the outputs refer to it by its path from where they stand.
        setting: how; where recording and source are is found here.
        is_recording: the source is a recording, which report and ELAN file play.

    Returns:
        The files.

    Raises:
        InputError: something cannot be written, or the format needs times where the conversation has none.
    """
    folder = out if format is None else out.parent
    setting = replace(
        setting,
        media=_as_seen_from(folder, source) if is_recording and source else None,
        source=source_as_seen_from(folder, source),
    )
    timed = any(item.utterance.start is not None for item in prediction)
    texts: dict[Path, str | None] = {}
    for kind, file in zip(_FOLDER if format is None else [format], output_files(out, format), strict=True):
        wanted = timed or format is not None or kind not in _NEED_TIMES
        texts[file] = render(prediction, kind, setting) if wanted else None
    for file, text in texts.items():
        if text is not None:
            write_text(file, text)
        elif file.is_file():
            file.unlink()
    return [file for file, text in texts.items() if text is not None]


def _was_made_from(source: Path | None, file: Path, format: str) -> bool:
    """Whether a file is ours and ends as every file of this format does that was made from the source."""
    seen = source_as_seen_from(file.parent, source)
    if seen is None:
        return False
    if format == "jsonl":
        ending = f'"source": {json_text(seen)}}}\n'
    elif format == "csv":
        ending = f",{storage.csv_text([seen], [])}"
    else:
        ending = _MARKS[format].format(_quoted(seen))
    with suppress(OSError), file.open("rb") as content:
        content.seek(max(0, content.seek(0, os.SEEK_END) - len(utf8(ending)) - 2))
        return content.read().replace(b"\r\n", b"\n").endswith(utf8(ending))
    return False


def _quoted(source: str) -> str:
    return quote(os.fsencode(source)).replace("--", "-%2D")  # two would end a comment


def _known(format: str) -> str:
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}; known are {', '.join(FORMATS)}{near(format, list(FORMATS))}")
    return format


def source_as_seen_from(folder: Path, source: Path | None) -> str | None:
    """The path of a source relative to a folder; None of a pipe, and where there is none, as on another drive."""
    seen = None if source is None or is_stream(source) or str(source) == "-" else _as_seen_from(folder, source)
    return seen.as_posix() if seen else None


def _as_seen_from(folder: Path, file: Path) -> Path | None:
    """Where a file lies relative to a folder; None where that cannot be said, as on another drive."""
    try:
        return Path(os.path.relpath(file.resolve(), folder.resolve()))
    except ValueError:
        return None
