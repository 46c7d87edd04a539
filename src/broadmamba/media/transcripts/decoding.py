"""Bytes become text: which encoding, and what is no text at all."""

from __future__ import annotations

import re
from pathlib import Path

from broadmamba.errors import InputError
from broadmamba.media.transcripts.opening import read_content

# white space and the escape sequences of a terminal's log are text
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_MOST_ODD_BYTES = 0.3
_MOST_LINES = 2_000_000
_BINARY_PRAAT = b"ooBinaryFile"


def read_lines(path: Path) -> str:
    """A file's text, whose lines end in a plain newline.

    Args:
        path: UTF-8, UTF-16 with a byte-order mark or, where it is plainly text, Windows-1252.

    Raises:
        InputError: the file cannot be read, is binary, holds only white space, or is far larger than any
            transcript (256 MiB, two million lines).
    """
    content = read_content(path)
    if content.startswith(_BINARY_PRAAT):
        raise InputError(f"{path}: expected a TextGrid saved as a text file, found one of Praat's binary files")
    text = _decode(path, content)
    control = _CONTROL.search(text)
    if control:
        raise InputError(
            f"{path}: expected text, found binary content (character {ord(control[0])} at {control.start()})"
        )
    if not text or text.isspace():
        raise InputError(f"{path}: expected at least one utterance, found only white space")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.count("\n") > _MOST_LINES:
        raise InputError(f"{path}: expected a transcript of at most {_MOST_LINES} lines, found more")
    return text


def _decode(path: Path, content: bytes) -> str:
    utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        if not utf_16 and _is_western(content):
            return content.decode("cp1252")
        expected = "UTF-16" if utf_16 else "UTF-8"
        raise InputError(f"{path}: expected {expected} text, found other bytes at position {error.start}") from None


def _is_western(content: bytes) -> bool:
    """Whether bytes are old text: nearly all ASCII, with a few letters and quotation marks of Windows-1252."""
    odd = len(content) - len(content.translate(None, bytes(range(0x80, 0x100))))
    return odd <= _MOST_ODD_BYTES * len(content) and not any(byte in content for byte in b"\x81\x8d\x8f\x90\x9d")
