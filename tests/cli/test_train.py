"""The command `broadmamba train`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = [
    part
    for setting in ("epochs=2", "batch_size=8", "model.d_model=8", "model.d_state=4", "model.n=2", "model.m=2")
    for part in ("--set", setting)
]


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_seeds_are_trained_and_summed_up(command: Callable[..., Any], corpus: Path, tmp_path: Path) -> None:
    result = command("train", corpus, "--out", tmp_path / "runs", "--seeds", "0-1,4", "--threads", 1, *SMALL)
    assert result.code == 0
    assert result.err == f"Written to {tmp_path / 'runs'}\n"
    summary = read(tmp_path / "runs" / "summary.json")
    assert summary["seeds"] == [0, 1, 4]
    assert "3 seeds, each selected on dev" in result.out
    for split in ("dev", "test"):
        figure = summary[split]["weighted_f1"]
        assert f"{100 * figure['mean']:.2f} ± {100 * figure['sd']:.2f}" in result.out
    for label in ("calm", "glad", "upset"):
        assert f"F1 {label}" in result.out
    training = read(tmp_path / "runs" / "config.json")["training"]
    assert (training["epochs"], training["model"]["d_model"]) == (2, 8)


def test_given_again_it_only_shows_what_is_there(command: Callable[..., Any], corpus: Path, tmp_path: Path) -> None:
    arguments = ("train", corpus, "--out", tmp_path / "runs", *SMALL)
    first = command(*arguments)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs" / "seed-0").rglob("*")}
    assert command(*arguments) == first
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "runs" / "seed-0").rglob("*")}


def test_features_are_chosen(command: Callable[..., Any], corpus: Path, tmp_path: Path) -> None:
    result = command("train", corpus, "--out", tmp_path / "runs", "--features", "audio=tiny-audio", *SMALL)
    assert result.code == 0
    found = read(tmp_path / "runs" / "seed-0" / "model" / "manifest.json")
    assert list(found["features"]) == ["audio"] and found["features"]["audio"][0]["name"] == "tiny-audio"


def test_progress_is_told_where_there_is_no_terminal(command: Callable[..., Any], corpus: Path, tmp_path: Path) -> None:
    result = command("train", corpus, "--out", tmp_path / "runs", *SMALL, "--set", "epochs=20")
    lines = result.err.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "seed 0, epoch 10",
        "seed 0, epoch 20",
        f"Written to {tmp_path}/runs",
    ]
    assert all("dev W-F1" in line for line in lines[:2])


def test_a_second_experiment_is_refused_and_the_first_kept(
    command: Callable[..., Any], corpus: Path, tmp_path: Path
) -> None:
    assert command("train", corpus, "--out", tmp_path / "runs", *SMALL).code == 0
    before = {p: p.read_bytes() for p in (tmp_path / "runs").rglob("*") if p.is_file()}
    result = command("train", corpus, "--out", tmp_path / "runs", "--seeds", "1", *SMALL, "--set", "loss.norm=0")
    assert result.code == 2
    assert "holds runs of another experiment (its training differ" in result.err
    assert before == {p: p.read_bytes() for p in (tmp_path / "runs").rglob("*") if p.is_file()}


def test_a_second_try_may_take_a_folder_in_which_nothing_came_about(
    command: Callable[..., Any], corpus: Path, tmp_path: Path
) -> None:
    wild = ("--set", "learning_rate=1e30", "--set", "clip=1e30", "--set", "epochs=60")
    failed = command("train", corpus, "--out", tmp_path / "runs", *SMALL, *wild)
    assert failed.code == 2 and "training broke down" in failed.err
    assert not (tmp_path / "runs").exists()
    assert command("train", corpus, "--out", tmp_path / "runs", *SMALL).code == 0


def test_a_second_command_on_a_seed_is_refused_and_ctrl_c_is_no_traceback(
    command: Callable[..., Any], corpus: Path, tmp_path: Path
) -> None:
    endless = ("--set", "epochs=1000000", "--set", "patience=1000000")
    arguments = ["train", str(corpus), "--out", str(tmp_path / "runs"), "--threads", "1", *SMALL, *endless]
    code = "from broadmamba.cli.main import run; run()"
    first = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True)
    assert first.stderr is not None
    assert first.stderr.readline().startswith("seed 0, epoch 10: ")
    refused = command(*arguments)
    assert (refused.code, refused.err) == (
        2,
        f"broadmamba: {tmp_path}/runs/seed-0: another process trains this seed at the moment; try again when it has "
        "ended\n",
    )
    first.send_signal(signal.SIGINT)
    told = first.communicate(timeout=60)[1]
    assert first.returncode == 130
    assert told.endswith(
        f"broadmamba: stopped: what was saved is kept in {tmp_path}/runs, and the same command resumes there\n"
    )
    assert "Traceback" not in told
    assert not list((tmp_path / "runs").rglob(".*"))


def test_two_commands_train_different_seeds_of_a_folder(
    command: Callable[..., Any], corpus: Path, tmp_path: Path
) -> None:
    arguments = ["train", str(corpus), "--out", str(tmp_path / "runs"), "--threads", "1", *SMALL]
    code = "from broadmamba.cli.main import run; run()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--seeds", "3-5"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert command(*arguments, "--seeds", "0-2").code == 0
    assert other.wait(60) == 0
    assert read(tmp_path / "runs" / "summary.json")["seeds"] == [0, 1, 2, 3, 4, 5]
    assert not list((tmp_path / "runs").rglob(".*"))


def test_of_one_seed_no_deviation_is_shown(command: Callable[..., Any], corpus: Path, tmp_path: Path) -> None:
    result = command("train", corpus, "--out", tmp_path / "runs", *SMALL)
    figure = read(tmp_path / "runs" / "summary.json")["dev"]["weighted_f1"]
    assert figure["sd"] is None and f" {100 * figure['mean']:.2f} " in result.out
    assert "±" not in result.out


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_the_installed_command_goes_on_after_a_kill(command: Callable[..., Any], corpus: Path, tmp_path: Path) -> None:
    arguments = ["train", str(corpus), "--seeds", "0-1", "--threads", "1", *SMALL, "--set", "epochs=12"]
    code = "from broadmamba.cli.main import run; run()"
    killed = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--out", str(tmp_path / "killed")],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed" / "seed-1").exists():
        assert killed.poll() is None and time.monotonic() < deadline, killed.stderr
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert killed.stderr is not None
    killed.stderr.close()
    assert not (tmp_path / "killed" / "summary.json").exists()
    for name in ("killed", "whole"):
        assert command(*arguments, "--out", tmp_path / name).code == 0
    for seed in (0, 1):
        for name in ("model/model.safetensors", "metrics.jsonl"):
            one, other = (tmp_path / run / f"seed-{seed}" / name for run in ("killed", "whole"))
            assert one.read_bytes() == other.read_bytes()
