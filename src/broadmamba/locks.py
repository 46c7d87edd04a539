"""What one process holds alone: a folder that it works in, and a temporary file or folder until it is done with it.

All are locks of the operating system, which a kill releases, so that what a killed process left can be told from what
a living one still writes.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from broadmamba.errors import InputError

_TEMPORARY = re.compile(r"(?:\..*\.|broadmamba-)(\d{1,19})-[0-9a-f]{8}\.tmp", re.DOTALL)
_A_MINUTE, _A_DAY = 60, 86_400  # seconds

A_MOMENT = 60.0
"""Seconds to wait for another process whose work takes a moment, such as writing down what a folder holds."""


@contextmanager
def exclusive(folder: Path | str, doing: str, wait: float = 0.2) -> Iterator[None]:
    """Hold a folder alone among processes and threads; a second one waits for a while and is then refused.

    What is held is the file `.lock` in it, by a lock of the operating system that a kill releases: a `.lock` that is
    only left over holds nobody up. A thread that holds a folder must not ask for it again.

    Args:
        folder: what is held; it is made if need be, and removed again if nothing came into it.
        doing: what the holder does, for the message of whoever is refused, such as `adds a feature to it`.
        wait: seconds until a second one is refused.

    Raises:
        InputError: another process holds it, it cannot be written, or its file system knows no locks.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    file, fresh = folder / ".lock", True
    lock = FileLock(file, timeout=wait, fallback_to_soft=False)
    try:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():  # but a file, or a link to nothing
                raise
            fresh = False
        lock.acquire()
        held = file.stat()
    except Timeout:
        raise InputError(f"{folder}: another process {doing} at the moment; try again when it has ended") from None
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from None
    try:
        yield
    finally:
        with suppress(OSError):
            # removed while it is held; whoever waits for it sees that and makes a new one
            if os.path.samestat(held, file.stat()):  # another one if the whole folder was replaced meanwhile
                file.unlink()
            if fresh:
                folder.rmdir()
        lock.release()


@contextmanager
def temporary_folder(parent: Path | str | None = None) -> Iterator[Path]:
    """A folder that is removed when the block ends; those that killed processes left beside it go too.

    Args:
        parent: where it is made, None for the system's folder for temporary files.

    Raises:
        InputError: it cannot be made.
    """
    parent = Path(parent or tempfile.gettempdir())
    remove_leftovers(parent)
    folder = parent / f"broadmamba-{_process()}"
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from None
    holder = None
    with suppress(OSError):  # Windows opens no folders
        holder = os.open(folder, os.O_RDONLY)
        hold(holder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if holder is not None:
            os.close(holder)


def remove_leftovers(folder: Path | str) -> None:
    """Remove what processes that were killed while they wrote left in a folder; a living one's is never touched.

    Each temporary file and folder has the number of its process in its name, and the process holds it by a lock of the
    operating system. It is left over if nobody holds it, and its process has ended or a minute has gone by: the number
    may be a new process's.

    Args:
        folder: what is looked through, without its sub-folders; it need not be there.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _TEMPORARY.fullmatch(entry.name)
            if found and not entry.is_symlink() and _is_abandoned(Path(entry.path), int(found[1])):
                if entry.is_dir():
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with suppress(OSError):
                        Path(entry.path).unlink()


def temporary_beside(target: Path) -> Path:
    """A hidden name beside a file, for its content until that is whole."""
    return beside(target, _process())


def _process() -> str:
    return f"{os.getpid()}-{secrets.token_hex(4)}.tmp"


def beside(path: Path, ending: str) -> Path:
    """A hidden name beside a path, `.<name>.<ending>`, no longer than file systems allow."""
    name = path.name
    if len(os.fsencode(name)) > 200:
        name = f"{name[:40]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    return path.parent / f".{name}.{ending}"


def hold(descriptor: int) -> None:
    """Hold an open file until it is closed; where the file system knows no locks, nothing is held."""
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_abandoned(path: Path, process: int) -> bool:
    with suppress(OSError):
        age = time.time() - path.stat().st_mtime
        if sys.platform == "win32":  # which locks no folders; its files cannot be removed while they are open
            return age > _A_DAY
        import fcntl

        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
        return age > _A_MINUTE or not _is_running(process)
    return False


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
