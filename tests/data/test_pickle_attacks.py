"""Hostile pickles are refused in one sentence; nothing of theirs runs, and the parent's memory stays flat."""

from __future__ import annotations

import builtins
import os
import pickle
import resource
import struct
import subprocess
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadmamba.data.readers.pickle_process import Limits, open_pickle
from broadmamba.errors import InputError

QUICK = Limits(memory=256 << 20, output=8 << 20, cpu_seconds=1)


class Call:
    """Pickles as a call of a function when it is opened."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


def refuse(path: Path, content: bytes, said: str = "", limits: Limits = QUICK) -> str:
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="the pickle is refused") as caught:
        open_pickle(path, limits)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert len(message) < 600
    return message


WRAPPINGS: dict[str, Callable[[Any], Any]] = {
    "bare": lambda call: call,
    "in a tuple": lambda call: ({"a": [1]}, [call]),
    "deep": lambda call: [{"x": ({"y": [OrderedDict(z=call)]},)}],
    "in an object array": lambda call: [{"a": np.array([call, None], dtype=object)}],
    "as a key": lambda call: {(1, call): 2},
    "as a state": lambda call: Call(OrderedDict, state={"a": call}),
}
CALLS: dict[str, Callable[[str], Any]] = {
    "os.system": lambda marker: Call(os.system, f"touch {marker}"),
    "eval": lambda marker: Call(builtins.eval, f"open({marker!r}, 'w')"),
    "exec": lambda marker: Call(builtins.exec, f"open({marker!r}, 'w')"),
    "open": lambda marker: Call(builtins.open, marker, "w"),
    "getattr": lambda marker: Call(builtins.getattr, {}, "__class__"),
    "Popen": lambda marker: Call(subprocess.Popen, ["touch", marker]),
    "import": lambda marker: Call(builtins.__import__, "os"),
    "numpy.load": lambda marker: Call(np.load, marker),
    "numpy.save": lambda marker: Call(np.save, marker, 1),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrapping", ["bare", "deep"])
def test_os_system_in_every_protocol(tmp_path: Path, protocol: int, wrapping: str) -> None:
    marker = tmp_path / "ran"
    call = CALLS["os.system"](str(marker))
    refuse(tmp_path / "x.pkl", pickle.dumps(WRAPPINGS[wrapping](call), protocol=protocol), "posix.system")
    assert not marker.exists()


@pytest.mark.parametrize("name", CALLS)
def test_every_forbidden_function(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "ran"
    refuse(tmp_path / "x.pkl", pickle.dumps([CALLS[name](str(marker))]), "which is no plain data")
    assert not marker.exists()
    assert not marker.with_suffix(".npy").exists()


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wherever_it_hides(tmp_path: Path, wrapping: str) -> None:
    marker = tmp_path / "ran"
    refuse(tmp_path / "x.pkl", pickle.dumps(WRAPPINGS[wrapping](CALLS["os.system"](str(marker)))))
    assert not marker.exists()


def stack_global(module: str, name: str) -> bytes:
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + texts + b"\x93"


def opcodes(marker: str) -> dict[str, bytes]:
    """The same call by each opcode that makes one, and the usual ways round an allow-list."""
    command = f"touch {marker}".encode()
    word = b"X" + struct.pack("<I", len(command)) + command
    return {
        "REDUCE": b"cos\nsystem\n(" + word + b"tR.",
        "INST": b"(" + word + b"ios\nsystem\n.",
        "OBJ": b"(cos\nsystem\n" + word + b"o.",
        "NEWOBJ": b"\x80\x02cos\nsystem\n(" + word + b"t\x81.",
        "NEWOBJ_EX": b"\x80\x04cos\nsystem\n(" + word + b"t}\x92.",
        "STACK_GLOBAL": stack_global("os", "system") + b"(" + word + b"tR.",
        "dotted STACK_GLOBAL": stack_global("builtins", "list.__subclasses__") + b")R.",
        "dotted numpy": stack_global("numpy", "ndarray.__init__.__globals__") + b".",
        "nested numpy": stack_global("numpy", "f2py.os.execlp") + b".",
        "module in module": b"cnumpy.lib.npyio\nos.system\n(" + word + b"tR.",
        "EXT1": b"\x80\x02\x82\x01.",
        "PERSID": b"P" + command + b"\n.",
        "BUILD on a class": b"cnumpy\nndarray\n}X\x01\x00\x00\x00aI1\nsb.",
        "BUILD of a type's slots": b"\x80\x02cbuiltins\nlist\nN}X\x01\x00\x00\x00aI1\ns\x86b.",
        "setstate of rubbish": b"\x80\x02cnumpy\nndarray\n)R(I1\nI2\nI3\ntb.",
        "codec": b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x06\x00\x00\x00rot_13tR.",
        "dtype of fields": b"\x80\x02cnumpy\ndtype\n(X\x04\x00\x00\x00f4,OtR.",
        "get without put": b"g7\n.",
        "nothing": b".",
        "cut off": b"\x80\x04\x95\xff\xff\x00",
    }


@pytest.mark.parametrize("opcode", opcodes(""))
def test_every_opcode_that_calls(tmp_path: Path, opcode: str) -> None:
    marker = tmp_path / "ran"
    refuse(tmp_path / "x.pkl", opcodes(str(marker))[opcode])
    assert not marker.exists()


def claims_8_gib() -> dict[str, bytes]:
    reconstruct = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n(\x8a\x05\x00\x00\x00\x00\x02t"
    dtype = b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85R"
    return {
        "_reconstruct": reconstruct + b"C\x01b\x87R.",
        "ndarray": b"\x80\x02cnumpy\nndarray\n\x8a\x05\x00\x00\x00\x00\x02\x85R.",
        "state": reconstruct + b"C\x01b\x87R(" + b"K\x01\x8a\x05\x00\x00\x00\x00\x02\x85" + dtype + b"\x89C\x04abcdtb.",
        "bytearray": b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x02\x85R.",
        "range": b"\x80\x02cbuiltins\nlist\ncbuiltins\nrange\n\x8a\x05\x00\x00\x00\x00\x02\x85R\x85R.",
        "BYTEARRAY8": b"\x80\x05\x96" + struct.pack("<Q", 8 << 30) + b"abc.",
        "BINBYTES8": b"\x80\x04\x8e" + struct.pack("<Q", 8 << 30) + b"abc.",
        "memo index": b"\x80\x02]r\xff\xff\xff\xff.",
    }


@pytest.mark.parametrize("claim", claims_8_gib())
def test_8_gib_out_of_a_few_bytes(tmp_path: Path, claim: str) -> None:
    start = time.perf_counter()
    refuse(tmp_path / "x.pkl", claims_8_gib()[claim])
    assert time.perf_counter() - start < 5


def laughs(depth: int) -> list[Any]:
    """A list of ten lists of ten lists …: 10 ** depth items in a pickle of a few hundred bytes."""
    nested: list[Any] = ["ha"] * 10
    for _ in range(depth):
        nested = [nested] * 10
    return nested


def test_a_billion_laughs(tmp_path: Path) -> None:
    refuse(tmp_path / "nested.pkl", pickle.dumps(laughs(30)))
    long = [float(i) for i in range(3000)]
    shared = {"a": [[long] * 3000] * 3000}  # 27 thousand million numbers by three references
    refuse(tmp_path / "shared.pkl", pickle.dumps([shared]))
    refuse(tmp_path / "rows.pkl", pickle.dumps([dict.fromkeys(range(3000), [long] * 3000)]), "could not be written")
    refuse(tmp_path / "texts.pkl", pickle.dumps([dict.fromkeys(range(900), ["x" * 9999] * 900)]))


def test_endless_computing_is_cut_short(tmp_path: Path) -> None:
    """Hashing a tuple of two references to one of two references … 60 deep takes 2 ** 60 steps."""
    key: Any = ("x",)
    for _ in range(60):
        key = (key, key)
    content = b"\x80\x04}" + pickle.dumps(key, protocol=4)[2:].partition(b"\x00\x00\x00\x00\x00\x00\x00")[2][:-1]
    start = time.perf_counter()
    message = refuse(tmp_path / "x.pkl", content + b"K\x01s.", limits=QUICK)
    assert "more time" in message
    assert time.perf_counter() - start < 12


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_changed_bytes_never_give_anything_but_parts_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(pickle.dumps(({"a": np.ones((2, 3))}, {"a": ["x", "y"]}, ["a"]), protocol=2))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "x.pkl"
    path.write_bytes(content)
    try:
        assert isinstance(open_pickle(path, QUICK), list)
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("content", [b"\x93NUMPY junk", b"plain text, no pickle", bytes(range(256)), b"\x80\x09."])
def test_junk(tmp_path: Path, content: bytes) -> None:
    refuse(tmp_path / "x.pkl", content)


def test_files_that_are_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_pickle(tmp_path / "x.pkl")
    (tmp_path / "x.pkl").touch()
    with pytest.raises(InputError, match="empty"):
        open_pickle(tmp_path / "x.pkl")


def test_limits_grow_with_the_file_and_let_large_features_through(tmp_path: Path) -> None:
    small, large = Limits.for_file(1000), Limits.for_file(1_500_000_000)
    assert 1 << 30 <= small.memory < 2 << 30
    assert 4 * 1_500_000_000 < large.memory < 8 << 30
    assert large.cpu_seconds > 2 * small.cpu_seconds
    rows = {key: np.full((50, 1500), key, dtype=np.float64) for key in range(100)}  # 60 MB
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([rows]))
    part = open_pickle(tmp_path / "x.pkl")[0]
    assert all((part.vectors[key] == key).all() and part.vectors[key].shape == (50, 1500) for key in rows)
    lists = {key: [[0.5] * 200] * 5 for key in range(200)}
    many = [[float(i) for i in range(50_000)] for _ in range(20)]  # 9 MB of numbers, each an object when opened
    (tmp_path / "y.pkl").write_bytes(pickle.dumps([lists, dict(enumerate(many))]))
    assert len(open_pickle(tmp_path / "y.pkl")) == 2
