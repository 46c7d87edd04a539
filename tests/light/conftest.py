"""Tests of what users install, in an environment without torch: `make test-light` makes it and runs them there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MATERIAL = os.environ.get("BROADMAMBA_LIGHT")
"""The folder that `material.py` made."""

collect_ignore_glob = [] if MATERIAL else ["test_*.py"]

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def material() -> Path:
    return Path(MATERIAL or "").absolute()


@pytest.fixture
def recorded(material: Path) -> Path:
    """The material, with a recording; skips where none could be made."""
    if (material / "lacking").is_file():
        pytest.skip((material / "lacking").read_text())
    return material


@pytest.fixture
def command(material: Path, tmp_path: Path) -> Command:
    """Runs `broadmamba` with arguments, as a user does, in a folder of its own."""
    script = Path(sys.executable).with_name("broadmamba")
    environment = {**os.environ, "BROADMAMBA_CACHE": str(material / "cache"), "COLUMNS": "80"}

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(script), *map(str, arguments)],
            cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False,
        )  # fmt: skip

    return call
