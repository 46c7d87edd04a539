"""An exported text encoder on disk: all that makes rows of texts, without torch.

`graph.onnx` is the network with its pooling, `weights.safetensors` its weights, `tokenizer.json` makes token ids, and
`encoder.json` says what the rows are and how texts are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.features.text.int8_rows import SCALES
from broadmamba.features.text.passages import Reading
from broadmamba.storage import atomic_write, map_arrays, read_bytes, read_json, save_arrays, write_json, write_text

FORMAT = "broadmamba-exported-text-encoder"
VERSION = 1
PRECISIONS = ("int8", "float32")
"""How the matrices are kept: as rows of `int8_rows.py`, or as they are."""

GRAPH, WEIGHTS, TOKENIZER, SETTINGS = "graph.onnx", "weights.safetensors", "tokenizer.json", "encoder.json"

_MOST_SETTINGS, _MOST_GRAPH = 2**20, 2**24
"""Bytes; those of real encoders have a hundredth of that."""

_LONGEST, _LARGEST_ID = 2**16, 2**24
"""Tokens read at once, and the largest id of one: more than any encoder has."""

_DTYPES = (np.float32, np.int8, np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedSettings:
    """What `encoder.json` says.

    Attributes:
        spec: of the feature that the encoder makes.
        reading: how much of a conversation it reads with an utterance.
        limit: tokens that it reads, special ones included.
        before: ids of the special tokens before a text.
        after: ids of those after it.
        padding: the id that a batch is padded with.
        precision: how its matrices are kept, one of `PRECISIONS`.
        attribution: who made the weights, under which licence, and what was changed.
    """

    spec: FeatureSpec
    reading: Reading
    limit: int
    before: Sequence[int]
    after: Sequence[int]
    padding: int
    precision: str
    attribution: str

    def __post_init__(self) -> None:
        if self.spec.modality != "text" or self.spec.ids:
            raise InputError(f"expected an encoder of texts, found one that makes {self.spec.describe()}")
        for name, special in (("before", self.before), ("after", self.after), ("padding", [self.padding])):
            for id in special:
                _check_whole(name, id, 0, _LARGEST_ID)
        _check_whole("limit", self.limit, len(self.before) + len(self.after) + 1, _LONGEST)
        if self.precision not in PRECISIONS:
            raise InputError(f"precision: expected {' or '.join(PRECISIONS)}, found {self.precision!r:.60}")

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "feature": self.spec.to_dict(),
            "reading": self.reading.to_dict(),
            "limit": self.limit,
            "tokens": {"before": list(self.before), "after": list(self.after), "padding": self.padding},
            "precision": self.precision,
            "licence": self.spec.licence,
            "attribution": self.attribution,
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """From what `to_dict` gave.

        Raises:
            InputError: something is missing, of another kind, or out of all bounds.
        """
        if not isinstance(values, dict) or (values.get("format"), values.get("version")) != (FORMAT, VERSION):
            raise InputError(f"expected format {FORMAT!r} version {VERSION}")
        tokens = values.get("tokens")
        if not isinstance(tokens, dict) or not all(isinstance(tokens.get(key), list) for key in ("before", "after")):
            raise InputError("expected tokens with lists of those before and after a text")
        if not isinstance(attribution := values.get("attribution"), str):
            raise InputError(f"attribution: expected a sentence, found {attribution!r:.60}")
        return cls(
            spec=FeatureSpec.from_dict(values.get("feature", {})),
            reading=Reading.from_dict(values.get("reading", {})),
            limit=values.get("limit", 0),
            before=tuple(tokens["before"]),
            after=tuple(tokens["after"]),
            padding=tokens.get("padding", -1),
            precision=values.get("precision", ""),
            attribution=attribution,
        )


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise InputError(f"{name}: expected a whole number from {least} to {most}, found {value!r:.60}")


def write_exported(
    folder: Path, settings: ExportedSettings, graph: bytes, weights: Mapping[str, NDArray[Any]], tokenizer: str
) -> None:
    """Write the folder; its settings come last, so that a folder that has them is whole."""
    with atomic_write(folder / GRAPH) as file:
        file.write(graph)
    save_arrays(folder / WEIGHTS, weights)
    write_text(folder / TOKENIZER, tokenizer)
    write_json(folder / SETTINGS, settings.to_dict())


def read_settings(folder: Path) -> ExportedSettings:
    """Read `encoder.json`.

    Raises:
        InputError: it is missing, damaged, of another version, or says what cannot be.
    """
    values = read_json(folder / SETTINGS, _MOST_SETTINGS)
    try:
        return ExportedSettings.from_dict(values)
    except InputError as error:
        raise InputError(f"{folder / SETTINGS}: {error}") from None


def read_network(folder: Path) -> tuple[bytes, dict[str, NDArray[Any]]]:
    """The graph, and its weights, which stay on disk until they are needed.

    Raises:
        InputError: a file is missing or damaged, a weight is of a wrong type, or a scale is not finite.
    """
    graph = folder / GRAPH
    if graph.is_file() and (size := graph.stat().st_size) > _MOST_GRAPH:
        raise InputError(f"{graph}: the file has {size} bytes, expected at most {_MOST_GRAPH}")
    content, weights = read_bytes(graph), map_arrays(folder / WEIGHTS)
    for name, values in weights.items():
        if values.dtype not in _DTYPES:
            raise InputError(f"{folder / WEIGHTS}: {name!r:.80} is of {values.dtype}, expected float32, int8 or int64")
        if name.endswith(SCALES) and not np.isfinite(values).all():
            raise InputError(f"{folder / WEIGHTS}: {name!r:.80} has non-finite values, expected the scales of rows")
    return content, weights
