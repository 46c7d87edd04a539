"""Finished pieces of a long extraction, kept beside the corpus so that a kill at any moment costs little work."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from broadmamba.data.corpus_folder import ADDS
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.locks import A_MOMENT, exclusive
from broadmamba.storage import map_arrays, save_arrays

_FOLDER = ".extract"


def clear_parts(folder: Path) -> None:
    """Drop the parts of all features that are kept in a folder."""
    shutil.rmtree(folder / _FOLDER, ignore_errors=True)


def forget_extraction(corpus: Path, feature: str) -> None:
    """Remove what a process left that was killed when its feature stood in the corpus already.

    Raises:
        InputError: another process is at the corpus or the feature.
    """
    if (corpus / _FOLDER / feature).exists() or (corpus / ".lock").exists():
        with exclusive(corpus, ADDS, A_MOMENT), extracting(corpus, feature):
            shutil.rmtree(corpus / _FOLDER / feature, ignore_errors=True)


@contextmanager
def extracting(corpus: Path, feature: str) -> Iterator[None]:
    """Hold a feature of a corpus while it is extracted, so that no two processes work at the same one.

    Raises:
        InputError: another process is at it.
    """
    try:
        with exclusive(corpus / _FOLDER / feature, "extracts this feature"):
            yield
    finally:
        with suppress(OSError):  # another feature may be under way
            (corpus / _FOLDER).rmdir()


class PartStore:
    """Parts of one feature under way, in a hidden folder of its corpus: `.extract/<feature>/<key>/<part>.safetensors`.

    The key is a digest of everything that decides the values, so that what another run left is never mistaken.
    """

    def __init__(self, corpus: Path, spec: FeatureSpec, decisive: Any = None) -> None:
        """The store of a feature.

        Args:
            corpus: its folder.
            spec: of the feature.
            decisive: what else the parts depend on, as JSON values.
        """
        key = hashlib.sha256(json.dumps([spec.to_dict(), decisive]).encode()).hexdigest()[:16]
        self._of_feature = corpus / _FOLDER / spec.name
        self._folder = self._of_feature / key

    def names(self) -> list[str]:
        """Names of the parts there are, sorted."""
        return sorted(file.stem for file in self._folder.glob("*.safetensors"))

    def read(self, name: str) -> dict[str, NDArray[Any]] | None:
        """The arrays of a part, or None where it is missing or damaged."""
        try:
            return map_arrays(self._file(name))
        except InputError:
            return None

    def read_all(self) -> Iterator[dict[str, NDArray[Any]]]:
        """The arrays of each part that is whole."""
        return (part for part in map(self.read, self.names()) if part is not None)

    def write(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Store a part, whole or not at all."""
        save_arrays(self._file(name), arrays)

    def clear(self) -> None:
        """Drop all parts of the feature, those under other keys too."""
        shutil.rmtree(self._of_feature, ignore_errors=True)
        with suppress(OSError):  # another feature may be under way
            self._of_feature.parent.rmdir()

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"
