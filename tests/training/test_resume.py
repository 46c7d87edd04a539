"""A run that is killed, at whatever moment, goes on to the very result of an unbroken one."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from broadmamba.errors import CheckpointError, InputError
from broadmamba.training import fit as fit_module
from broadmamba.training.fit import Epoch, fit
from broadmamba.training.runs import train_seeds
from corpora import make_corpus, tiny_config

TIMINGS = {"training_seconds", "seconds", "peak_memory_bytes"}
SETTINGS = ("epochs=2", "batch_size=4", "learning_rate=0.02",
            *(f"model.{name}" for name in ("d_model=8", "d_state=4", "n=2", "m=2", "d_z=3", "d_h=3")))  # fmt: skip
VARIANTS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "average": ("average=0.8", "epochs=5"),
    "early stopping": ("epochs=12", "patience=2"),
    "both, with all the rest": (
        "average=0.8", "epochs=12", "patience=2", "refit=true", "loss.ridge=0.1", 'speaker_relative=["audio"]',
        "model.modality_dropout=0.3", "model.ssm=selective",
    ),
}  # fmt: skip


class Killer:
    """Runs trainings in processes of their own, which can be killed; see `interrupted.py`."""

    def __init__(self, corpus: Path) -> None:
        self.corpus = corpus
        script = Path(__file__).with_name("interrupted.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def train(self, out: Path, settings: Sequence[str] = (), seeds: str = "0", **when: float) -> int:
        """The exit code of `broadmamba train`, negative for a signal."""
        arguments = ["train", str(self.corpus), "--out", str(out), "--seeds", seeds]
        for setting in (*SETTINGS, *settings):
            arguments += ["--set", setting]
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"arguments": arguments, "under": str(out), **when}) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    make_corpus(31, noise=2.0, sizes={"train": 8, "dev": 4, "test": 3}).save(folder)
    made = Killer(folder)
    yield made
    assert made.process.stdin is not None
    made.process.stdin.close()
    made.process.wait(10)


def content(out: Path) -> dict[str, Any]:
    """Everything in a run folder but timings: JSON as values, other files as bytes."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(out))] = (
                untimed(json.loads(path.read_text())) if path.suffix == ".json" else path.read_bytes()
            )
    return found


def untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: untimed(child) for key, child in value.items() if key not in TIMINGS}
    return [untimed(child) for child in value] if isinstance(value, list) else value


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_kill_before_any_act_on_a_file_changes_nothing(killer: Killer, variant: str, tmp_path: Path) -> None:
    settings = VARIANTS[variant]
    assert killer.train(tmp_path / "whole", settings) == 0
    expected = content(tmp_path / "whole")
    assert set(expected) == {
        "config.json",
        "summary.json",
        *(f"seed-0/{name}" for name in ("environment.json", "metrics.jsonl", "results.json", "test_predictions.jsonl")),
        *(
            f"seed-0/model/{name}"
            for name in ("README.md", "graph.onnx", "manifest.json", "model.safetensors", "ridge.safetensors")
        ),
    }
    if "patience=2" in settings:
        assert len(expected["seed-0/metrics.jsonl"].splitlines()) < 12, "this variant shall stop early"
    # files are opened, renamed, locked and removed
    act, step = {"plain": (1, 3), "average": (2, 7), "early stopping": (4, 7)}.get(variant, (6, 7))
    killed = 0
    while True:
        out = tmp_path / f"killed-{act}"
        code = killer.train(out, settings, kill_at=act)
        if code == 0:
            break
        assert code == -9
        killed += 1
        assert killer.train(out, settings) == 0
        assert content(out) == expected, f"killed before act {act}"
        act += step
    assert killed >= (8 if variant == "plain" else 4)


def test_killed_again_and_again_it_still_arrives(killer: Killer, tmp_path: Path) -> None:
    settings = VARIANTS["both, with all the rest"]
    assert killer.train(tmp_path / "whole", settings, "0-1") == 0
    starts = 1
    while killer.train(tmp_path / "broken", settings, "0-1", kill_at=2 + 2 * starts) != 0:
        starts += 1
        assert starts < 60
    assert starts > 6
    assert content(tmp_path / "broken") == content(tmp_path / "whole")


