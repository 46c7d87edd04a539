"""Every choice of a training, in one frozen record, and the presets that hold ours."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from typing import Any

from broadmamba.baselines.systems import OURS, system
from broadmamba.data.conversation import near
from broadmamba.data.spec import MODALITIES
from broadmamba.errors import InputError
from broadmamba.model.loss import LossConfig
from broadmamba.model.settings import ModelConfig


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of a training.

    Attributes:
        system: the kind of model, a name of `broadmamba.baselines.systems.SYSTEMS`.
        features: modality → names of the features that make it up, side by side; empty for all that the
            corpus has and the system reads.
        speaker_relative: modalities to which each value's distance from its speaker's mean in the conversation is
            added, column by column (addition).
        model: settings of the system's config, such as `BroadMambaConfig`, without what the corpus decides (`widths`,
            `classes`).
        loss: weights of the loss terms.
        epochs: passes over the training split.
        batch_size: conversations a step.
        learning_rate: highest value of a cosine schedule that warms up over the first tenth.
        weight_decay: of AdamW; state-space parameters have none.
        clip: largest norm of the gradient.
        average: decay of the running mean of weights that is evaluated and kept; 0 for none.
        refit: whether each W_b is set in closed form (Eq. 15) after each epoch, besides its gradient steps.
        patience: epochs without a better dev figure after which training stops.
    """

    system: str = OURS
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    speaker_relative: tuple[str, ...] = ()
    model: Mapping[str, Any] = field(default_factory=dict)
    loss: LossConfig = field(default_factory=LossConfig)
    epochs: int = 60
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    clip: float = 1.0
    average: float = 0.0
    refit: bool = False
    patience: int = 60

    def model_config(self, widths: Mapping[str, int], classes: int) -> ModelConfig:
        """The network's settings once the corpus is known."""
        return system(self.system).config.from_dict({**self.model, "widths": dict(widths), "classes": classes})

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            **asdict(self),
            "features": {m: list(names) for m, names in self.features.items()},
            "speaker_relative": list(self.speaker_relative),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingConfig:
        """From what `to_dict` gave, or from a preset.

        Raises:
            InputError: a setting is unknown or of the wrong kind.
        """
        _check_names(values, cls, "training")
        for name in ("features", "model", "loss"):
            if not isinstance(values.get(name, {}), Mapping):
                raise InputError(f"{name}: expected settings by name, found {values[name]!r:.40}")
        loss = values.get("loss", {})
        _check_names(loss, LossConfig, "loss")
        if decided := {"widths", "classes"} & set(values.get("model", {})):
            raise InputError(f"model: {', '.join(sorted(decided))} is not a setting, the corpus decides it")
        features = {m: _names(f"features of {m}", names) for m, names in values.get("features", {}).items()}
        relative = _names("speaker_relative", values.get("speaker_relative", ()))
        for name, modalities in (("features", tuple(features)), ("speaker_relative", relative)):
            if unknown := [m for m in modalities if m not in MODALITIES]:
                raise InputError(f"{name}: expected some of {', '.join(MODALITIES)}, found {', '.join(unknown)}")
        config = cls(**{**values, "loss": LossConfig(**loss), "features": features, "speaker_relative": relative})
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(config, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name}: expected a whole number of at least 1, found {value!r}")
        if not isinstance(config.refit, bool):
            raise InputError(f"refit: expected true or false, found {config.refit!r}")
        for name, value in {**vars(config), **vars(config.loss)}.items():
            if name in _RANGES:
                _check_number(name, value, *_RANGES[name])
        if config.refit and config.system != OURS:
            raise InputError(f"refit: is for {OURS} alone, found the system {config.system!r}")
        if config.refit and config.loss.ridge == 0:
            raise InputError("ridge: expected a number above 0 where refit is on (Eq. 15), found 0")
        config.model_config({"text": 1}, 2)  # refuses wrong model settings now and not after the features are read
        return config


_LARGEST = sys.float_info.max
_ABOVE_0 = ("a number above 0", lambda x: 0 < x <= _LARGEST)
_AT_LEAST_0 = ("a number of at least 0", lambda x: 0 <= x <= _LARGEST)
_BELOW_1 = ("a number from 0 to below 1", lambda x: 0 <= x < 1)

_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "learning_rate": _ABOVE_0,
    "clip": _ABOVE_0,
    "weight_decay": _AT_LEAST_0,
    "average": _BELOW_1,
    "norm": _AT_LEAST_0,
    "ridge": _AT_LEAST_0,
    "unimodal": _AT_LEAST_0,
    "smoothing": _BELOW_1,
}
"""Setting of the training or its loss → which numbers it may be, in words and as a test."""


def _check_number(name: str, value: object, words: str, holds: Callable[[float], bool]) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not holds(value):
        raise InputError(f"{name}: expected {words}, found {value!r:.40}")


def _names(what: str, found: object) -> tuple[str, ...]:
    if not isinstance(found, (list, tuple)) or not all(isinstance(name, str) for name in found):
        raise InputError(f"{what}: expected a list of names, found {found!r:.40}")
    return tuple(found)


def _check_names(values: Mapping[str, Any], kind: type, what: str) -> None:
    known = [f.name for f in fields(kind)]
    for name in values:
        if name not in known:
            raise InputError(f"unknown {what} setting {name!r}{near(name, known)}; known are {', '.join(known)}")


def preset(name: str) -> TrainingConfig:
    """The settings of a preset.

    Raises:
        InputError: there is no such preset; the message lists those that there are.
    """
    known = presets()
    if name not in known:
        raise InputError(f"unknown preset {name!r}; known are {', '.join(known)}{near(name, known)}")
    text = (resources.files("broadmamba.training") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    return TrainingConfig.from_dict(tomllib.loads(text))


def presets() -> list[str]:
    """Names of the presets."""
    folder = resources.files("broadmamba.training") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
