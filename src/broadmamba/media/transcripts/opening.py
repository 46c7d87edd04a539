"""A transcript's bytes, read once and within bounds: out of a file, a pipe, or what is given to the command."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import BinaryIO

from broadmamba.errors import InputError

MOST_BYTES = 256 * 2**20
"""Of a transcript; no talk that people had fills more."""

_CHUNK = 2**20
_STANDARD_INPUT = Path("-")
_UNNAMED = "transcript"


def read_content(path: Path) -> bytes:
    """All bytes of a transcript. A pipe gives its bytes once, so this is called once a file.

    Args:
        path: of a file, a named pipe or a shell's `/dev/fd/63`; `-` is the standard input.

    Raises:
        InputError: there is no such file, it is a folder or a device, cannot be read, is empty or larger than 256 MiB.
    """
    try:
        if path == _STANDARD_INPUT:
            if sys.stdin is None:
                raise InputError("-: the standard input is closed")
            content = _bounded(path, sys.stdin.buffer)
        else:
            # told before it is opened: opening a device may do something
            if stat.S_ISBLK(mode := path.stat().st_mode) or (stat.S_ISCHR(mode) and not _is_terminal(path)):
                raise InputError(f"{path}: expected a file or a pipe, found a device")
            with path.open("rb") as file:
                content = _bounded(path, file)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected a file, found a folder") from None
    except (OSError, ValueError) as error:  # a ValueError is a path with a NUL
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not content:
        raise InputError(f"{path}: the file is empty")
    return content


def is_stream(path: Path) -> bool:
    """Whether a path is a pipe, a terminal or the standard input, whose name says nothing about its content."""
    return path == _STANDARD_INPUT or (path.exists() and not path.is_file() and not path.is_dir())


def name_of(path: Path) -> str:
    """What a conversation is called after its file: the file's name without suffix, if the file has one of its own."""
    unnamed = path == _STANDARD_INPUT or path.parts[:2] in (("/", "dev"), ("/", "proc"))
    # a file name may hold bytes that are no text; an id must be writable as UTF-8
    return _UNNAMED if unnamed else path.stem.encode("utf-8", "replace").decode()


def _is_terminal(path: Path) -> bool:
    with path.open("rb", buffering=0) as file:
        return file.isatty()


def _bounded(path: Path, file: BinaryIO) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := file.read(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > MOST_BYTES:
            raise InputError(f"{path}: expected a transcript of at most {MOST_BYTES >> 20} MiB, found more")
    return b"".join(chunks)
