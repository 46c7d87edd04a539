"""Whether a file is a recording or a transcript."""

from __future__ import annotations

from pathlib import Path

from broadmamba.media.container import format_of

_TRANSCRIPTS = ("csv", "tsv", "jsonl", "ndjson", "json", "srt", "vtt", "txt", "textgrid", "eaf", "ctm", "rttm")
_RECORDINGS = (
    *("mp4", "m4v", "mov", "m4a", "mkv", "webm", "avi", "ts", "mts", "m2ts"),
    *("wav", "flac", "mp3", "ogg", "oga", "ogv", "opus", "aac"),
)


def is_recording(path: Path) -> bool:
    """By its name where that says so, else by its content; what cannot be read, or only once as a pipe, is none."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix in (*_TRANSCRIPTS, *_RECORDINGS):
        return suffix in _RECORDINGS
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return format_of(file) is not None
    except OSError:
        return False
