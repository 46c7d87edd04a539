"""`broadmamba finetune-text`: fine-tune a text encoder on a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from broadmamba.cli.completion import ENCODERS, among
from broadmamba.cli.extract import add_text_feature
from broadmamba.cli.printing import say
from broadmamba.cli.progress import progress_bar


def finetune_text(
    corpus: Annotated[Path, typer.Argument(help="Corpus folder, as `broadmamba convert` makes it.")],
    out: Annotated[Path, typer.Option(help="Folder for the fine-tuned encoder; its name is the feature's.")],
    encoder: Annotated[
        str,
        typer.Option(
            help="What to begin with: minilm, mpnet, a folder with a Hugging Face encoder, or an id.",
            autocompletion=among(*ENCODERS),
        ),
    ] = "minilm",
    context: Annotated[
        int, typer.Option(min=0, max=64, help="Previous turns that are read with an utterance; 0 reads each alone.")
    ] = 8,
    speakers: Annotated[bool, typer.Option(help="Begin each turn with a letter for its speaker.")] = True,
    epochs: Annotated[int, typer.Option(min=1, max=10_000, help="Passes over the training split.")] = 6,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    rank: Annotated[int, typer.Option(min=1, max=1024, help="Rank of the learnt additions.")] = 16,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processor threads.", show_default="all cores")
    ] = None,
) -> None:
    """Fine-tune a text encoder on the training labels, choose the epoch on dev, and add its feature to the corpus.

    The feature is marked as trained on these labels. Given again after a kill, the command resumes.
    """
    from broadmamba.data.corpus import Corpus
    from broadmamba.errors import InputError
    from broadmamba.features.text.passages import Reading
    from broadmamba.features.text.tuned import is_tuned
    from broadmamba.storage import refuse_replacing

    opened = Corpus.open(corpus)  # before the slow imports, so that a wrong folder is told at once
    refuse_replacing([out], [corpus, *([encoder] if (Path(encoder) / "config.json").is_file() else [])])
    if is_tuned(encoder):
        raise InputError(f"{encoder}: is fine-tuned already, expected an encoder to begin with")

    import torch

    from broadmamba.training.finetune import FinetuneConfig
    from broadmamba.training.finetune_run import finetune_encoder

    if threads:
        torch.set_num_threads(threads)
    config = FinetuneConfig(reading=Reading(context, speakers), rank=rank, epochs=epochs, learning_rate=learning_rate)
    with progress_bar("Fine-tuning") as advance:
        made = finetune_encoder(
            opened,
            encoder,
            config,
            out,
            seed=seed,
            on_step=lambda epoch, done, steps: advance((epoch - 1) * steps + done, epochs * steps),
            on_epoch=lambda epoch: say(f"epoch {epoch.epoch}: loss {epoch.loss:.3f}, dev W-F1 {100 * epoch.dev:.2f}"),
        )
    dev = 100 * made["dev"]["weighted_f1"]
    say(f"{out}: fine-tuned on {opened.name}, epoch {made['epoch']} with dev W-F1 {dev:.2f}")
    add_text_feature(opened, str(out))
