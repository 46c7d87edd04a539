"""What is installed for whoever labels, and how much of it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import Distribution, distribution, requires
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

MOST_MEGABYTES = 350
HEAVY = ("torch", "transformers", "librosa", "numba", "onnx", "matplotlib", "sklearn")
OF_TORCH = ("broadmamba.data.batching", "broadmamba.runtime.torch")
ROOMS_OF_TORCH = ("model", "training", "baselines", "experiments")


@pytest.mark.parametrize("name", HEAVY)
def test_what_is_heavy_is_not_there(name: str) -> None:
    assert find_spec(name) is None


def test_the_package_is_what_users_get() -> None:
    import broadmamba

    assert "site-packages" in broadmamba.__file__


def test_what_reads_and_labels_can_be_imported() -> None:
    code = f"""
import pkgutil, sys
from importlib import import_module
for room in ("bundle", "cli", "data", "media", "recognition", "runtime"):
    package = import_module("broadmamba." + room)
    for _, name, _ in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not name.endswith("_child") and name not in {OF_TORCH}:
            import_module(name)
            print(name)
print(*(name for name in sys.modules if name.startswith("broadmamba.") and name.split(".")[1] in {ROOMS_OF_TORCH}))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    *imported, of_torch = ended.stdout.split("\n")[:-1]
    assert sum(name.startswith("broadmamba.media.transcripts.") for name in imported) > 20
    assert of_torch == ""


def test_the_base_takes_little_room() -> None:
    """Of `pip install .` in a new environment: the package, all that it needs, and pip."""
    counted: dict[str, int] = {}
    needed = ["broadmamba", "pip"]
    while needed:
        name = needed.pop()
        if name in counted:
            continue
        counted[name] = bytes_of(distribution(name))
        wanted = map(Requirement, requires(name) or [])
        needed += [one.name.lower() for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    megabytes = sum(counted.values()) / 2**20
    largest = sorted(counted, key=lambda name: -counted[name])[:5]
    print(f"{megabytes:.0f} MB, of them {', '.join(f'{name} {counted[name] >> 20}' for name in largest)}")
    assert "onnxruntime" in counted and "numpy" in counted
    assert megabytes <= MOST_MEGABYTES


def bytes_of(package: Distribution) -> int:
    files = [Path(str(file.locate())) for file in package.files or ()]
    return sum(file.stat().st_size for file in files if file.is_file())
