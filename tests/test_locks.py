"""Folders that one process holds at a time, and what killed processes leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import broadmamba
from broadmamba import locks
from broadmamba.errors import InputError

SOURCE = Path(broadmamba.__file__).parents[1]

HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from broadmamba.locks import exclusive
with exclusive(sys.argv[2], "counts"):
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""


def hold(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """A process that holds the folder for a while, or until it is killed."""
    command = [sys.executable, "-c", HOLDER, str(SOURCE), str(folder), str(seconds)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_folder_that_another_process_holds_is_refused_until_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    with hold(folder, 60) as child:
        told = "another process counts at the moment; try again when it has ended"
        with pytest.raises(InputError, match=told), locks.exclusive(folder, "counts"):
            pass
        child.kill()
        child.wait()
    assert (folder / ".lock").exists()
    with locks.exclusive(folder, "counts"):  # what a kill leaves holds nobody up
        (folder / "content").touch()
    assert [path.name for path in folder.iterdir()] == ["content"]


def test_a_folder_that_is_held_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    with hold(tmp_path, 0.5) as child, locks.exclusive(tmp_path, "counts", wait=20):
        assert child.wait() == 0
    assert not list(tmp_path.iterdir())


COUNTER = """
import sys
sys.path.insert(0, sys.argv[1])
from broadmamba.locks import exclusive
from pathlib import Path
number = Path(sys.argv[2]) / "number"
for _ in range(40):
    with exclusive(sys.argv[2], "counts", wait=60):
        number.write_text(str(int(number.read_text()) + 1))
"""


def test_four_processes_that_take_turns_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    command = [sys.executable, "-c", COUNTER, str(SOURCE), str(tmp_path)]
    children = [subprocess.Popen(command) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    assert (tmp_path / "number").read_text() == "160"
    assert [path.name for path in tmp_path.iterdir()] == ["number"]


def test_threads_hold_a_folder_alone_too(tmp_path: Path) -> None:
    def refused() -> str:
        with pytest.raises(InputError) as caught, locks.exclusive(tmp_path, "counts"):
            pass
        return str(caught.value)

    with ThreadPoolExecutor() as pool, locks.exclusive(tmp_path, "counts"):
        assert "another process counts" in pool.submit(refused).result()
    with locks.exclusive(tmp_path, "counts"):
        pass


def test_a_folder_made_for_nothing_is_gone_again(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locks.exclusive(tmp_path / "new", "counts"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_replaced_while_it_was_held_keeps_the_lock_of_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with locks.exclusive(folder, "replaces it"):
        folder.rename(tmp_path / "old")
        folder.mkdir()
        (folder / ".lock").touch()
    assert (folder / ".lock").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a folder that may not be written")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"), locks.exclusive(tmp_path, "counts"):
        pass


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="cannot be written"),
        locks.exclusive(tmp_path / "file", "counts"),
    ):
        pass


WRITES_FOR_LONG = """
import sys, time
sys.path.insert(0, sys.argv[1])
from broadmamba import locks, storage
with locks.temporary_folder(sys.argv[2]) as folder, storage.atomic_write(sys.argv[2] + "/value.json") as file:
    (folder / "part").write_text("work")
    file.write(b"half")
    file.flush()
    print("ready", flush=True)
    time.sleep(600)
"""


def write_for_long(folder: Path) -> subprocess.Popen[bytes]:
    """A process in the middle of writing a file and a temporary folder."""
    child = subprocess.Popen([sys.executable, "-c", WRITES_FOR_LONG, str(SOURCE), str(folder)], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    return child


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_what_a_killed_process_left_goes_and_what_a_living_one_holds_stays(tmp_path: Path) -> None:
    mine = [".notes.txt", "notes.12345-0123abcd.tmp", ".notes.tmp", "broadmamba-1.tmp", ".a.1-0123abcd.tmp.csv"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    (tmp_path / f".linked.{2**22 + 1}-0123abcd.tmp").symlink_to(tmp_path / ".notes.txt")
    before = set(tmp_path.iterdir())
    killed = write_for_long(tmp_path)
    left = set(tmp_path.iterdir()) - before
    assert len(left) == 2
    living = write_for_long(tmp_path)
    try:
        assert left <= set(tmp_path.iterdir())
        killed.kill()
        killed.communicate()
        held = set(tmp_path.iterdir()) - left - before
        locks.remove_leftovers(tmp_path)
        assert set(tmp_path.iterdir()) == before | held and len(held) == 2
    finally:
        living.kill()
        living.communicate()
    with locks.temporary_folder(tmp_path) as folder:
        assert set(tmp_path.iterdir()) == before | {folder}
    assert set(tmp_path.iterdir()) == before
    assert all((tmp_path / name).read_text() == "mine" for name in mine)


def test_a_leftover_whose_number_is_a_new_process_goes_after_a_minute(tmp_path: Path) -> None:
    left = tmp_path / f".x.json.{os.getpid()}-0123abcd.tmp"
    left.write_bytes(b"half")
    locks.remove_leftovers(tmp_path)
    assert left.exists()
    os.utime(left, (time.time() - 90, time.time() - 90))
    locks.remove_leftovers(tmp_path)
    assert not left.exists()
    locks.remove_leftovers(tmp_path / "nowhere")
