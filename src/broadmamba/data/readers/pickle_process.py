"""Opening a pickle without trusting it: in a child process with an allow-list and limits, as plain data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.locks import temporary_folder

_MIB = 1 << 20
_CHILD = Path(__file__).with_name("_pickle_child.py")

Scalar = str | int | float


@dataclass(frozen=True, slots=True)
class Limits:
    """What the child process may use.

    Attributes:
        memory: bytes of address space, beyond what the interpreter has at its start.
        output: bytes it may write to one file.
        cpu_seconds: of computing; it may last twice that by the clock, and 10 s more.
    """

    memory: int
    output: int
    cpu_seconds: int

    @classmethod
    def for_file(cls, size: int) -> Limits:
        """Limits that a pickle of arrays or lists of this many bytes stays far below.

        Memory is 1 GiB and four times the file: arrays are held as the file's bytes and one conversation at a
        time as float32; small integers and short texts in lists take up to 25 times their bytes, so small
        files have the floor. Output is 64 MiB and four times the file, time 30 s and 1 s for every 10 MiB.
        """
        return cls(1024 * _MIB + 4 * size, 64 * _MIB + 4 * size, 30 + size // (10 * _MIB))


@dataclass(frozen=True, slots=True)
class Part:
    """One member of the tuple in a pickle.

    Attributes:
        kind: `scalars` or `vectors` (by key, one item an utterance), `ids` (a list of keys), or `other`.
        scalars: key → items.
        vectors: key → (items, width), float32.
        ids: the keys.
    """

    kind: str
    scalars: dict[Scalar, list[Scalar]]
    vectors: dict[Scalar, NDArray[np.float32]]
    ids: list[Scalar]


def open_pickle(path: Path, limits: Limits | None = None) -> list[Part]:
    """Open a pickle of a tuple or list, in a child process.

    Args:
        path: the pickle.
        limits: of the child; `Limits.for_file` if not given.

    Raises:
        InputError: the file is missing, damaged, refers to anything but plain data, or exceeds the limits.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: expected a pickle file, found a folder" if path.is_dir() else f"{path}: there is no such file"
        )
    size = path.stat().st_size
    if not size:
        raise InputError(f"{path}: the file is empty")
    limits = limits or Limits.for_file(size)
    with temporary_folder() as folder:
        _run_child(path, folder, limits)
        return _read_parts(path, folder, limits)


def _run_child(path: Path, folder: Path, limits: Limits) -> None:
    packages = Path(np.__file__).parents[1]
    numbers = (limits.memory, limits.output, limits.cpu_seconds)
    arguments = (packages, path.absolute(), folder, *numbers)
    command = [sys.executable, "-I", str(_CHILD), *map(str, arguments)]
    refused = f"{path}: the pickle is refused"
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=10 + 2 * limits.cpu_seconds,
            cwd=folder,
            env={
                **os.environ,
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
            },  # threads take address space
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{refused}: it took longer than its size allows") from None
    if ended.returncode == -signal.SIGXCPU:
        raise InputError(f"{refused}: it took more time than its {path.stat().st_size} bytes allow")
    if ended.returncode:
        lines = ended.stderr.decode("utf-8", errors="replace").strip().splitlines()
        reason = lines[-1][:300] if lines and ended.returncode > 0 else "opening it crashed"
        raise InputError(f"{refused}: {reason}")


def _read_parts(path: Path, folder: Path, limits: Limits) -> list[Part]:
    """Read what the child wrote, believing nothing of it that is not checked."""
    try:
        described = json.loads((folder / "parts.json").read_bytes())
        rows = np.fromfile(folder / "rows.bin", dtype=np.float32)
        return [_read_part(part, rows) for part in described]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: the pickle is refused: what it holds is inconsistent ({error})") from None


def _read_part(part: dict[str, Any], rows: NDArray[np.float32]) -> Part:
    kind = part["kind"]
    scalars: dict[Scalar, list[Scalar]] = {}
    vectors: dict[Scalar, NDArray[np.float32]] = {}
    if kind == "scalars":
        scalars = dict(zip(part["keys"], part["items"], strict=True))
    elif kind == "vectors":
        start, width = int(part["start"]) // rows.itemsize, int(part["width"])
        for key, length in zip(part["keys"], part["lengths"], strict=True):
            vectors[key] = rows[start : start + length * width].reshape(length, width)
            start += length * width
    return Part(kind, scalars, vectors, part["ids"] if kind == "ids" else [])