def test_killed_at_moments_drawn_at_random(killer: Killer, tmp_path: Path) -> None:
    draw = random.Random(4)
    settings = ("epochs=40", "average=0.5")
    assert killer.train(tmp_path / "whole", settings) == 0
    codes = [killer.train(tmp_path / "broken", settings, kill_after=draw.uniform(0.05, 0.25)) for _ in range(6)]
    assert -9 in codes
    assert killer.train(tmp_path / "broken", settings) == 0
    assert content(tmp_path / "broken") == content(tmp_path / "whole")


class StoppedError(Exception):
    """Raised in the middle of a training, in place of a kill."""


def test_only_the_epochs_that_are_left_are_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "SAVE_EVERY", 0.0)
    corpus, config, state = make_corpus(31), tiny_config(epochs=6), tmp_path / "state.pt"
    seen: list[int] = []

    def stop_in_the_fourth(epoch: Epoch) -> None:
        seen.append(epoch.epoch)
        if epoch.epoch == 4:
            raise StoppedError

    with pytest.raises(StoppedError):
        fit(corpus, config, state=state, on_epoch=stop_in_the_fourth)
    assert seen == [1, 2, 3, 4]
    seen.clear()
    fitted = fit(corpus, config, state=state, on_epoch=lambda epoch: seen.append(epoch.epoch))
    assert seen == [4, 5, 6], "the state of the third epoch was the last that was kept"
    assert fitted.history == fit(corpus, config).history


def test_a_finished_seed_is_not_trained_again_and_others_join_it(tmp_path: Path) -> None:
    corpus, config, out = make_corpus(31), tiny_config(epochs=2), tmp_path / "runs"
    trained: list[int] = []

    def on_epoch(seed: int, epoch: Epoch) -> None:
        trained.append(seed)

    train_seeds(corpus, config, [0], out, on_epoch=on_epoch)
    before = {path: path.stat().st_mtime_ns for path in (out / "seed-0").rglob("*")}
    summary = train_seeds(corpus, config, [0, 2], out, on_epoch=on_epoch)
    assert trained == [0, 0, 2, 2]
    assert summary["seeds"] == [0, 2]
    assert before == {path: path.stat().st_mtime_ns for path in (out / "seed-0").rglob("*")}


def test_the_order_in_which_seeds_are_trained_does_not_matter(tmp_path: Path) -> None:
    corpus, config = make_corpus(31), tiny_config(epochs=2)
    train_seeds(corpus, config, [0, 1], tmp_path / "one")
    train_seeds(corpus, config, [1], tmp_path / "other")
    train_seeds(corpus, config, [0], tmp_path / "other")
    assert content(tmp_path / "one") == content(tmp_path / "other")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("damage", ["empty", "truncated", "junk", "another training", "hostile"])
def test_a_damaged_state_is_told_in_one_sentence(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "SAVE_EVERY", 0.0)
    corpus, config, state = make_corpus(31), tiny_config(epochs=3), tmp_path / "runs" / "seed-0" / "state.pt"

    def stop(seed: int, epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_seeds(corpus, config, [0], tmp_path / "runs", on_epoch=stop)
    whole = state.read_bytes()
    ran = tmp_path / "ran"
    if damage == "another training":
        torch.save({"model": {}}, state)
    else:
        hostile = pickle.dumps(Hostile(str(ran)))
        state.write_bytes(
            {"empty": b"", "truncated": whole[:-200], "junk": b"\x00\xff" * 99, "hostile": hostile}[damage]
        )
    content_before = state.read_bytes()
    with pytest.raises(CheckpointError, match=r"state\.pt: this saved state cannot be read .*; remove it") as caught:
        train_seeds(corpus, config, [0], tmp_path / "runs")
    assert "\n" not in str(caught.value) and str(state) in str(caught.value)
    assert state.read_bytes() == content_before and not ran.exists()
    state.unlink()
    train_seeds(corpus, config, [0], tmp_path / "runs")
    assert not state.exists()


class Hostile:
    """A pickle of this would make a file if anybody loaded it trustingly."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_two_experiments_do_not_share_a_folder(tmp_path: Path) -> None:
    corpus, config, out = make_corpus(31), tiny_config(epochs=1), tmp_path / "runs"
    train_seeds(corpus, config, [0], out)
    before = content(out)
    for other, changed, key in (
        (corpus, tiny_config(epochs=2), "training"),
        (make_corpus(31, modalities=("text",)), config, "features"),
        (make_corpus(32), config, "corpus"),
    ):
        with pytest.raises(InputError, match=f"holds runs of another experiment .*{key}.*; choose another folder"):
            train_seeds(other, changed, [1], out)
    assert content(out) == before
