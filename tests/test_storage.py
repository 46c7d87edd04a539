"""Writing that a kill cannot break, arrays in any memory layout, and damaged files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import broadmamba
from broadmamba import storage
from broadmamba.errors import InputError

SOURCE = Path(broadmamba.__file__).parents[1]
WRITER = """
import sys
from itertools import count
sys.path.insert(0, sys.argv[1])
from broadmamba.storage import write_json
for number in count():
    write_json(sys.argv[2], {"number": number, "filling": [number] * 20000})
"""


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.041])
def test_a_kill_while_writing_leaves_a_whole_file(tmp_path: Path, delay: float) -> None:
    target = tmp_path / "value.json"
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(SOURCE), str(target)])
    try:
        deadline = time.monotonic() + 20
        while not target.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(delay)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    value = json.loads(target.read_text(encoding="utf-8"))
    assert value["filling"] == [value["number"]] * 20000


def test_an_error_while_writing_keeps_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    storage.write_text(target, "old")
    with pytest.raises(RuntimeError), storage.atomic_write(target) as file:
        file.write(b"half of the new")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from broadmamba.storage import exclusive
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
        with pytest.raises(InputError, match=told), storage.exclusive(folder, "counts"):
            pass
        child.kill()
        child.wait()
    assert (folder / ".lock").exists()
    with storage.exclusive(folder, "counts"):  # what a kill leaves holds nobody up
        (folder / "content").touch()
    assert [path.name for path in folder.iterdir()] == ["content"]


def test_a_folder_that_is_held_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    with hold(tmp_path, 0.5) as child, storage.exclusive(tmp_path, "counts", wait=20):
        assert child.wait() == 0
    assert not list(tmp_path.iterdir())


COUNTER = """
import sys
sys.path.insert(0, sys.argv[1])
from broadmamba.storage import exclusive
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
        with pytest.raises(InputError) as caught, storage.exclusive(tmp_path, "counts"):
            pass
        return str(caught.value)

    with ThreadPoolExecutor() as pool, storage.exclusive(tmp_path, "counts"):
        assert "another process counts" in pool.submit(refused).result()
    with storage.exclusive(tmp_path, "counts"):
        pass


def test_a_folder_made_for_nothing_is_gone_again(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), storage.exclusive(tmp_path / "new", "counts"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_replaced_while_it_was_held_keeps_the_lock_of_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with storage.exclusive(folder, "replaces it"):
        folder.rename(tmp_path / "old")
        folder.mkdir()
        (folder / ".lock").touch()
    assert (folder / ".lock").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a folder that may not be written")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be locked and written"), storage.exclusive(tmp_path, "counts"):
        pass


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="cannot be locked and written"),
        storage.exclusive(tmp_path / "file", "counts"),
    ):
        pass


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        storage.write_json(tmp_path / "x.json", float("nan"))
    assert not list(tmp_path.iterdir())


LAYOUTS = {
    "plain": lambda a: a,
    "transposed": lambda a: a.T,
    "fortran": np.asfortranarray,
    "reversed": lambda a: a[::-1],
    "strided": lambda a: a[:, ::2],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
}


@settings(max_examples=40, deadline=None)
@given(
    array=hnp.arrays(
        dtype=st.sampled_from(["float32", "float64", "float16", "int64", "int32", "uint8"]),
        shape=hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9),
    ),
    layout=st.sampled_from(sorted(LAYOUTS)),
)
def test_arrays_of_any_layout_come_back(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, layout: str
) -> None:
    path = tmp_path_factory.mktemp("arrays") / "x.safetensors"
    changed = LAYOUTS[layout](array)
    storage.save_arrays(path, {"first": np.ones(3, dtype=np.float32), "x": changed})
    np.testing.assert_array_equal(storage.map_arrays(path)["x"], changed)
    np.testing.assert_array_equal(storage.map_arrays(path)["first"], np.ones(3))


