"""The process that opens a pickle: run by path, alone, under limits, with NumPy as its only package.

A pickle is a program. Here it may call only containers and stand-ins for NumPy's constructors; the stand-ins
make an array from bytes that are in the file and never allocate what the file merely claims. What comes out
is written as plain data: `parts.json`, and in `rows.bin` the float32 rows of all features one after another.

Arguments: NumPy's folder, the pickle, the folder to write to, and the limits in bytes (address space beyond
what the process has at its start, file size) and seconds (CPU).
"""

from __future__ import annotations

import collections
import json
import pickle
import re
import sys
from pathlib import Path
from typing import IO, Any

if __name__ == "__main__":
    sys.path.append(sys.argv[1])  # isolated mode leaves out folders such as the user's own packages

import numpy as np


class _RefusedError(Exception):
    """The pickle holds something that no feature pickle holds."""


class _Dtype:
    """Stands in for `numpy.dtype`: numbers, strings and objects only, no fields, no shapes."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        match = re.fullmatch(r"[<>|=]?([biufSUO]\d{0,6})", str(code))
        if match is None:
            raise _RefusedError(f"an array of the unusual type {str(code)[:40]!r}")
        self.code, self.order = match[1], "="

    def __setstate__(self, state: Any) -> None:
        order, special = state[1], state[2:5]
        if order not in ("<", ">", "|", "=") or special != (None, None, None):
            raise _RefusedError("an array of structured type")
        self.order = order

    def resolve(self) -> Any:
        return np.dtype(self.code if self.order == "|" else self.order + self.code)


class _Array:
    """Stands in for `numpy.ndarray`: its value is set only from as many bytes as its shape says."""

    def __init__(self, *_: Any) -> None:
        self.value: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if dtype.code.startswith("O"):
            self.value = content  # a list
        else:
            self.value = _from_bytes(content, dtype, shape, "F" if fortran else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _frombuffer(content: Any, dtype: Any, shape: Any, order: str) -> _Array:
    array = _Array()
    array.value = _from_bytes(content, dtype, shape, order)
    return array


def _scalar(dtype: Any, content: Any) -> Any:
    return _from_bytes(content, dtype, (), "C").item()


def _from_bytes(content: Any, dtype: _Dtype, shape: Any, order: str) -> Any:
    content = content.encode("latin-1") if isinstance(content, str) else content  # as Python 2 wrote it
    resolved = dtype.resolve()
    if 0 in shape or resolved.itemsize == 0:
        return np.zeros(0, dtype=np.float32)
    return np.frombuffer(content, dtype=resolved).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: str, encoding: str) -> bytes:
    """Stands in for `_codecs.encode`, by which old protocols write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise _RefusedError(f"a text in the encoding {encoding[:40]!r}")
    return text.encode("latin-1")


_CONTAINERS = {kind.__name__: kind for kind in (set, frozenset, list, dict, tuple, range, bytearray)}
_NUMPY = {
    "ndarray": _Array,
    "dtype": _Dtype,
    "multiarray._reconstruct": _reconstruct,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _frombuffer,
}
_ALLOWED: dict[str, Any] = {
    **{f"{module}.{name}": kind for module in ("builtins", "__builtin__") for name, kind in _CONTAINERS.items()},
    "__builtin__.xrange": range,
    "collections.OrderedDict": collections.OrderedDict,
    "collections.defaultdict": collections.defaultdict,
    "_codecs.encode": _encode,
    **{
        f"{package}.{name}": kind for package in ("numpy", "numpy.core", "numpy._core") for name, kind in _NUMPY.items()
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Only what is in the list above."""
        full = f"{module}.{name}"
        if full not in _ALLOWED:
            raise _RefusedError(f"a call of {full[:80]!r}, which is no plain data")
        return _ALLOWED[full]


def _plain(value: Any) -> Any:
    value = value.value if isinstance(value, _Array) else value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _describe(part: Any, rows: IO[bytes]) -> dict[str, Any]:
    """One part of the tuple as plain data; vectors go to the file of rows."""
    part = _plain(part)
    if isinstance(part, dict):
        values = [_plain(value) for value in part.values()]
        keys = [_scalar_or_refuse(key) for key in part]
        if any(not isinstance(value, list | tuple | np.ndarray) for value in values):
            return {"kind": "other"}
        first = next((_plain(item) for value in values for item in value), None)
        if isinstance(first, list | tuple | np.ndarray):
            return {"kind": "vectors", "keys": keys, **_write_rows(values, rows)}
        items = [[_scalar_or_refuse(item) for item in value] for value in values]
        return {"kind": "scalars", "keys": keys, "items": items}
    if isinstance(part, list | tuple | range | np.ndarray):
        return {"kind": "ids", "ids": [_scalar_or_refuse(item) for item in part]}
    if isinstance(part, set | frozenset):
        ids = [_scalar_or_refuse(item) for item in part]
        return {
            "kind": "ids",
            "ids": sorted(ids, key=lambda id: (isinstance(id, str), id)),
        }  # sets have no order
    return {"kind": "other"}


def _scalar_or_refuse(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else _plain(value)
    if not isinstance(value, str | int | float):
        raise _RefusedError(f"{type(value).__name__} where a name or a number is expected")
    return value


def _write_rows(values: list[Any], rows: IO[bytes]) -> dict[str, Any]:
    start, width, lengths = rows.tell(), 0, []
    for value in values:
        lengths.append(len(value))
        if len(value):
            if not isinstance(value, np.ndarray):
                value = [_plain(item) for item in value]
            block = np.asarray(value, dtype=np.float32)
            width = width or block.shape[-1]
            if block.ndim != 2 or block.shape[1] != width or not width:
                raise _RefusedError(f"rows of the shape {block.shape[1:]} beside rows of width {width}")
            block.tofile(rows)
    return {"start": start, "width": width, "lengths": lengths}


def _convert(source: Path, folder: Path) -> None:
    with source.open("rb") as file:
        content = _plain(_Unpickler(file, encoding="latin1").load())
    if not isinstance(content, list | tuple):
        raise _RefusedError(f"{type(content).__name__} at the top, expected a tuple or list of parts")
    with (folder / "rows.bin").open("wb") as rows, np.errstate(over="ignore"):
        parts = [_describe(part, rows) for part in content]
    (folder / "parts.json").write_text(json.dumps(parts), encoding="utf-8")


def _limit(memory: int, size: int, seconds: int) -> None:
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory += pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # SIGXCPU first, which the parent can name


def _main(source: str, folder: str, *limits: str) -> None:
    try:
        _limit(*map(int, limits))
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"its limits cannot be set on this system ({error})")
    try:
        _convert(Path(source), Path(folder))
    except _RefusedError as error:
        sys.exit(f"it holds {error}")
    except MemoryError:
        sys.exit("it asks for more memory than its size allows")
    except OSError as error:
        sys.exit(f"what it holds could not be written out ({error.strerror})")
    except Exception as error:  # a damaged or hostile pickle can raise anything
        sys.exit(f"it is damaged or no pickle ({type(error).__name__}: {str(error)[:120]})")


if __name__ == "__main__":
    _main(*sys.argv[2:])
