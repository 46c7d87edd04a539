"""`broadmamba compare`: whether one run is better than another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from broadmamba.cli.printing import console, hand_over


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, made by train.")],
    others: Annotated[list[Path], typer.Argument(metavar="OTHER...", help="Run folders to compare with it.")],
    resamples: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Resamples of the bootstrap over dialogues.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed of the resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare runs by their weighted F1 on the same test utterances.

    Tested are the differences to the first run: by a paired bootstrap over dialogues, which holds the models fixed,
    and by a paired t-test over the seeds that both have, which holds the dialogues fixed. Of several comparisons, the
    p-values are adjusted by Holm's method.
    """
    from broadmamba.cli.tables import comparison_table
    from broadmamba.training.comparison import compare_runs

    result = compare_runs(first, others, resamples=resamples, seed=seed)
    if as_json:
        hand_over(json.dumps(result, indent=2) + "\n")
    else:
        console().print(comparison_table(result))
