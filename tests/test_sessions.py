"""How many threads and how much memory a network takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os
from broadmamba.networks import NETWORKS
from broadmamba.sessions import Session
from safetensors.numpy import load_file
before = len(os.listdir("/proc/self/task"))
graph, weights = (NETWORKS / "voice.onnx").read_bytes(), load_file(NETWORKS / "voice.safetensors")
session = Session(graph, weights, what="a test", device="cpu", threads=THREADS)
print(1 + len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
@pytest.mark.parametrize(
    ("threads", "variable", "expected"),
    [
        (0, None, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0),
        (0, "1", 1),
        (0, "100000", len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0),
        (3, "1", 3),
    ],
)
def test_threads(threads: int, variable: str | None, expected: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if variable is not None:
        environment["OMP_NUM_THREADS"] = variable
    code = CODE.replace("THREADS", str(threads))
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(ended.stdout) == expected


MEMORY = """
import numpy as np
from broadmamba.export.graph import GraphWriter
from broadmamba.sessions import Session
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20
writer = GraphWriter({"weight": (1, 16)})
wide = writer.op("Add", "x", writer.weight("weight"))
writer.op("ReduceSum", wide, writer.constant([1]), keepdims=1, name="y")
graph = writer.model([("x", "float32", ["T", 1])], {"y": ["T", 1]})
session = Session(graph, {"weight": np.ones((1, 16), np.float32)}, what="a test", device="cpu")
x = np.zeros((2_500_000, 1), np.float32)
session.run({"x": x[:4]}, ["y"])
before = resident()
(y,) = session.run({"x": x}, ["y"])
assert (y == 16).all()
del y
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="reads its memory in /proc")
def test_memory_that_a_large_input_takes_is_given_back() -> None:
    ended = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 50  # of the 150 MiB of the sums
