"""Writing and reading files so that a kill or a bad disk never leaves half a result.

Everything that broadmamba writes goes through here: a temporary file beside the target, `fsync`, then
`os.replace`, so that a reader sees the old content or the new one and nothing between.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.locks import hold, temporary_beside

_FORMULA = tuple("=+-@")
_BEFORE_FORMULA = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2060\ufeff]*")  # what a spreadsheet passes over
_HALVES = re.compile(r"[\ud800-\udfff]")  # of characters, which UTF-8 cannot hold
_EXCEL_CELL = 32_767  # characters
_OPEN_FILES = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


@contextmanager
def atomic_write(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a binary file that takes its name only when the block ends without an error.

    A symbolic link is followed: what it points to is written. A device, a pipe, and `/dev/stdout` are written straight.

    Args:
        path: where the content shall stand; its folder is made if need be.

    Yields:
        A writable binary file.

    Raises:
        InputError: the file cannot be written: its folder is a file, the disk is full, and the like.
    """
    temporary: Path | None = None
    try:
        if is_stream(path):
            with Path(path).open("ab") as file:  # appended, since `/dev/stdout` may be somebody's log
                yield file
            return
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(target)
        with temporary.open("wb") as file:
            hold(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def is_stream(path: Path | str) -> bool:
    """Whether what is written there goes elsewhere: a device, a pipe, or an open file by its number or name."""
    path = Path(path)
    with suppress(OSError):
        mode = path.stat().st_mode
        return not stat.S_ISDIR(mode) and (not stat.S_ISREG(mode) or path.absolute().as_posix().startswith(_OPEN_FILES))
    return False


def check_writable(path: Path) -> None:
    """Refuse a file or folder that cannot be written, before the work for it is done.

    Args:
        path: the file or folder; neither it nor the folders above it need be there yet.

    Raises:
        InputError: it lies in a file, or in a folder that nothing may be written into, or its name is too long or has
            a NUL.
    """
    try:
        if is_stream(path):
            return
        real = Path(os.path.realpath(path))
        with suppress(FileNotFoundError):
            real.lstat()  # tells of a file above it and of names that are too long
        there = next(place for place in real.parents if place.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written ({getattr(error, 'strerror', None) or error})") from None


def refuse_replacing(outputs: Iterable[Path], inputs: Iterable[Path | str | None]) -> None:
    """Refuse to write where something is read: over an input, or inside a folder that is one.

    The same place is found however it is spelt: through links, `..`, or letters of another case where the file system
    does not tell them apart.

    Args:
        outputs: files and folders that are to be written; they need not be there yet.
        inputs: files and folders that are read; what is None or not there is passed over.

    Raises:
        InputError: an output is an input or lies inside one.
    """
    read = [(str(path), found) for path in inputs if path is not None and (found := _identity(path)) is not None]
    for output in outputs:
        real = Path(os.path.realpath(output))
        for place in (real, *real.parents):
            there = _identity(place)
            for name, found in read if there is not None else ():
                if there == found and place == real:
                    raise InputError(f"{output}: is read here ({name}) and would be replaced; choose another output")
                if there == found:
                    raise InputError(f"{output}: lies inside {name}, which is read here; choose another output")


def _identity(path: Path | str) -> tuple[int, int] | None:
    try:
        state = Path(path).stat()
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_write(path) as file:
        file.write(utf8(text))


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write bytes atomically."""
    with atomic_write(path) as file:
        file.write(content)


def utf8(text: str) -> bytes:
    """The text as UTF-8, with a question mark for each half of a character."""
    return text.encode("utf-8", "replace")


def write_json(path: Path | str, value: Any) -> None:
    """Write a value as indented JSON, atomically; NaN is refused, since JSON has none."""
    write_text(path, json_text(value, indent=2) + "\n")


def write_jsonl(path: Path | str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    write_text(path, jsonl_text(rows))


def jsonl_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """One JSON object a line."""
    return "".join(json_text(row) + "\n" for row in rows)


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON with characters as they are, but for halves, which are escaped; NaN is refused.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return text if text.isascii() else _HALVES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]], *, excel: bool = False) -> str:
    """Rows as CSV text with a header, lines ending in a plain newline.

    Text that a spreadsheet would take for a formula gets an apostrophe before it; all line breaks become newlines,
    and NUL, at which many readers stop, becomes U+FFFD.

    Args:
        header: names of the columns.
        rows: their cells.
        excel: what Excel opens by a double click: a byte-order mark, lines that end in CR LF, and no cell that is
            longer than the 32 767 characters that it holds.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n" if excel else "\n")
    longest = _EXCEL_CELL if excel else None
    writer.writerow(_cell(name)[:longest] for name in header)
    writer.writerows([_cell(value)[:longest] if isinstance(value, str) else value for value in row] for row in rows)
    return ("\ufeff" if excel else "") + buffer.getvalue()


def _cell(text: str) -> str:
    # a lone carriage return would break the row: csv quotes it only from Python 3.13 on
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    return f"'{text}" if _is_formula(text) else text


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet would take a text for a formula, or might after dropping what stands before it.

    Some take full-width signs, such as `＝`, for plain ones.
    """
    if text.startswith(("\t", "\n", "\ufffd")):
        return True
    begin = _BEFORE_FORMULA.match(text).end()  # type: ignore[union-attr]  # matches anything
    return unicodedata.normalize("NFKC", text[begin : begin + 1]).startswith(_FORMULA)


def read_json(path: Path | str, most: int | None = None) -> Any:
    """Read a JSON file.

    Args:
        path: of the file.
        most: bytes that it may have, for a file that others made.

    Raises:
        InputError: the file is missing, empty, too large, not UTF-8 or not JSON.
    """
    path = Path(path)
    if most is not None and path.is_file() and (size := path.stat().st_size) > most:
        raise InputError(f"{path}: the file has {size} bytes, expected at most {most}")
    text = read_text(path)
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, found something else ({error})") from None


def read_text(path: Path | str) -> str:
    """Read a non-empty UTF-8 file (a byte-order mark is dropped).

    Raises:
        InputError: the file is missing, a folder, empty, or not UTF-8 text.
    """
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8 text, found other bytes at position {error.start}") from None
    if "\x00" in text:
        raise InputError(f"{path}: expected text, found binary content (a NUL byte at {text.index(chr(0))})")
    return text


def read_bytes(path: Path | str) -> bytes:
    """Read a non-empty file whole.

    Raises:
        InputError: the file is missing, a folder, unreadable or empty, or a pipe or device, which may never end.
    """
    path = Path(path)
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():
            raise InputError(f"{path}: expected a file, found a pipe or a device")
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected a file, found a folder") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not content:
        raise InputError(f"{path}: the file is empty")
    return content


def read_jsonl(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read one JSON object a line; blank lines are passed over.

    Yields:
        The line number (from 1) and the object.

    Raises:
        InputError: a line is not a JSON object; the message names the line.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = _DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: expected a JSON object, found {line[:40]!r} ({error})") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}")
        yield number, row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def sha256(path: Path | str) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def save_arrays(path: Path | str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write NumPy arrays as safetensors, atomically.

    safetensors writes the buffer of a non-contiguous array in the wrong order, so each is made contiguous first.
    """
    from safetensors.numpy import save

    with atomic_write(path) as file:
        file.write(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}

_LONGEST_HEADER = 2**24
"""Bytes: more than the list of any real model's tensors has; a longer one takes gigabytes to be read."""


def map_arrays(path: Path | str) -> dict[str, NDArray[Any]]:
    """Open the arrays of a safetensors file without reading them: they are mapped into memory, read-only.

    Raises:
        InputError: the file is missing, truncated or not safetensors.
    """
    path = Path(path)
    header, start = _tensor_header(path)
    for name, entry in header.items():
        if entry["dtype"] not in _DTYPES:
            raise InputError(f"{path}: tensor {name!r} is {entry['dtype']}, expected one of {', '.join(_DTYPES)}")
    content = np.memmap(path, dtype=np.uint8, mode="r")  # one for all: a system allows a process some ten thousand
    arrays: dict[str, NDArray[Any]] = {}
    try:
        for name, entry in sorted(header.items()):
            first, last = entry["data_offsets"]
            values = content[start + first : start + last].view(_DTYPES[entry["dtype"]])
            arrays[name] = values.reshape(tuple(entry["shape"]))
    except (ValueError, TypeError) as error:  # such as no rows of more columns than can be counted
        raise InputError(f"{path}: expected a whole safetensors file, found a damaged one ({error})") from None
    return arrays


def tensor_sizes(path: Path | str) -> dict[str, int]:
    """How many numbers each tensor of a safetensors file has, of whichever type.

    Raises:
        InputError: the file is missing, truncated or not safetensors.
    """
    header, _ = _tensor_header(Path(path))
    return {name: math.prod(entry["shape"]) for name, entry in header.items()}


def _tensor_header(path: Path) -> tuple[dict[str, Any], int]:
    """The entries of a safetensors file's tensors, and where in the file their content starts."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _LONGEST_HEADER and length <= path.stat().st_size:
                raise InputError(f"{path}: its list of tensors has {length} bytes, expected at most {_LONGEST_HEADER}")
            with safe_open(path, framework="numpy"):  # checks the header against the file's length
                header = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: expected a whole safetensors file, found a damaged one ({error})") from None
    header.pop("__metadata__", None)
    return header, 8 + length
