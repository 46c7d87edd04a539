"""What every model of conversations is told: its features, its classes, and settings of its own kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from broadmamba.data.conversation import near
from broadmamba.data.spec import MODALITIES
from broadmamba.errors import InputError
from broadmamba.model.limits import DEEPEST, LARGEST, WIDEST

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "str": ((str,), "a name"),
    "Mapping[str, int]": ((Mapping,), "a width for each modality"),
}
"""Type of a setting → what its value has to be, and this in words."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What the corpus decides for any model; each kind of model adds its own settings.

    Attributes:
        widths: modality → width of its features; at least one of text, audio, video.
        classes: C, number of emotions.
    """

    widths: Mapping[str, int]
    classes: int

    def __post_init__(self) -> None:
        for setting in fields(self):
            value, (kinds, words) = getattr(self, setting.name), _KINDS[str(setting.type)]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise InputError(f"{setting.name}: expected {words}, found {value!r:.60}")
            _check_limit(setting.name, value)
        unknown = [m for m in self.widths if m not in MODALITIES]
        if unknown or not self.widths:
            raise InputError(f"widths: expected some of {', '.join(MODALITIES)}, found {', '.join(unknown) or 'none'}")
        require_whole({f"width of {m}": w for m, w in self.widths.items()})
        if wide := [m for m, w in self.widths.items() if w > WIDEST]:
            raise InputError(f"width of {wide[0]}: expected at most {WIDEST}, found {self.widths[wide[0]]}")
        if self.classes < 2:
            raise InputError(f"classes: expected at least 2, found {self.classes}")
        # One order everywhere: parameters, sums and seeds do not depend on how the mapping was written.
        object.__setattr__(self, "widths", {m: self.widths[m] for m in MODALITIES if m in self.widths})

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities in their fixed order."""
        return tuple(self.widths)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what `to_dict` gave.

        Raises:
            InputError: a setting is unknown, missing or not allowed.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise InputError(f"unknown setting {name!r} of the model{near(name, known)}")
        missing = {"widths", "classes"} - set(values)
        if missing:
            raise InputError(f"the model's settings lack {', '.join(sorted(missing))}")
        return cls(**values)


def _check_limit(name: str, value: object) -> None:
    """Refuse numbers with which a model would fill the memory, never end, or have no values."""
    deep = name in ("depth", "episodes") or name.endswith("layers")
    most = DEEPEST if deep else LARGEST
    if isinstance(value, int) and value > most:
        raise InputError(f"{name}: expected at most {most}, found {value}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name}: expected a number, found {value}")


def require_whole(values: Mapping[str, object], least: int = 1) -> None:
    """Refuse settings that are no whole numbers of at least `least`.

    Raises:
        InputError: one is not; the message names it.
    """
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{name}: expected a whole number of at least {least}, found {value!r}")


def require_share(values: Mapping[str, float]) -> None:
    """Refuse settings that are no probabilities below 1.

    Raises:
        InputError: one is not; the message names it.
    """
    for name, value in values.items():
        if not 0 <= value < 1:
            raise InputError(f"{name}: expected a probability below 1, found {value}")


def require_positive(values: Mapping[str, float]) -> None:
    """Refuse settings that are not above zero.

    Raises:
        InputError: one is not; the message names it.
    """
    for name, value in values.items():
        if not value > 0:
            raise InputError(f"{name}: expected a number above 0, found {value}")


def require_divisors(whole: str, size: int, parts: Mapping[str, int]) -> None:
    """Refuse a size that cannot be shared out evenly among each of some numbers of parts, such as attention heads.

    Raises:
        InputError: it cannot; the message names both.
    """
    for name, count in parts.items():
        if size % count:
            raise InputError(f"{whole}: expected a multiple of {name}, {count}, found {size}")
