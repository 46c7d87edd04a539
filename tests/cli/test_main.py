"""The command line as a whole: help, version, and what is told of a slip."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest

import broadmamba
from broadmamba.cli.main import app

COMMANDS = (
    *("predict", "convert", "extract", "finetune-text", "train", "evaluate", "compare", "reproduce", "fetch"),
    *("export", "doctor"),
)
SLOW = {"torch", "transformers", "safetensors", "numpy", "scipy", "pandas", "sklearn"}


@pytest.mark.parametrize("statement", ["import broadmamba", "from broadmamba.cli.main import app, run"])
def test_nothing_slow_is_imported(statement: str) -> None:
    code = f"{statement}; import sys; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not SLOW & set(ended.stdout.split())


def test_help_comes_at_once_and_names_every_command(process: Callable[..., Any]) -> None:
    seconds = []
    for _ in range(3):
        begun = _cpu_seconds_of_children()
        result = process("--help")
        seconds.append(_cpu_seconds_of_children() - begun)
        assert (result.code, result.err) == (0, "")
    assert all(name in result.out for name in COMMANDS)
    assert "RESPONSIBLE_USE.md" in result.out
    assert min(seconds) < 0.5, "of computing, the best of three"


def _cpu_seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_version(command: Callable[..., Any]) -> None:
    result = command("--version")
    assert (result.code, result.out, result.err) == (0, f"broadmamba {version('broadmamba')}\n", "")
    assert broadmamba.__version__ == version("broadmamba")


def test_no_argument_shows_the_help(command: Callable[..., Any]) -> None:
    result = command()
    assert "Usage: " in result.out and all(name in result.out for name in COMMANDS)
    assert result.code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(command: Callable[..., Any], name: str) -> None:
    result = command(name, "--help")
    assert (result.code, result.err) == (0, "")
    assert re.search(rf"Usage: .* {name} \[OPTIONS\]", result.out)
    registered = {entry.name: entry.callback for entry in app.registered_commands}
    assert set(registered) == set(COMMANDS)
    first = registered[name].__doc__.split("\n")[0].split("`")[0]
    assert first in re.sub(r"\s+", " ", result.out), "the help opens with the docstring"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["predcit"], "Did you mean 'predict'?"),
        (["trian", "x"], "Did you mean 'train'?"),
        (["predict", "x.vtt", "--fromat", "csv"], "--format"),
        (["evaluate", "x", "y", "--splt", "dev"], "--split"),
        (["predict"], "Missing argument"),
        (["train", "corpus"], "Missing option"),
        (["evaluate", "x"], "Missing argument"),
        (["train", "corpus", "--out", "runs", "--threads", "0"], "--threads"),
        (["train", "corpus", "--out", "runs", "--threads", "many"], "--threads"),
    ],
    ids=str,
)
def test_a_slip_in_the_command_is_told_with_what_was_meant(
    command: Callable[..., Any], arguments: list[str], told: str
) -> None:
    result = command(*arguments)
    assert (result.code, result.out) == (2, "")
    assert told in result.err and "Traceback" not in result.err


def test_public_names_are_found_when_they_are_used() -> None:
    for name in broadmamba.__all__:
        assert getattr(broadmamba, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'BroadMabma'"):
        broadmamba.BroadMabma  # noqa: B018


def test_public_names_are_listed_before_they_are_used() -> None:
    code = "import broadmamba, sys; print(*dir(broadmamba)); assert 'broadmamba.errors' not in sys.modules"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed = {name for name in ended.stdout.split() if not name.startswith("__")}
    assert listed == set(broadmamba.__all__)
    assert {"Recognizer", "Conversation", "FeatureSpec", "InputError", "read_transcript"} <= listed


def test_importing_the_package_takes_next_to_nothing() -> None:
    code = "import time; begun = time.process_time(); import broadmamba; print(time.process_time() - begun)"
    run = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(3)]
    assert min(float(ended.stdout) for ended in run) < 0.05, "of computing, the best of three"


def test_a_reader_that_stops_early_gets_no_traceback(process: Callable[..., Any]) -> None:
    code = (
        "from broadmamba.cli import main; import typer; main.app = lambda: [typer.echo('x' * 999) for _ in range(999)]"
    )
    shell = f'"{sys.executable}" -c "{code}; main.run()" | head -c 10'
    ended = subprocess.run(["sh", "-c", shell], capture_output=True, text=True)
    assert ended.stdout == "x" * 10 and ended.stderr == ""
