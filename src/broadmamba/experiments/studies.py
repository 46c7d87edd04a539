"""A study: what a table or figure runs, on what, and the paper's own numbers beside it; one TOML each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from broadmamba.baselines.systems import OURS
from broadmamba.data.conversation import near
from broadmamba.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table, one bar or curve of a figure.

    Attributes:
        name: as it is printed.
        system: which is trained.
        set: settings that differ from those of the system on the corpus.
        modalities: those it is given; empty for all that the settings name.
        seeds: how many of the declared seeds, at the most.
        paper: corpus → figure → the number that the paper prints.
    """

    name: str
    system: str = OURS
    set: Mapping[str, Any] = field(default_factory=dict)
    modalities: Sequence[str] = ()
    seeds: int = 10
    paper: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A table or figure.

    Attributes:
        name: of its files.
        title: as it is printed.
        kind: how it is made, a name of `reproduce.KINDS`.
        corpora: that the paper or we show it for.
        rows: in their order.
        reference: name of the row that the others are compared with; empty for none.
        note: what a reader has to know, in Markdown.
        conversation: which one is shown, for the figure that shows one.
        losses: whether the runs also measure losses of train and dev after each epoch, without dropout.
    """

    name: str
    title: str
    kind: str
    corpora: Sequence[str]
    rows: Sequence[Row]
    reference: str = ""
    note: str = ""
    conversation: str = ""
    losses: bool = False


def studies() -> list[str]:
    """Names of all studies."""
    folder = resources.files("broadmamba.experiments") / "studies"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_study(name: str) -> Study:
    """A study by its name.

    Raises:
        InputError: there is none of that name; the message lists those that there are.
    """
    known = studies()
    if name not in known:
        raise InputError(f"unknown table or figure {name!r}; known are {', '.join(known)}{near(name, known)}")
    text = (resources.files("broadmamba.experiments") / "studies" / f"{name}.toml").read_text(encoding="utf-8")
    values = tomllib.loads(text)
    rows = tuple(Row(**row) for row in values.pop("rows", ()))
    return Study(name=name, rows=rows, **values)
