"""Models of the Hugging Face hub: downloaded once, only the files of a model, and read from the cache without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import commit_of, serve

import broadmamba
from broadmamba.errors import InputError
from broadmamba.recognition import pretrained

Load = Callable[..., "subprocess.CompletedProcess[str]"]

LOAD = """
import logging, sys
import broadmamba
logging.basicConfig(format="notice: %(message)s")
for model in sys.argv[1:]:
    try:
        recognizer = broadmamba.Recognizer.from_pretrained(model)
        print(recognizer.name, *recognizer.bundle.labels)
    except broadmamba.BroadMambaError as error:
        print(type(error).__name__, error)
"""


MODEL = pretrained.find_model("meld")
LABELS = "neutral surprise fear sadness joy disgust anger"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A model as somebody may have put it on the hub, with what is none of it."""
    folder = tmp_path / "repository"
    shutil.copytree(MODEL, folder)
    for name in ("modeling.py", "pytorch_model.bin", "text/modeling.py", "other.safetensors", "config.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise SystemExit('was run')")
    return folder


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads models by name in a process of its own, with an empty cache at first, and shows what came of it."""

    def call(address: str, *models: str, code: str = LOAD) -> subprocess.CompletedProcess[str]:
        places = {"HF_ENDPOINT": address, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "home")}
        return subprocess.run(
            [sys.executable, "-c", code, *models],
            env={**os.environ, **places, "PYTHONPATH": str(Path(broadmamba.__file__).parents[1])},
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return call


def test_a_model_is_downloaded_once_and_then_needs_no_hub(repository: Path, load: Load, tmp_path: Path) -> None:
    with serve({"somebody/tiny": {"main": repository}}) as hub:
        first = load(hub.address, "somebody/tiny")
        assert (first.returncode, first.stdout) == (0, f"somebody/tiny {LABELS}\n"), first.stderr
        assert "notice: the model somebody/tiny is not in the cache: downloading it" in first.stderr
        assert hub.files_asked() == {file.relative_to(MODEL).as_posix() for file in MODEL.rglob("*") if file.is_file()}
        assert not [path for path in hub.asked if "telemetry" in path]
        hub.asked.clear()
        assert load(hub.address, "somebody/tiny").stdout == first.stdout
        assert not hub.asked
    offline = load(hub.address, "somebody/tiny")
    assert (offline.stdout, offline.stderr) == (first.stdout, "")
    (tmp_path / "talk.txt").write_text("We won!\n")
    options = ("talk.txt", "--model", "somebody/tiny", "--format", "jsonl")
    labelled = load(hub.address, "predict", *options, code="from broadmamba.cli.main import run; run()")
    assert json.loads(labelled.stdout)["model"] == "somebody/tiny", labelled.stderr


def test_what_a_kill_left_of_a_download_is_completed(repository: Path, load: Load, tmp_path: Path) -> None:
    with serve({"somebody/tiny": {"main": repository}}) as hub:
        assert load(hub.address, "somebody/tiny").returncode == 0
        snapshot = tmp_path / "cache" / "models--somebody--tiny" / "snapshots" / commit_of(repository)
        (snapshot / "model.safetensors").unlink()
        again = load(hub.address, "somebody/tiny")
        assert again.stdout == f"somebody/tiny {LABELS}\n", again.stdout
        assert "downloading" in again.stderr


def test_a_revision_stays_what_it_is(repository: Path, load: Load, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    shutil.copytree(repository, newer)
    (newer / "manifest.json").unlink()
    with serve({"somebody/tiny": {"main": newer, "v1": repository}}) as hub:
        ended = load(hub.address, "somebody/tiny@v1", f"somebody/tiny@{commit_of(repository)}", "somebody/tiny")
    tag, commit, main = ended.stdout.splitlines()
    assert tag == f"somebody/tiny@v1 {LABELS}"
    assert commit == f"somebody/tiny@{commit_of(repository)} {LABELS}"
    assert main == "InputError the model 'somebody/tiny' of the Hugging Face hub has no manifest.json, expected a " \
        "model of broadmamba"  # fmt: skip


def test_what_cannot_be_had_is_told_in_a_sentence(repository: Path, load: Load, tmp_path: Path) -> None:
    (repository / "manifest.json").write_text("{}")
    with serve({"somebody/tiny": {"main": repository}}) as hub:
        ended = load(hub.address, "nobody/nothing", "somebody/tiny@v9", "somebody/tiny", "a/b/c", "som--ebody/x..y")
    lines = ended.stdout.splitlines()
    for line, told in zip(
        lines,
        (
            "InputError the model 'nobody/nothing' cannot be downloaded from the hub (there is none of that name",
            "InputError the model 'somebody/tiny' cannot be downloaded from the hub (it has no revision v9)",
            "CheckpointError somebody/tiny: damaged or of another version: ",
            "InputError a/b/c: expected a model folder or one of meld",
            "InputError the model 'som--ebody/x..y' ",
        ),
        strict=True,
    ):
        assert line.startswith(told), line
    gone = load(hub.address, "somebody/other")
    assert "no folder here, not in the Hugging Face cache, and the hub cannot be reached" in gone.stdout
    assert gone.stdout.count("\n") == 1


def test_without_the_extra_its_name_is_told(load: Load) -> None:
    ended = load(
        "http://127.0.0.1:9", "somebody/tiny", code="import sys\nsys.modules['huggingface_hub'] = None\n" + LOAD
    )
    assert ended.stdout == (
        "MissingExtraError the model 'somebody/tiny' is no folder here, and one of the Hugging Face hub needs "
        "huggingface_hub: pip install 'broadmamba[hub]'\n"
    )


def test_a_folder_of_that_name_is_taken_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[object]
) -> None:
    (tmp_path / "somebody" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert pretrained.find_model("somebody/tiny") == Path("somebody/tiny")
    assert pretrained.name_of("somebody/tiny") == "tiny"
    with pytest.raises(InputError, match="expected a model folder or one of"):
        pretrained.find_model("./somebody/else")
    assert not no_network


def test_only_folders_with_a_model_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from broadmamba.bundle.folder import MANIFEST

    assert pretrained.MANIFEST == MANIFEST
    assert pretrained.shipped_models() == ["meld"]
    (tmp_path / "empty" / "__pycache__").mkdir(parents=True)
    monkeypatch.setattr(pretrained, "_SHIPPED", tmp_path)
    assert pretrained.shipped_models() == []
