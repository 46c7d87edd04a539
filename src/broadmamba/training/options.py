"""Settings as they are written on a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from broadmamba.errors import InputError
from broadmamba.training.config import TrainingConfig


def parse_seeds(text: str) -> list[int]:
    """`0-9`, `0,3,7` or a mixture → the seeds in order, each once.

    Raises:
        InputError: the text is something else.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or last - first > 10_000:
            raise InputError(f"seeds: expected something like 0-9 or 0,3,7, found {text!r}")
        seeds.extend(range(first, last + 1))
    return list(dict.fromkeys(seeds))


def adjust(config: TrainingConfig, features: Sequence[str], settings: Sequence[str]) -> TrainingConfig:
    """Change settings.

    Args:
        config: what to start from.
        features: each `modality=name+name`; if any is given, they replace those of `config`.
        settings: each `name=value`, with `model.` or `loss.` before the name where it belongs there.

    Raises:
        InputError: one is written differently, or names no setting.
    """
    changes: dict[str, Any] = {}
    if features:
        changes["features"] = {
            m: names.split("+") for m, names in (split_pair(text, "modality=feature") for text in features)
        }
    for text in settings:
        name, value = split_pair(text, "setting=value")
        changes[name] = _value(value)
    return changed(config, changes)


def changed(config: TrainingConfig, changes: Mapping[str, Any]) -> TrainingConfig:
    """Change settings by name.

    Args:
        config: what to start from.
        changes: setting → value, with `model.` or `loss.` before the name where it belongs there.

    Raises:
        InputError: there is no such setting, or it may not have this value.
    """
    values = config.to_dict()
    try:
        for name, value in changes.items():
            group, _, last = name.rpartition(".")
            if group not in ("", "model", "loss"):
                raise InputError(f"unknown group of settings {group!r} in {name!r}; known are model and loss")
            (values[group] if group else values)[last] = value
        return TrainingConfig.from_dict(values)
    except TypeError as error:
        raise InputError(f"a setting has a value of the wrong kind ({error})") from None


def split_pair(text: str, form: str) -> tuple[str, str]:
    """`name=value` → both.

    Args:
        text: what was given.
        form: how it should look, for the message.

    Raises:
        InputError: it is written differently.
    """
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise InputError(f"expected {form}, found {text!r}")
    return name, value


def _value(text: str) -> Any:
    """A number or truth value where the text is one in JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
