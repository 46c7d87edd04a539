"""`manifest.json`: what a model is, and which files it consists of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from broadmamba.data.conversation import LabelSet
from broadmamba.data.spec import MODALITIES, FeatureSpec
from broadmamba.errors import InputError
from broadmamba.storage import read_json

FORMAT, VERSION = "broadmamba-bundle", 4

OURS = "broadmamba"
"""The system that has a graph; those that it is compared with need torch."""

COLDEST, HOTTEST = 0.1, 10.0
"""Temperatures between which one is looked for. Where every utterance is right, the best would be 0."""

WIDEST = 2**20
"""Numbers that an utterance has in a modality."""

_MOST_CLASSES = 8192
_MOST_BYTES = 2**24
"""Of `manifest.json`; a real one has some ten thousand."""

_FILE = re.compile(
    r"(model|ridge)\.safetensors|graph\.onnx"
    r"|text/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}/(graph\.onnx|weights\.safetensors|tokenizer\.json|encoder\.json)"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelSizes(BaseModel):
    """Of a model's settings, what anything that runs it has to know; the rest is the model's own.

    Attributes:
        widths: modality → numbers an utterance.
        classes: C.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    widths: dict[str, Annotated[int, Field(ge=1, le=WIDEST)]] = Field(min_length=1)
    classes: int = Field(ge=2, le=_MOST_CLASSES)

    @field_validator("widths")
    @classmethod
    def _known(cls, widths: dict[str, int]) -> dict[str, int]:
        if unknown := [m for m in widths if m not in MODALITIES]:
            raise ValueError(f"{unknown[0]!r:.40} is no modality; known are {', '.join(MODALITIES)}")
        return {m: widths[m] for m in MODALITIES if m in widths}


class Manifest(BaseModel):
    """What a model is.

    Attributes:
        system: the kind of model.
        labels: the order of classes.
        speaker_relative: modalities whose values are joined by their distance from the speaker's mean.
        temperature: of the probabilities; see `broadmamba.evaluation.calibration`.
        features: modality → specs of its features, side by side in this order.
        model: settings of the network.
        files: the other files → their SHA-256.
        provenance: corpus, settings, seed, versions and dev figures; only told, never read back.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal["broadmamba-bundle"] = "broadmamba-bundle"
    version: Literal[4] = 4
    system: str
    labels: list[str]
    speaker_relative: list[str]
    temperature: float = Field(ge=COLDEST, le=HOTTEST)
    features: dict[str, list[dict[str, Any]]]
    model: ModelSizes
    files: dict[str, str] = Field(default_factory=dict)
    provenance: dict[str, Any]

    @field_validator("files")
    @classmethod
    def _named(cls, files: dict[str, str]) -> dict[str, str]:
        for name, digest in files.items():
            if not _FILE.fullmatch(name):
                raise ValueError(f"{name!r:.80} is no file of a bundle")
            if not _SHA256.fullmatch(digest):
                raise ValueError(f"the SHA-256 of {name} is {digest!r:.80}")
        return files

    @property
    def label_set(self) -> LabelSet:
        """The order of classes."""
        return LabelSet(self.labels)

    @property
    def specs(self) -> dict[str, tuple[FeatureSpec, ...]]:
        """Modality → specs of its features."""
        return {m: tuple(map(FeatureSpec.from_dict, specs)) for m, specs in self.features.items()}

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities in their fixed order."""
        return tuple(self.model.widths)

    @property
    def settings(self) -> dict[str, Any]:
        """Of the network, with all that is its own."""
        return self.model.model_dump()


def read_manifest(path: Path) -> Manifest:
    """Read `manifest.json`, and see that its parts fit each other.

    Raises:
        InputError: they do not, or a value is not what it should be.
    """
    values = read_json(path, _MOST_BYTES)
    found = (values.get("format"), values.get("version")) if isinstance(values, dict) else None
    if found != (FORMAT, VERSION):
        raise InputError(f"expected format {FORMAT!r} version {VERSION}, found {found!r:.80}")
    return checked_manifest(values)


def checked_manifest(values: Any) -> Manifest:
    """A manifest from JSON values.

    Raises:
        InputError: a value is not what it should be, or two do not fit each other.
    """
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"{place}: {first['msg']}, found {first.get('input')!r:.60}") from None
    labels, specs, widths = manifest.label_set, manifest.specs, manifest.model.widths
    if len(labels) != manifest.model.classes:
        raise InputError(
            f"{len(labels)} labels ({', '.join(manifest.labels[:20])}) for a model of {manifest.model.classes} classes"
        )
    if set(specs) != set(widths):
        raise InputError(f"features for {', '.join(specs) or 'nothing'}, where the model reads {', '.join(widths)}")
    if unknown := [m for m in manifest.speaker_relative if m not in MODALITIES]:  # known ones that it lacks do no harm
        raise InputError(f"speaker_relative has {', '.join(unknown)}, known are {', '.join(MODALITIES)}")
    for m, width in widths.items():
        made = sum(spec.width for spec in specs[m]) * (2 if m in manifest.speaker_relative else 1)
        if any(spec.modality != m for spec in specs[m]) or made != width:
            named = ", ".join(f"{spec.modality} {spec.describe()}" for spec in specs[m])
            raise InputError(f"the features of {m} are {named or 'none'}, where the model reads a width of {width}")
    return manifest
