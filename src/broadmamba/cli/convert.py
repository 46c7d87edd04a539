"""`broadmamba convert`: other people's corpora into a corpus folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broadmamba.cli.completion import CORPUS_FORMATS, among
from broadmamba.cli.printing import console, show

if TYPE_CHECKING:
    from broadmamba.data.corpus import Corpus, Split

_SHOWN_LABELS = 100


def convert(
    source: Annotated[Path, typer.Argument(help="Folder or file to read.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Corpus folder to make.", show_default=False)],
    format: Annotated[
        str | None,
        typer.Option(
            help="meld, table or pickle; found from the source if it is plain.",
            autocompletion=among(*CORPUS_FORMATS),
        ),
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=KIND", help="Modality of a feature: text, audio or video. Repeatable."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the corpus.")] = None,
) -> None:
    """Convert MELD's CSVs, a table (JSONL + NPY) or a feature pickle into a corpus folder."""
    from broadmamba.data.corpus_folder import refuse_occupied
    from broadmamba.data.readers import read_corpus

    refuse_occupied(out)
    stated = dict(_name_and_kind(pair) for pair in modality or [])
    corpus = read_corpus(source, format, name, stated)
    corpus.save(out)
    _print_summary(corpus, out)


def _name_and_kind(pair: str) -> tuple[str, str]:
    from broadmamba.errors import InputError

    name, separator, kind = pair.partition("=")
    if not separator or not name or not kind:
        raise InputError(f"--modality {pair}: expected NAME=text, NAME=audio or NAME=video")
    return name, kind


def _print_summary(corpus: Corpus, out: Path) -> None:
    from collections import Counter

    from rich.table import Table

    show(f"{corpus.name} → {out}")
    parts: list[Corpus | Split] = [corpus, *map(corpus.split, corpus.splits)]
    labels = [Counter(utterance.label for utterance in part.utterances) for part in parts]
    table = Table("", "all", *corpus.splits)
    table.add_row("conversations", *(str(len(part.conversations)) for part in parts))
    table.add_row("utterances", *(str(len(part.utterances)) for part in parts), end_section=True)
    for label in list(corpus.labels)[:_SHOWN_LABELS]:
        table.add_row(label, *(str(counts[label]) for counts in labels))
    if (more := len(corpus.labels) - _SHOWN_LABELS) > 0:
        table.add_row(f"… {more} more", *("…" for _ in labels))
    if any(None in counts for counts in labels):
        table.add_row("(no label)", *(str(counts[None]) for counts in labels))
    console().print(table)
    if corpus.features:
        features = Table("feature", "modality", "width", "rows missing", "rows with gaps")
        for key, feature in corpus.features.items():
            numbers = (feature.spec.width, feature.missing().sum(), feature.incomplete().sum())
            features.add_row(key, feature.spec.modality, *map(str, numbers))
        console().print(features)
    for note in corpus.notes:
        show(f"note: {note}")
