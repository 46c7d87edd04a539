"""`broadmamba fetch`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from broadmamba.cli.fetch import fetch
from broadmamba.errors import InputError


def test_what_cannot_be_fetched_is_told() -> None:
    with pytest.raises(InputError, match=r"cannot fetch 'expresion' \(did you mean expression\?\)"):
        fetch("expresion")


def test_another_package_is_refused_and_nothing_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "package.tgz").write_bytes(b"no tarball")
    for source in (tmp_path / "package.tgz", tmp_path / "nothing", tmp_path):
        with pytest.raises(InputError, match=str(source)):
            fetch("expression", source)
    assert not (tmp_path / "cache").exists()


def test_its_help_does_not_wait_for_torch() -> None:
    code = "import sys, broadmamba.cli.fetch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
