"""`broadmamba predict`: label a conversation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    transcript: Annotated[
        Path, typer.Argument(help="Conversation as CSV, JSONL, SRT, WebVTT, or lines of `Name: text`.")
    ],
    model: Annotated[
        str, typer.Option(help="Model folder, or the name of a model that comes with broadmamba.")
    ] = "meld-text",
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="standard output")] = None,
    format: Annotated[
        str | None, typer.Option(help="table, jsonl or csv.", show_default="by the name of --out, else table")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Text encoder, where the model's own is a folder of yours.")
    ] = None,
) -> None:
    """Label each utterance of a conversation with its emotion, its probability, and what each modality weighed."""
    from rich.console import Console

    from broadmamba.media.transcripts import read_transcript
    from broadmamba.recognition.prediction import NOTICE
    from broadmamba.recognition.writers import choose_format, print_table, render
    from broadmamba.storage import write_text

    chosen = choose_format(format, out)
    conversation = read_transcript(transcript)  # before the slow imports, so that a bad file is told at once
    console = Console(stderr=True)
    with console.status("Loading the model …"):
        from broadmamba.recognition.recognizer import Recognizer

        recognizer = Recognizer.from_pretrained(model, encoder=encoder)
    with console.status("Recognising …"):
        prediction = recognizer.predict(conversation)
    if out is not None:
        write_text(out, render(prediction, chosen))
    elif chosen == "table":
        print_table(prediction, Console())
    else:
        typer.echo(render(prediction, chosen), nl=False)
    typer.echo(NOTICE, err=True)
