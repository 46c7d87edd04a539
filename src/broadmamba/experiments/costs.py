"""What a pass over the test split and an epoch of training cost, all systems interleaved in one run (Table 2)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.evaluation.flops import count_flops
from broadmamba.experiments.pool import no_interrupt, worker_pool
from broadmamba.training.config import TrainingConfig
from broadmamba.training.environment import environment
from broadmamba.training.fit import fit, untrained

PASSES = 9
"""Rounds over all systems, a pass of each."""

EPOCHS = 2
"""Rounds over all systems, an epoch of training of each."""


def measure_costs(
    folder: Path, configs: Mapping[str, TrainingConfig], on_step: Callable[[str], object]
) -> dict[str, Any]:
    """Measure every system of a table on one corpus.

    Weights do not change what a pass costs, so the models are untrained. A pass is scoring of the test split whose
    features lie normalised in memory; the first is a warm-up and not counted. In each round every system has its turn,
    so that what else the machine does falls on all of them.

    Args:
        folder: of the corpus.
        configs: row → settings.
        on_step: told what is measured next.

    Returns:
        `environment`, `conversations` and, under `rows`, for each: `parameters`, `flops` (of a pass),
        `pass_seconds` and `epoch_seconds` (one for each round; an epoch has a look at dev), `epochs` (of the
        settings) and `peak_memory` (bytes of a pass above what is held before it; null where it cannot be told).
    """
    corpus = Corpus.open(folder)
    train, test = corpus.split("train"), corpus.split("test")
    checkpoints = {name: untrained(train, config, 0) for name, config in configs.items()}
    prepared = {name: checkpoint.prepare_split(test) for name, checkpoint in checkpoints.items()}
    rows: dict[str, dict[str, Any]] = {}
    for name, checkpoint in checkpoints.items():
        on_step(f"{name}: operations and memory")
        checkpoint.model.eval()
        checkpoint.score(prepared[name])
        rows[name] = {
            "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
            "flops": count_flops(lambda c=checkpoint, p=prepared[name]: c.score(p)),  # type: ignore[misc]
            "pass_seconds": [],
            "epoch_seconds": [],
            "epochs": configs[name].epochs,
            "peak_memory": _in_a_child(folder, configs[name]),
        }
    for number in range(PASSES):
        on_step(f"passes, round {number + 1} of {PASSES}")
        for name, checkpoint in checkpoints.items():
            begun = time.perf_counter()
            checkpoint.score(prepared[name])
            rows[name]["pass_seconds"].append(time.perf_counter() - begun)
    for number in range(EPOCHS):
        for name, config in configs.items():
            on_step(f"{name}: training, round {number + 1} of {EPOCHS}")
            rows[name]["epoch_seconds"].append(_epoch_seconds(corpus, config, number))
    return {"environment": environment(), "conversations": len(test.conversations), "rows": rows}


def _epoch_seconds(corpus: Corpus, config: TrainingConfig, seed: int) -> float:
    """Seconds from the end of the first epoch to that of the second one."""
    ends: list[float] = []
    fit(corpus, replace(config, epochs=2), seed=seed, on_epoch=lambda _: ends.append(time.perf_counter()))
    return ends[1] - ends[0]


def _in_a_child(folder: Path, config: TrainingConfig) -> int | None:
    with worker_pool(1) as pool:
        with no_interrupt():
            task = pool.submit(peak_of_a_pass, folder, config)
        try:
            return task.result()
        except BrokenProcessPool:
            raise InputError(
                f"a process was killed, most likely since memory ran out, in a pass of {config.system} over {folder}"
            ) from None


def peak_of_a_pass(folder: Path, config: TrainingConfig) -> int | None:
    """Bytes that a pass over test holds at its peak above what the process held before, or None without /proc."""
    corpus = Corpus.open(folder)
    checkpoint = untrained(corpus.split("train"), config, 0)
    checkpoint.model.eval()
    prepared = checkpoint.prepare_split(corpus.split("test"))
    try:
        Path("/proc/self/clear_refs").write_text("5")  # begins the peak anew
        before = _resident("VmRSS")
        checkpoint.score(prepared)
        return _resident("VmHWM") - before
    except OSError:
        return None


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def middle(values: list[float]) -> float:
    """Median: what a busy moment does to one round does not show."""
    return statistics.median(values)
