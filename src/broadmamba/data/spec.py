"""What a feature is: name, modality, width, where it came from. It travels with features and with models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from broadmamba.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_WIDEST = 100_000

MODALITIES = ("text", "audio", "video")
"""The modalities in their fixed order."""

TOKEN_IDS = "tokens"
"""The pooling of a feature that holds the token ids of each utterance, for systems that train an encoder themselves."""

IDENTITY = ("name", "modality", "width", "pooling", "sha256", "columns")
"""What two specs must share for a model to read the one in place of the other."""


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """How one feature was made. Two features fit together only if their specs are equal.

    Attributes:
        name: such as `minilm` or `prosody`; also its file name.
        modality: `text`, `audio` or `video`.
        width: numbers an utterance.
        version: of the extractor, or an empty string where it is not known.
        pooling: how a span became one row (`mean`, …), or an empty string.
        sha256: of the extractor's weights, or an empty string.
        licence: of the extractor, or an empty string.
        columns: one name a column, or empty.
        trained_on_labels: whether the extractor saw this corpus' training labels.
        gaps: whether single columns of a row may be missing (NaN); a row that is NaN throughout is a missing modality.
    """

    name: str
    modality: str
    width: int
    version: str = ""
    pooling: str = ""
    sha256: str = ""
    licence: str = ""
    columns: tuple[str, ...] = ()
    trained_on_labels: bool = False
    gaps: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"feature {self.name!r:.120}: a feature's name has only letters, digits, '_', '-' and '.', 100 at most"
            )
        if self.modality not in MODALITIES:
            raise InputError(
                f"feature {self.name!r}: unknown modality {self.modality!r}; known are {', '.join(MODALITIES)}"
            )
        if not 1 <= self.width <= _WIDEST:
            raise InputError(f"feature {self.name!r}: expected a width from 1 to {_WIDEST}, found {self.width!r:.40}")
        if self.columns and len(self.columns) != self.width:
            raise InputError(f"feature {self.name!r}: {len(self.columns)} column names for a width of {self.width}")

    @property
    def ids(self) -> bool:
        """Whether the numbers are names of tokens, which must reach the model as they are."""
        return self.pooling == TOKEN_IDS

    def differences(self, other: FeatureSpec) -> list[str]:
        """Names of the attributes by which a model cannot read the other feature in place of this one."""
        return [key for key in IDENTITY if getattr(self, key) != getattr(other, key)]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**asdict(self), "columns": list(self.columns)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FeatureSpec:
        """From what `to_dict` gave.

        Raises:
            InputError: a field is missing, unknown or of another type.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping) or set(values) - known or not {"name", "modality", "width"} <= set(values):
            raise InputError(f"a feature spec has name, modality and width, and may have {', '.join(sorted(known))}")
        kinds = {"width": int, "columns": list, "trained_on_labels": bool, "gaps": bool}
        for key, value in values.items():
            if not isinstance(value, kinds.get(key, str)) or (key == "width" and isinstance(value, bool)):
                raise InputError(
                    f"feature spec {values['name']!r}: {key} is {value!r}, expected {kinds.get(key, str).__name__}"
                )
        if not all(isinstance(column, str) for column in values.get("columns", ())):
            raise InputError(f"feature spec {values['name']!r}: expected names of columns")
        return cls(**{**values, "columns": tuple(values.get("columns", ()))})

    def describe(self) -> str:
        """Name, width and version in a few words, for messages."""
        parts = [
            f"{self.width} wide",
            f"version {self.version}" if self.version else "",
            f"SHA-256 {self.sha256[:12]}…" if self.sha256 else "",
        ]
        return f"{self.name} ({', '.join(filter(None, parts))})"
