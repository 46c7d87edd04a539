"""Files that were written earlier, checked against a schema when they are read: time and people change files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from broadmamba.errors import InputError
from broadmamba.storage import read_json

ANY = "any"
"""A key of a schema that stands for every key there is."""

_ABSENT = object()  # stands for the value of a key that is not there
_LARGEST = 1e100  # of a number, so that means and squares of several are finite


def read_checked(path: Path, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Read a JSON file that was kept earlier.

    Args:
        path: of the file.
        schema: see `misfit`.

    Raises:
        InputError: it is missing, no JSON, or does not fit the schema; the message names the place.
    """
    found: dict[str, Any] = read_json(path)
    if (place := misfit(found, schema)) is not None:
        raise InputError(f"{path}: is damaged or of another version at {place or 'its top'}; remove it to make it anew")
    return found


def schema_of(value: object) -> Any:
    """The schema of other files like this one: the same keys, numbers where it has numbers, and otherwise anything."""
    if isinstance(value, dict):
        return {key: schema_of(part) for key, part in value.items()}
    return float if isinstance(value, (int, float)) and not isinstance(value, bool) else object


def misfit(value: Any, schema: Any, place: str = "") -> str | None:
    """Where a value does not fit a schema, or None.

    Args:
        value: of JSON.
        schema: a type, None for nothing, `[schema]` for a list of at least one, `(schema, schema)` for one of them, or
            keys with the schemas of their values, which all must be there; `ANY` stands for every key. `float` takes
            whole numbers too, no number is NaN or above 1e100, `object` takes anything.
        place: of the value in what it is a part of.
    """
    if isinstance(schema, Mapping):
        if not isinstance(value, dict):
            return place
        wanted = {**(dict.fromkeys(value, schema[ANY]) if ANY in schema else {}), **schema}
        parts = [
            (value.get(key, _ABSENT), of, f"{place}.{key}" if place else key)
            for key, of in wanted.items()
            if key != ANY
        ]
    elif isinstance(schema, list):
        if not isinstance(value, list) or not value:
            return place
        parts = [(item, schema[0], f"{place}[{number}]") for number, item in enumerate(value)]
    elif isinstance(schema, tuple):
        return None if any(misfit(value, one) is None for one in schema) else place
    elif schema in (int, float):
        kinds = (int,) if schema is int else (int, float)
        return None if type(value) in kinds and abs(value) <= _LARGEST else place  # NaN is not below it
    else:
        absent = value is None or value is _ABSENT
        fits = absent if schema is None else value is not _ABSENT and (schema is object or type(value) is schema)
        return None if fits else place
    return next((found for part in parts if (found := misfit(*part)) is not None), None)
