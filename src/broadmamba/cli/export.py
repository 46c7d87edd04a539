"""`broadmamba export`: a model as a bundle that needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from broadmamba.cli.completion import PRECISIONS, among, models
from broadmamba.cli.printing import say


def export(
    model: Annotated[
        str,
        typer.Argument(
            help="Model folder, such as runs/seed-0/model, or a shipped model's name.", autocompletion=models
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Text encoder that made the model's text features: a folder or a Hugging Face id.",
            show_default="the known or shipped one",
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="Precision of the text encoder's weights: int8 or float32.", autocompletion=among(*PRECISIONS)
        ),
    ] = "int8",
    corpus: Annotated[
        Path | None,
        typer.Option(
            help="Corpus that a model of an earlier version was trained on: it sums up what adaptation needs."
        ),
    ] = None,
) -> None:
    """Make a bundle of a trained model: everything that labels need in one folder, without torch.

    Models of earlier versions are converted.
    """
    from broadmamba.data.corpus import Corpus
    from broadmamba.recognition.pretrained import find_model
    from broadmamba.training.export import export_model

    opened = Corpus.open(corpus) if corpus else None
    export_model(find_model(model), out, encoder, weights, opened)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    say(f"Wrote {out} ({size / 1e6:.1f} MB). Use it by: broadmamba predict FILE --model {out}")
