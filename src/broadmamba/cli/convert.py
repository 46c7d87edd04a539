"""`broadmamba convert`: other people's corpora into a corpus folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from broadmamba.data.corpus import Corpus


def convert(
    source: Annotated[Path, typer.Argument(help="Folder or file to read.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Corpus folder to make.", show_default=False)],
    format: Annotated[
        str | None, typer.Option(help="meld, table or pickle; found from the source if it is plain.")
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=KIND", help="Modality of a feature: text, audio or video. Repeatable."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the corpus.")] = None,
) -> None:
    """Convert MELD's CSVs, a table (JSONL + NPY) or a feature pickle into a corpus folder."""
    from rich.console import Console

    from broadmamba.data.readers import read_corpus
    from broadmamba.errors import InputError

    if out.exists():
        raise InputError(f"{out}: exists already and is left as it is; choose another folder")
    stated = dict(_name_and_kind(pair) for pair in modality or [])
    corpus = read_corpus(source, format, name, stated)
    corpus.save(out)
    _print_summary(corpus, out, Console())


def _name_and_kind(pair: str) -> tuple[str, str]:
    from broadmamba.errors import InputError

    name, separator, kind = pair.partition("=")
    if not separator or not name or not kind:
        raise InputError(f"--modality {pair}: expected NAME=text, NAME=audio or NAME=video")
    return name, kind


def _print_summary(corpus: Corpus, out: Path, console: Console) -> None:
    from collections import Counter

    from rich.markup import escape
    from rich.table import Table

    console.print(f"[bold]{escape(corpus.name)}[/bold] → {escape(str(out))}", highlight=False)
    table = Table(
        "split", *(f"{what}" for what in ("conversations", "utterances")), *map(escape, corpus.labels)
    )
    for split in map(corpus.split, corpus.splits):
        labels = Counter(utterance.label for utterance in split.utterances)
        counts = (
            len(split.conversations),
            len(split.utterances),
            *(labels[label] for label in corpus.labels),
        )
        table.add_row(escape(split.name), *map(str, counts))
    table.add_row("all", str(len(corpus.conversations)), str(len(corpus.utterances)))
    console.print(table)
    if corpus.features:
        features = Table("feature", "modality", "width", "rows missing", "rows with gaps")
        for key, feature in corpus.features.items():
            numbers = (feature.spec.width, feature.missing().sum(), feature.incomplete().sum())
            features.add_row(escape(key), feature.spec.modality, *map(str, numbers))
        console.print(features)
    for note in corpus.notes:
        console.print(f"note: {escape(note)}", highlight=False)
