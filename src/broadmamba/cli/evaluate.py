"""`broadmamba evaluate`: score a model on a split of a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from broadmamba.cli.completion import SPLITS, among, models
from broadmamba.cli.printing import console, hand_over, say


def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="Model folder, or the name of a model that comes with broadmamba.", autocompletion=models),
    ],
    corpus: Annotated[Path, typer.Argument(help="Corpus folder with the features that the model reads.")],
    split: Annotated[str, typer.Option(help="Split to score.", autocompletion=among(*SPLITS))] = "test",
    subsets: Annotated[
        bool, typer.Option("--subsets", help="Score with each subset of the modalities as well.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processor threads.", show_default="all cores")
    ] = None,
) -> None:
    """Score a model on a split: weighted F1, accuracy, F1 of each emotion, calibration, confusion and cost."""
    from broadmamba.data.corpus import Corpus

    opened = Corpus.open(corpus)

    import torch

    from broadmamba.cli.tables import report_tables, subsets_table
    from broadmamba.recognition.pretrained import find_model
    from broadmamba.training.checkpoint import Checkpoint
    from broadmamba.training.report import report_split, report_subsets

    if threads:
        torch.set_num_threads(threads)
    checkpoint = Checkpoint.load(find_model(model))
    report = report_split(checkpoint, opened, split)
    if subsets:
        report["subsets"] = report_subsets(checkpoint, opened, split)
    if as_json:
        hand_over(json.dumps({"model": model, "corpus": opened.name, "split": split, **report}, indent=2) + "\n")
        return
    absent = [m for m in checkpoint.modalities if m not in report["modalities"]]
    for table in report_tables(report):
        console().print(table)
    if subsets:
        console().print(subsets_table(report["subsets"]))
    if absent:
        say(f"Scored without {', '.join(absent)}, which the corpus does not have.")
