"""Bytes become text: which encoding, and what is no text at all."""

from __future__ import annotations

import codecs
import logging
import re
from pathlib import Path

from broadmamba.errors import InputError
from broadmamba.media.transcripts.contents import binary_kind
from broadmamba.media.transcripts.encodings import guess, is_known, is_surely_utf8, mended, unmarked
from broadmamba.media.transcripts.opening import read_content

_log = logging.getLogger(__name__)

# white space and the escape sequences of a terminal's log are text
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_MOST_LINES = 2_000_000
_BINARY_PRAAT = b"ooBinaryFile"
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # begins as UTF-16's does, so it comes first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_lines(path: Path, encoding: str | None = None) -> str:
    """A file's text, whose lines end in a plain newline.

    Without a stated encoding, it is UTF-8, UTF-16 or UTF-32, Windows-1252 where it is plainly Western, or another one
    where that is sure; a notice says which it was. Damaged bytes of UTF-8 cost a character each, with a notice.

    Args:
        path: of the file.
        encoding: of the file, by a name that Python knows, such as `cp1251`; None finds out.

    Raises:
        InputError: the file cannot be read, is binary, is in an encoding that nobody can be sure of or not in the one
            stated, holds only white space, or is far larger than any transcript (256 MiB, two million lines).
    """
    if encoding is not None and not is_known(encoding):
        raise InputError(
            f"unknown encoding {encoding!r}; known are utf-8, utf-16, cp1251, gb18030, shift_jis and others"
        )
    content = read_content(path)
    if content.startswith(_BINARY_PRAAT):
        raise InputError(f"{path}: expected a TextGrid saved as a text file, found one of Praat's binary files")
    kind = binary_kind(content)
    if kind:
        raise InputError(f"{path}: expected text, found {kind}")
    text = _decode(path, content, encoding)
    control = _CONTROL.search(text)
    if control:
        raise InputError(
            f"{path}: expected text, found binary content (character {ord(control[0])} at {control.start()})"
        )
    # where files were joined, a mark may stand at the start of any line
    text = _LINE_BREAK.sub("\n", text).replace("\n\ufeff", "\n").removeprefix("\ufeff")
    if not text or text.isspace():
        raise InputError(f"{path}: expected at least one utterance, found only white space")
    if text.count("\n") > _MOST_LINES:
        raise InputError(f"{path}: expected a transcript of at most {_MOST_LINES} lines, found more")
    return text


def _decode(path: Path, content: bytes, stated: str | None) -> str:
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if stated is not None and codecs.lookup(stated).name != "utf-8":
        return _as_stated(path, content, stated)
    if marked in ("utf-16", "utf-32"):
        try:
            return content.decode(marked)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}: expected {marked.upper()} text, found other bytes at position {error.start}"
            ) from None
    found = unmarked(content) if stated is None else None
    if found:
        return _found(path, content, found)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start
    read = mended(content)
    if read is not None:
        text, damaged = read
        if damaged:
            line = len(_LINE_BREAK.findall(text[: damaged[0]])) + 1
            many = (
                f"{len(damaged)} characters are damaged and stand"
                if damaged[1:]
                else "a character is damaged and stands"
            )
            _log.warning("%s: %s as U+FFFD, the first in line %d", path, many, line)
        return text
    if stated is not None:
        raise InputError(f"{path}: expected text in {stated}, found other bytes at position {place}")
    if b"\x00" in content:
        raise InputError(f"{path}: expected UTF-8 text, found binary content (a NUL byte at {content.index(0)})")
    found, names = guess(content)
    if found:
        return _found(path, content, found)
    perhaps = f" (perhaps {' or '.join(names)})" if names else ""
    raise InputError(
        f"{path}: expected UTF-8 text, found other bytes at position {place}{perhaps}; say its encoding by --encoding"
    )


def _found(path: Path, content: bytes, encoding: str) -> str:
    _log.warning("%s: its text is no UTF-8 and was read as %s; if that is wrong, say its encoding", path, encoding)
    return content.decode(encoding)


def _as_stated(path: Path, content: bytes, encoding: str) -> str:
    if is_surely_utf8(content, encoding):
        raise InputError(f"{path}: expected text in {encoding}, found UTF-8")
    try:
        return content.decode(encoding)
    except (UnicodeError, ValueError) as error:
        place = getattr(error, "start", 0)
        raise InputError(f"{path}: expected text in {encoding}, found other bytes at position {place}") from None
