"""`broadmamba reproduce`: a table or figure of the paper, ours beside the paper's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broadmamba.cli import completion
from broadmamba.cli.printing import say, show
from broadmamba.errors import InputError

if TYPE_CHECKING:
    from broadmamba.experiments.jobs import Job


def reproduce(
    what: Annotated[
        list[str],
        typer.Argument(
            help="Tables and figures: table1 to table4, figure5 to figure8, readings, length, search, or all; corpora "
            "may stand here too.",
            metavar="WHAT…",
            autocompletion=completion.studies,
        ),
    ],
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="Corpora, such as iemocap=FOLDER meld=FOLDER; without any, pages are made from the records."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of records, pages and figures.")] = Path("results"),
    seeds: Annotated[str, typer.Option(help="Declared seeds; a row that needs fewer takes the first.")] = "0-9",
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="Features of a modality in place of ours, such as text=roberta1+roberta2; repeat for each.",
            show_default="those of the settings",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Runs at once, of one thread each.", show_default="all cores")
    ] = None,
) -> None:
    """Make tables and figures of the paper; runs that have a record are never run again."""
    from broadmamba.experiments.studies import load_study, studies
    from broadmamba.storage import refuse_replacing
    from broadmamba.training.options import parse_seeds, split_pair

    names = [text for text in what if "=" not in text]
    given = [*(corpus or []), *(text for text in what if "=" in text)]
    folders = dict(split_pair(text, "NAME=FOLDER") for text in given)
    pairs = (split_pair(text, "modality=feature") for text in features or [])
    chosen = {modality: tuple(found.split("+")) for modality, found in pairs}
    refuse_replacing([out], folders.values())
    numbers = parse_seeds(seeds)
    known = [load_study(name).name for name in (studies() if names == ["all"] else names)]  # a typing error is told now
    if not known:
        raise InputError(f"expected the name of a table or figure, found none; known are {', '.join(studies())}")

    from broadmamba.experiments.reproduce import reproduce as make
    from broadmamba.experiments.workshop import Workshop

    def progress(done: int, total: int, job: Job) -> None:
        say(f"{done} of {total}: {job.corpus}, {job.config.system}, seed {job.seed}")

    workshop = Workshop(
        out=out,
        corpora={name: Path(folder) for name, folder in folders.items()},
        seeds=numbers,
        workers=workers or os.cpu_count() or 1,
        progress=progress,
        say=say,
        features=chosen,
    )
    for name in known:
        for path in make(name, workshop):
            show(path)
