"""Whether the models of one run folder are better than those of another, from the predictions that each seed keeps."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from broadmamba.evaluation.significance import RESAMPLES, holm, paired_bootstrap, paired_t_test
from broadmamba.training.predictions import RunPredictions


def compare_runs(
    first: Path | str, others: Sequence[Path | str], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Compare the weighted F1 on test of run folders with that of the first one.

    Args:
        first: a run folder.
        others: run folders that were tested on the same utterances; their seeds may be others.
        resamples: of the bootstrap over dialogues.
        seed: of its draws.

    Returns:
        `runs`, a list of `run` (the path), `seeds`, `mean` and `sd` of the weighted F1 over them (null of one seed),
        and, but for the first, `comparison`: the fields of `BootstrapResult`, and under `seeds` those of `TTestResult`
        over the seeds that both have (null where these are fewer than two). Both have `p_holm` besides, adjusted over
        all others. A number that is not finite is null.

    Raises:
        InputError: a folder has no predictions, or they are of other utterances or labels.
    """
    base = RunPredictions.read(Path(first))
    runs = [base, *(RunPredictions.read(Path(other)).in_order_of(base) for other in others)]
    rows = [_row(run) for run in runs]
    comparisons = [_compare(base, run, resamples, seed) for run in runs[1:]]
    for group in (comparisons, [c["seeds"] for c in comparisons if c["seeds"]]):
        for part, p in zip(group, holm([part["p"] for part in group]), strict=True):
            part["p_holm"] = p
    for row, comparison in zip(rows[1:], comparisons, strict=True):
        row["comparison"] = comparison
    return {"runs": rows, "utterances": int((base.truth >= 0).sum()), "resamples": resamples, "seed": seed}


def _row(run: RunPredictions) -> dict[str, Any]:
    figures = list(run.figures.values())
    spread = statistics.stdev(figures) if len(figures) > 1 else None
    return {"run": str(run.path), "seeds": list(run.figures), "mean": statistics.fmean(figures), "sd": spread}


def _compare(base: RunPredictions, run: RunPredictions, resamples: int, seed: int) -> dict[str, Any]:
    first, second = (np.stack(list(r.predicted.values())) for r in (base, run))
    lengths = [len(said) for said in base.conversations.values()]
    dialogues = np.repeat(np.arange(len(lengths)), lengths)
    result = paired_bootstrap(base.truth, first, second, dialogues, len(base.labels), resamples=resamples, seed=seed)
    shared = [s for s in base.figures if s in run.predicted]
    test: dict[str, Any] | None = None
    if len(shared) > 1:
        one, other = ([r.figures[s] for s in shared] for r in (base, run))
        test = {k: v if math.isfinite(v) else None for k, v in asdict(paired_t_test(one, other)).items()}
    return {**asdict(result), "seeds": test}
