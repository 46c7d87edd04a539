"""Tab in real shells: commands, options, values and files."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from broadmamba.cli import completion
from broadmamba.data.readers import READERS
from broadmamba.experiments.studies import studies
from broadmamba.features.audio import AUDIO_EXTRACTORS
from broadmamba.features.text.encoder_files import KNOWN_ENCODERS
from broadmamba.features.text.exported_folder import PRECISIONS
from broadmamba.features.text.pooling import POOLINGS
from broadmamba.features.video import VIDEO_EXTRACTORS
from broadmamba.recognition.outputs import FORMATS
from broadmamba.runtime import RUNTIMES
from broadmamba.sessions import DEVICES
from broadmamba.training.config import presets

COMPLETED = {
    "pre": ["predict"],
    "predict --for": ["--format"],
    "predict talk.vtt --format ": ["table", "jsonl", "csv", "vtt", "eaf", "textgrid", "html"],
    "predict talk.vtt --model m": ["meld"],
    "evaluate me": ["meld"],
    "predict talk.vtt --runtime ": ["onnx", "torch"],
    "export m": ["meld"],
    "train corpus --preset meld-": ["meld-mpnet", "meld-text"],
    "extract corpus --audio e": ["egemaps"],
    "reproduce table1 figure": ["figure5", "figure6", "figure7", "figure8"],
    "fetch ": ["expression", "mpnet"],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with the program, two files and the completion of each shell."""
    home = tmp_path_factory.mktemp("home")
    program = home / "bin" / "broadmamba"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom broadmamba.cli.main import run\nrun()\n")
    program.chmod(0o755)
    (home / "talk.vtt").touch()
    (home / "my model").mkdir()
    for shell in ("bash", "zsh", "fish"):
        made = subprocess.run(
            [str(program), "--show-completion", shell],
            env={**environment(home), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        (home / f"completion.{shell}").write_text(made.stdout)
    return home


def environment(home: Path) -> dict[str, str]:
    path = os.pathsep.join([str(home / "bin"), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "dumb"}


def ask(home: Path, *command: str) -> list[str]:
    ended = subprocess.run(command, cwd=home, env=environment(home), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@pytest.mark.parametrize(("typed", "expected"), COMPLETED.items())
def test_bash_offers_what_is_known(home: Path, typed: str, expected: list[str]) -> None:
    words = ["broadmamba", *typed.split(" ")]
    line = " ".join(f"'{word}'" for word in words)
    script = f"""
        source completion.bash
        COMP_WORDS=({line})
        COMP_CWORD={len(words) - 1}
        $(complete -p broadmamba | sed 's/.*-F //') broadmamba
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert ask(home, "bash", "-c", script) == expected


def test_fish_offers_what_is_known(home: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("the shell fish is not installed")
    for typed, expected in COMPLETED.items():
        offered = ask(home, "fish", "-c", f"source completion.fish; complete -C 'broadmamba {typed}'")
        assert sorted(line.split("\t")[0] for line in offered) == sorted(expected)
    assert ask(home, "fish", "-c", "source completion.fish; complete -C 'broadmamba predict ta'") == ["talk.vtt"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("pred\tta\t", ["predict", "talk.vtt"]),
        ("predict talk.vtt --mo\tm\t", ["predict", "talk.vtt", "--model", "meld"]),
        ("predict talk.vtt --model my\t", ["predict", "talk.vtt", "--model", "my model"]),
        ("predict talk.vtt --out ta\t", ["predict", "talk.vtt", "--out", "talk.vtt"]),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_on_a_terminal_gives_commands_options_names_and_files(
    home: Path, shell: str, typed: str, expected: list[str]
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"the shell {shell} is not installed")
    (home / "line").unlink(missing_ok=True)
    options = {"bash": ["--norc", "-i"], "zsh": ["-f", "-i"]}[shell]
    set_up = {"bash": "source completion.bash", "zsh": "autoload -Uz compinit; compinit -u; source completion.zsh"}
    to_begin, to_end = "\x01", "\x05"
    keys = f"{set_up[shell]}\nbroadmamba {typed}{to_begin}printf '%s\\n' {to_end} > line\nexit\n"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(home)
        os.execvpe(shell, [shell, *options], environment(home))
    shown = b""
    try:
        os.write(terminal, keys.encode())
        with suppress(OSError):  # its end
            while select.select([terminal], [], [], 30)[0] and (more := os.read(terminal, 4096)):
                shown += more
    finally:
        os.close(terminal)  # which ends a shell that has not ended
        os.waitpid(child, 0)
    assert (home / "line").is_file(), shown.decode()
    assert (home / "line").read_text().replace("/\n", "\n").splitlines() == ["broadmamba", *expected], shown.decode()


def test_the_names_are_those_that_there_are() -> None:
    assert tuple(FORMATS) == completion.FORMATS
    assert tuple(READERS) == completion.CORPUS_FORMATS
    assert tuple(KNOWN_ENCODERS) == completion.ENCODERS
    assert set(completion.POOLINGS) == {*POOLINGS, "tokens"}
    assert tuple(AUDIO_EXTRACTORS) == completion.AUDIO
    assert PRECISIONS == completion.PRECISIONS
    assert tuple(VIDEO_EXTRACTORS) == completion.VIDEO
    assert (completion.DEVICES, completion.RUNTIMES) == (DEVICES, RUNTIMES)
    assert completion.presets("") == presets()
    assert completion.studies("") == [*studies(), "all"]
