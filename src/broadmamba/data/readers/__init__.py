"""Reading other people's corpora: a reader is a module with `recognises(source)` and `read(source, ...)`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from broadmamba.data.conversation import near
from broadmamba.data.corpus import Corpus
from broadmamba.data.readers import meld, pickles, table
from broadmamba.data.spec import MODALITIES
from broadmamba.errors import InputError


class Reader(Protocol):
    """What every reader module offers."""

    def recognises(self, source: Path) -> bool:
        """Whether the source plainly is of this format."""

    def read(self, source: Path, name: str | None = None, modalities: Mapping[str, str] | None = None) -> Corpus:
        """Read the source into memory."""


READERS: dict[str, Reader] = {"meld": meld, "table": table, "pickle": pickles}
"""Format name → reader."""


def detect(source: Path) -> str:
    """The format of a source, where it is plain.

    Raises:
        InputError: there is no such source, or not exactly one reader recognises it.
    """
    if not source.exists():
        raise InputError(f"{source}: there is no such file or folder")
    if (source / "corpus.json").is_file():
        raise InputError(f"{source}: this is a converted corpus already")
    formats = [name for name, reader in READERS.items() if reader.recognises(source)]
    if len(formats) != 1:
        found = " and ".join(formats) if formats else "no format it could be"
        raise InputError(f"{source}: found {found}; say which it is with --format, one of {', '.join(READERS)}")
    return formats[0]


def read_corpus(
    source: Path | str,
    format: str | None = None,
    name: str | None = None,
    modalities: Mapping[str, str] | None = None,
) -> Corpus:
    """Read a corpus of another format into memory.

    Args:
        source: a file or folder.
        format: a key of `READERS`; found from the source if not given.
        name: of the corpus; the reader knows one if not given.
        modalities: feature name → modality, for features whose name does not tell it.

    Raises:
        InputError: the format, a feature or a modality is unknown, or the source is not what was expected.
    """
    source, modalities = Path(source), modalities or {}
    if format is not None and format not in READERS:
        raise InputError(f"unknown format {format!r}; known are {', '.join(READERS)}{near(format, list(READERS))}")
    for feature, modality in modalities.items():
        if modality not in MODALITIES:
            raise InputError(f"feature {feature!r}: unknown modality {modality!r}; known are {', '.join(MODALITIES)}")
    corpus = READERS[format or detect(source)].read(source, name, modalities)
    if unknown := [feature for feature in modalities if feature not in corpus.features]:
        known = ", ".join(corpus.features) or "none"
        raise InputError(f"{source}: there is no feature {unknown[0]!r} to state the modality of; there are {known}")
    return corpus
