"""The optional parts: each is named, and what is missing is said in one sentence."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from broadmamba.errors import MissingExtraError
from broadmamba.extras import _EXTRA_OF, EXTRAS, missing_extra
from corpora import make_corpus

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text("utf-8"))["project"]


def test_every_extra_of_the_package_is_explained() -> None:
    assert set(EXTRAS) == set(PROJECT["optional-dependencies"]) - {"all", "test"}


@pytest.mark.parametrize(("module", "extra"), _EXTRA_OF.items())
def test_a_module_comes_with_the_extra_that_is_named(module: str, extra: str) -> None:
    package = {"sklearn": "scikit-learn"}.get(module, module)
    assert any(wanted.startswith(f"{package}>") for wanted in PROJECT["optional-dependencies"][extra])


def test_a_part_of_a_module_is_the_module() -> None:
    error = missing_extra("this", ModuleNotFoundError("no torch", name="torch.nn"))
    assert isinstance(error, MissingExtraError)
    assert str(error) == "this needs torch: pip install 'broadmamba[train]'"


@pytest.mark.parametrize("name", ["torchvision", "broadmamba.trainig", None])
def test_a_module_that_no_extra_brings_stays_a_bug(name: str | None) -> None:
    assert missing_extra("this", ModuleNotFoundError("gone", name=name)) is None


def without_torch(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python where torch cannot be imported."""
    code = f"import sys; sys.modules['torch'] = None\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", ["BroadMamba", "train_seeds"])
def test_a_name_that_needs_torch_says_so(name: str) -> None:
    ended = without_torch(f"from broadmamba import {name}")
    assert ended.returncode == 1
    expected = f"broadmamba.errors.MissingExtraError: broadmamba.{name} needs torch: pip install 'broadmamba[train]'"
    assert ended.stderr.splitlines()[-1] == expected
    assert "ModuleNotFoundError" not in ended.stderr


@pytest.mark.parametrize("arguments", [["train", "--out", "runs"], ["finetune-text", "--out", "encoder"]], ids=str)
def test_a_command_that_needs_torch_says_so(arguments: list[str], tmp_path: Path) -> None:
    command, *options = arguments
    make_corpus(5).save(tmp_path / "corpus")
    argv = ["broadmamba", command, str(tmp_path / "corpus"), *options]
    ended = without_torch(f"from broadmamba.cli.main import run\nsys.argv = {argv}\nrun()")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "broadmamba: this command needs torch: pip install 'broadmamba[train]'\n"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("runtime='torch'", "the runtime torch needs torch: pip install 'broadmamba[train]'"),
        ("encoder='minilm'", "the text encoder minilm needs torch: pip install 'broadmamba[train]'"),
    ],
)
def test_a_setting_that_needs_torch_says_so(setting: str, told: str) -> None:
    ended = without_torch(
        f"""
from broadmamba import Conversation, MissingExtraError, Utterance, recognize
try: recognize(Conversation("talk", (Utterance("1", "Well?"),)), {setting})
except MissingExtraError as error: print(error)
"""
    )
    assert (ended.stdout, ended.stderr) == (f"{told}\n", "")


@pytest.mark.parametrize("broken", ["onnxruntime", "tokenizers"])
def test_a_broken_package_is_told_in_a_sentence(broken: str, tmp_path: Path) -> None:
    (tmp_path / f"{broken}.py").write_text("raise ImportError('libnot.so: no such file')\n")
    (tmp_path / "talk.txt").write_text("Ann: Well?\n")
    argv = ["broadmamba", "predict", str(tmp_path / "talk.txt")]
    code = f"from broadmamba.cli.main import run\nsys.argv = {argv}\nsys.path.insert(0, {str(tmp_path)!r})\nrun()"
    ended = without_torch(code)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "broadmamba: a package that is needed cannot be imported (libnot.so: no such file); "
        "broadmamba doctor tells what is installed\n"
    )
