"""`broadmamba extract`: add a feature to a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def extract(
    corpus: Annotated[Path, typer.Argument(help="Corpus folder, as `broadmamba convert` makes it.")],
    text: Annotated[
        str,
        typer.Option(
            help="Text encoder: minilm, a folder with a Hugging Face encoder, or a Hugging Face id. "
            "Only an id may use the network."
        ),
    ] = "minilm",
    pooling: Annotated[
        str,
        typer.Option(
            help="How tokens become one row: mean, cls, max, layers (three depths joined) or all (every depth)."
        ),
    ] = "mean",
    name: Annotated[str | None, typer.Option(help="Name of the feature.", show_default="the encoder's name")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts encoded at once.")] = 64,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.", show_default="all cores")] = None,
) -> None:
    """Encode the text of each utterance and write the feature, with its spec, into the corpus.

    Given again after a kill, it goes on where it was; a feature that is there already is not computed again.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from broadmamba.data.corpus import Corpus

    opened = Corpus.open(corpus)  # before the slow imports, so that a wrong folder is told at once
    console = Console(stderr=True)
    if console.is_terminal:
        console.print(f"Loading the text encoder {text} …", highlight=False, markup=False)

    import torch

    from broadmamba.features.extract import extract_text, has_feature
    from broadmamba.features.text import TextEncoder

    if threads:
        torch.set_num_threads(threads)
    encoder = TextEncoder.load(text, pooling)
    if name:
        encoder = encoder.named(name)
    if has_feature(opened, encoder.spec):
        typer.echo(f"{corpus} has the feature {encoder.spec.describe()} already; nothing to do", err=True)
        return
    with Progress(
        TextColumn("Encoding texts"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("texts", total=None)
        extended = extract_text(
            opened,
            encoder,
            batch_size,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    rows = len(extended.features[encoder.spec.name].values)
    typer.echo(f"{corpus}: added {encoder.spec.describe()} for {rows} utterances", err=True)
