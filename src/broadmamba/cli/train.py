"""`broadmamba train`: train one model a seed and select each on dev."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broadmamba.cli.completion import presets
from broadmamba.cli.printing import console, say

if TYPE_CHECKING:
    from broadmamba.training.config import TrainingConfig


def train(
    corpus: Annotated[Path, typer.Argument(help="Corpus folder with splits train, dev and test.")],
    out: Annotated[Path, typer.Option(help="Run folder; an interrupted one is resumed.")],
    preset: Annotated[
        str,
        typer.Option(help="Settings: iemocap, meld, meld-mpnet, meld-text, mosi or paper.", autocompletion=presets),
    ] = "paper",
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0-9 or 0,3,7.")] = "0",
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="Features of a modality, such as audio=gemaps+prosody; repeat for each.",
            show_default="the preset's, or all that the corpus has",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, such as epochs=30, model.fusion=gate or system=sdt; repeatable."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processor threads.", show_default="all cores")
    ] = None,
) -> None:
    """Train Broad Mamba, or a system to compare it with; test is scored once, after each model was selected on dev."""
    from broadmamba.data.corpus import Corpus
    from broadmamba.storage import refuse_replacing

    opened = Corpus.open(corpus)  # before the slow imports, so that a wrong folder is told at once
    refuse_replacing([out], [corpus])

    import torch

    from broadmamba.cli.tables import figures_table, training_progress
    from broadmamba.training.config import preset as load_preset
    from broadmamba.training.options import adjust, parse_seeds
    from broadmamba.training.runs import train_seeds

    if threads:
        torch.set_num_threads(threads)
    numbers = parse_seeds(seeds)
    config: TrainingConfig = adjust(load_preset(preset), features or [], set_ or [])
    with training_progress(len(numbers), config.epochs) as on_epoch:
        summary = train_seeds(opened, config, numbers, out, on_epoch=on_epoch)
    console().print(figures_table(summary))
    say(f"Written to {out}")
