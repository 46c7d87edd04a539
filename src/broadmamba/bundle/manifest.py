"""`manifest.json`: what a model is, and which files it consists of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broadmamba.data.conversation import LabelSet
from broadmamba.data.spec import MODALITIES, FeatureSpec
from broadmamba.errors import InputError
from broadmamba.schema import ANY, misfit
from broadmamba.storage import read_json

FORMAT, VERSION = "broadmamba-bundle", 4

COLDEST, HOTTEST = 0.1, 10.0
"""Temperatures between which one is looked for. Where every utterance is right, the best would be 0."""

WIDEST = 2**20
"""Numbers that an utterance has in a modality."""

_MOST_CLASSES = 8192
MOST_MANIFEST_BYTES = 2**22
"""Of `manifest.json`; a real one has some ten thousand."""

_FILE = re.compile(
    r"(model|ridge)\.safetensors|graph\.onnx"
    r"|text/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}/(graph\.onnx|weights\.safetensors|tokenizer\.json|encoder\.json)"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SCHEMA = {
    "system": str,
    "labels": [str],
    "speaker_relative": list,
    "temperature": float,
    "features": {ANY: [dict]},
    "model": {"widths": {ANY: int}, "classes": int},
    "files": {ANY: str},
    "provenance": dict,
}


@dataclass(frozen=True)
class ModelSizes:
    """Of a model's settings, what anything that runs it has to know; the rest is the model's own.

    Attributes:
        widths: modality → numbers an utterance, the modalities in their fixed order.
        classes: C.

    Raises:
        InputError: there is no modality, an unknown one, or a size that no model has.
    """

    widths: dict[str, int]
    classes: int

    def __post_init__(self) -> None:
        if unknown := [m for m in self.widths if m not in MODALITIES]:
            raise InputError(f"{unknown[0]!r:.40} is no modality; known are {', '.join(MODALITIES)}")
        object.__setattr__(self, "widths", {m: self.widths[m] for m in MODALITIES if m in self.widths})
        if not self.widths or not all(1 <= width <= WIDEST for width in self.widths.values()):
            raise InputError(f"the widths of the modalities are {self.widths}, expected numbers from 1 to {WIDEST}")
        if not 2 <= self.classes <= _MOST_CLASSES:
            raise InputError(f"the model has {self.classes} classes, expected 2 to {_MOST_CLASSES}")


@dataclass(frozen=True)
class Manifest:
    """What a model is.

    Attributes:
        system: the kind of model.
        labels: the order of classes.
        speaker_relative: modalities whose values are joined by their distance from the speaker's mean.
        temperature: of the probabilities; see `broadmamba.evaluation.calibration`.
        features: modality → specs of its features, side by side in this order.
        settings: of the network, with all that is its own.
        files: the other files → their SHA-256.
        provenance: corpus, settings, seed, versions and dev figures; only told, never read back.
    """

    system: str
    labels: list[str]
    speaker_relative: list[str]
    temperature: float
    features: dict[str, list[dict[str, Any]]]
    settings: dict[str, Any]
    files: dict[str, str]
    provenance: dict[str, Any]

    def __post_init__(self) -> None:
        if not COLDEST <= self.temperature <= HOTTEST:
            raise InputError(f"the temperature is {self.temperature}, expected {COLDEST} to {HOTTEST}")
        for name, digest in self.files.items():
            if not _FILE.fullmatch(name):
                raise InputError(f"{name!r:.80} is no file of a bundle")
            if not _SHA256.fullmatch(digest):
                raise InputError(f"the SHA-256 of {name} is {digest!r:.80}")

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
    def model(self) -> ModelSizes:
        """What anything that runs the network has to know."""
        return ModelSizes(self.settings["widths"], self.settings["classes"])

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        values = {("model" if name == "settings" else name): value for name, value in vars(self).items()}
        return {"format": FORMAT, "version": VERSION, **values}


def read_manifest(path: Path) -> Manifest:
    """Read `manifest.json`, and see that its parts fit each other.

    Raises:
        InputError: they do not, or a value is not what it should be.
    """
    values = read_json(path, MOST_MANIFEST_BYTES)
    found = (values.pop("format", None), values.pop("version", None)) if isinstance(values, dict) else None
    if found != (FORMAT, VERSION):
        raise InputError(f"expected format {FORMAT!r} version {VERSION}, found {found!r:.80}")
    return checked_manifest(values)


def checked_manifest(values: dict[str, Any]) -> Manifest:
    """A manifest from JSON values, without its format and version.

    Raises:
        InputError: a value is not what it should be, or two do not fit each other.
    """
    values = {"files": {}, **values}
    if (place := misfit(values, _SCHEMA)) is not None:
        raise InputError(f"{place} is missing, or not what it should be")
    if others := sorted(set(values) - set(_SCHEMA)):
        raise InputError(f"{others[0]!r:.80} is nothing that a model has")
    manifest = Manifest(settings=values.pop("model"), **values)
    labels, specs, widths = manifest.label_set, manifest.specs, manifest.model.widths
    if len(labels) != manifest.model.classes:
        raise InputError(
            f"{len(labels)} labels ({', '.join(manifest.labels[:20])}) for a model of {manifest.model.classes} classes"
        )
    if set(specs) != set(widths):
        raise InputError(f"features for {', '.join(specs) or 'nothing'}, where the model reads {', '.join(widths)}")
    if unknown := [m for m in manifest.speaker_relative if m not in MODALITIES]:  # known ones that it lacks do no harm
        raise InputError(f"speaker_relative has {unknown[0]!r:.40}, known are {', '.join(MODALITIES)}")
    for m, width in widths.items():
        made = sum(spec.width for spec in specs[m]) * (2 if m in manifest.speaker_relative else 1)
        if any(spec.modality != m for spec in specs[m]) or made != width:
            named = ", ".join(f"{spec.modality} {spec.describe()}" for spec in specs[m])
            raise InputError(f"the features of {m} are {named or 'none'}, where the model reads a width of {width}")
    return manifest