def test_mapped_arrays_are_read_only_and_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    storage.save_arrays(path, {"x": np.arange(12, dtype=np.float32).reshape(3, 4)})
    mapped = storage.map_arrays(path)["x"]
    assert isinstance(mapped, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0, 0] = 1


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 40, -1])
def test_a_truncated_array_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "x.safetensors"
    storage.save_arrays(path, {"x": np.zeros((5, 7), dtype=np.float32)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"x\.safetensors"):
        storage.map_arrays(path)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200))
def test_binary_junk_is_refused_with_the_library_s_own_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("junk") / "junk"
    path.write_bytes(b"\xff\x00" + content)
    for read in (storage.map_arrays, storage.read_json, lambda p: list(storage.read_jsonl(p))):
        with pytest.raises(InputError, match="junk"):
            read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "UTF-8"),
        (b"{}\x00", "binary"),
        (b"[1]", "line 1.*list"),
        (b'{"a": 1}\n{"a": \n', "line 2"),
        (b"[" * 100_000, "line 1"),
    ],
)
def test_lines_that_are_no_objects_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        list(storage.read_jsonl(path))


def test_missing_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        storage.read_text(tmp_path / "nothing")
    with pytest.raises(InputError, match="folder"):
        storage.read_text(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        storage.map_arrays(tmp_path / "nothing")


# --- what a kill leaves, and what is never replaced

WRITES_FOR_LONG = """
import sys, time
sys.path.insert(0, sys.argv[1])
from broadmamba import storage
with storage.temporary_folder(sys.argv[2]) as folder, storage.atomic_write(sys.argv[2] + "/value.json") as file:
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
        storage.remove_leftovers(tmp_path)
        assert set(tmp_path.iterdir()) == before | held and len(held) == 2
    finally:
        living.kill()
        living.communicate()
    with storage.temporary_folder(tmp_path) as folder:
        assert set(tmp_path.iterdir()) == before | {folder}
    assert set(tmp_path.iterdir()) == before
    assert all((tmp_path / name).read_text() == "mine" for name in mine)


def test_a_leftover_whose_number_is_a_new_process_goes_after_a_minute(tmp_path: Path) -> None:
    left = tmp_path / f".x.json.{os.getpid()}-0123abcd.tmp"
    left.write_bytes(b"half")
    storage.remove_leftovers(tmp_path)
    assert left.exists()
    os.utime(left, (time.time() - 90, time.time() - 90))
    storage.remove_leftovers(tmp_path)
    assert not left.exists()
    storage.remove_leftovers(tmp_path / "nowhere")


def test_a_link_is_followed_and_a_long_name_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("folder/file")
    storage.write_text(tmp_path / "link", "through")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "folder" / "file").read_text() == "through"
    for name in ("x" * 251 + ".csv", "é" * 125 + ".csv", "two\nlines.csv"):
        storage.write_text(tmp_path / name, "long")
        assert (tmp_path / name).read_text() == "long"
    with pytest.raises(InputError, match="cannot be written"):
        storage.write_text(tmp_path / ("x" * 300), "too long")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="cannot be written"):
        storage.write_text(tmp_path / "loop" / "file", "round and round")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_written_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    storage.write_text(pipe, "through\n")
    assert reader.communicate()[0] == b"through\n"
    assert storage.is_stream(pipe) and list(tmp_path.iterdir()) == [pipe]
    if Path("/dev/full").exists():
        with pytest.raises(InputError, match=r"/dev/full: cannot be written \(No space left on device\)"):
            storage.write_text("/dev/full", "x")
        assert storage.is_stream("/dev/full")


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs /dev/stdout")
def test_standard_output_by_its_name_may_be_somebodys_log(tmp_path: Path) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); from broadmamba.storage import write_text as w; "
    code += "w('/dev/stdout', 'more\\n')"
    with (tmp_path / "log").open("ab") as log:
        log.write(b"what stood there\n")
        log.flush()
        subprocess.run([sys.executable, "-c", code, str(SOURCE)], stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "what stood there\nmore\n"


def test_an_output_never_replaces_what_is_read(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.vtt").write_text("words")
    (tmp_path / "soft").symlink_to(corpus)
    (tmp_path / "soft.vtt").symlink_to(corpus / "a.vtt")
    os.link(corpus / "a.vtt", tmp_path / "hard.vtt")
    inputs = [corpus, corpus / "a.vtt", None, "minilm"]
    for output in (
        corpus, corpus / ".." / "corpus", tmp_path / "soft", corpus / "a.vtt", tmp_path / "soft.vtt",
        tmp_path / "hard.vtt", corpus / "new" / "file", tmp_path / "soft" / "new",
    ):  # fmt: skip
        with pytest.raises(InputError, match="read here"):
            storage.refuse_replacing([tmp_path / "fine", output], inputs)
    storage.refuse_replacing([tmp_path, tmp_path / "corpus2", tmp_path / "new" / "corpus", Path("minilm")], inputs)
    storage.refuse_replacing([corpus, corpus / "b.vtt"], [corpus / "a.vtt"])


def write_header(path: Path, header: bytes, content: bytes = b"") -> Path:
    """A file of the published safetensors layout: the header's length, the header, the content."""
    path.write_bytes(len(header).to_bytes(8, "little") + header + content)
    return path


def entry(dtype: str, shape: list[int], first: int, last: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)},  # overlap
        {"a": entry("F32", [-1], 0, 8)},
        {"a": entry("F32", [3], 0, 8)},
        {"a": entry("F32", [2**62, 2**62], 0, 8)},
        {"a": entry("F32", [2], 0, 2**70)},
        {"a": entry("F4", [2], 0, 8)},
        {"a": entry("BF16", [4], 0, 8)},
        {"a": []},
        [],
    ],
)
def test_tensors_that_cannot_be_are_refused(tmp_path: Path, header: object) -> None:
    path = write_header(tmp_path / "x.safetensors", json.dumps(header).encode(), bytes(8))
    with pytest.raises(InputError, match=r"x\.safetensors") as caught:
        storage.map_arrays(path)
    assert "\n" not in str(caught.value)


