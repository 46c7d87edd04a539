"""Fixtures of the tests of the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from broadmamba.cli.main import run
from broadmamba.data.corpus import Corpus
from broadmamba.training.fit import fit
from corpora import make_corpus, make_text_model, tiny_config


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs `broadmamba` with arguments in this process."""
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["broadmamba", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            run()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def process() -> Callable[..., Result]:
    """Runs `broadmamba` with arguments in a process of its own, as a user does."""
    script = Path(sys.executable).with_name("broadmamba")
    code = "from broadmamba.cli.main import run; run()"
    start = [str(script)] if script.exists() else [sys.executable, "-c", code]

    def call(*arguments: object) -> Result:
        ended = subprocess.run([*start, *map(str, arguments)], capture_output=True, timeout=120)
        return Result(ended.returncode, ended.stdout.decode("utf-8"), ended.stderr.decode("utf-8"))

    return call


@pytest.fixture(scope="session")
def synthetic() -> Corpus:
    """A corpus with the features `tiny-text` and `tiny-audio`."""
    return make_corpus(71, noise=1.5, repeated=0.3)


@pytest.fixture
def corpus(synthetic: Corpus, tmp_path: Path) -> Path:
    """Its folder, which the test may change."""
    synthetic.save(tmp_path / "corpus")
    return tmp_path / "corpus"


@pytest.fixture
def model(synthetic: Corpus, tmp_path: Path) -> Path:
    """The folder of a model that was trained on it, which the test may change."""
    fit(synthetic, tiny_config(epochs=2)).checkpoint.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of a tiny text encoder and of a model trained on its feature."""
    return make_text_model(tmp_path_factory.mktemp("text_model"))
