"""How many threads a network takes."""

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