def test_a_list_of_tensors_of_many_megabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write((2**24 + 8).to_bytes(8, "little"))
        file.truncate(2**25)
    with pytest.raises(InputError, match="its list of tensors has 16777224 bytes, expected at most 16777216"):
        storage.map_arrays(path)


def test_more_arrays_than_a_system_allows_maps(tmp_path: Path) -> None:
    limit = Path("/proc/sys/vm/max_map_count")
    count = min(int(limit.read_text()), 70_000) if limit.exists() else 1000
    header = {f"a{i}": entry("U8", [1], i, i + 1) for i in range(count)}
    path = write_header(tmp_path / "x.safetensors", json.dumps(header).encode(), bytes(i % 256 for i in range(count)))
    arrays = storage.map_arrays(path)
    assert len(arrays) == count
    assert all(arrays[f"a{i}"].tolist() == [i % 256] for i in range(0, count, 999))


def test_sizes_are_told_of_types_that_numpy_lacks(tmp_path: Path) -> None:
    header = {"a": entry("BF16", [2, 3], 0, 12), "b": entry("F32", [], 12, 16), "c": entry("F32", [0, 4], 16, 16)}
    path = write_header(tmp_path / "x.safetensors", json.dumps(header).encode(), bytes(16))
    assert storage.tensor_sizes(path) == {"a": 6, "b": 1, "c": 0}


def test_json_beyond_a_limit_is_not_read(tmp_path: Path) -> None:
    storage.write_json(tmp_path / "x.json", [1, 2])
    size = (tmp_path / "x.json").stat().st_size
    assert storage.read_json(tmp_path / "x.json", most=size) == [1, 2]
    with pytest.raises(InputError, match=f"has {size} bytes, expected at most {size - 1}"):
        storage.read_json(tmp_path / "x.json", most=size - 1)
