"""Writing that a kill cannot break, arrays in any memory layout, and damaged files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
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


# --- links, pipes and what is read


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_may_never_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "device.json").symlink_to("/dev/zero")
    for name in ("pipe.json", "device.json"):
        with pytest.raises(InputError, match=f"{name}: expected a file, found a pipe or a device"):
            storage.read_json(tmp_path / name)


def test_what_cannot_be_read_has_no_sha256(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError, match=f"{path}: cannot be read"):
            storage.sha256(path)
