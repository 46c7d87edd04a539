"""Files that were kept earlier are taken for what they are, or refused at the place that is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from broadmamba.errors import InputError
from broadmamba.schema import ANY, read_checked, schema_of

SCHEMA = {"name": str, "rows": [{"x": float, "n": int}], "more": {ANY: (str, None)}, "rest": object}
GOOD = {"name": "a", "rows": [{"x": 1, "n": 2}, {"x": 0.5, "n": -1}], "more": {"k": "v", "l": None}, "rest": [[]]}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": 1}, "name"),
        ({"name": None}, "name"),
        ({"rows": []}, "rows"),
        ({"rows": {}}, "rows"),
        ({"rows": [{"x": 1, "n": 2}, {"x": "1", "n": 2}]}, r"rows\[1\]\.x"),
        ({"rows": [{"x": 1, "n": 2.0}]}, r"rows\[0\]\.n"),
        ({"rows": [{"x": True, "n": 2}]}, r"rows\[0\]\.x"),
        ({"rows": [{"x": float("nan"), "n": 2}]}, r"rows\[0\]\.x"),
        ({"rows": [{"x": float("-inf"), "n": 2}]}, r"rows\[0\]\.x"),
        ({"rows": [{"x": 1, "n": 10**400}]}, r"rows\[0\]\.n"),
        ({"rows": [{"n": 1}]}, r"rows\[0\]\.x"),
        ({"more": {"k": 3}}, r"more\.k"),
        ({"more": []}, "more"),
        ({"rest": ...}, "rest"),
        ({"name": ...}, "name"),
    ],
)
def test_a_damaged_place_is_named(tmp_path: Path, changes: dict[str, Any], place: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({key: value for key, value in {**GOOD, **changes}.items() if value is not ...}))
    with pytest.raises(InputError, match=rf"x\.json: is damaged or of another version at {place};"):
        read_checked(path, SCHEMA)


def test_what_fits_is_given_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**GOOD, "further": 1}))
    assert read_checked(path, SCHEMA) == {**GOOD, "further": 1}
    path.write_text("[]")
    with pytest.raises(InputError, match="at its top"):
        read_checked(path, SCHEMA)


def test_a_file_has_the_schema_of_its_like() -> None:
    assert schema_of({"a": 1, "b": {"c": 0.5, "d": "x"}, "e": [1], "f": True}) == {
        "a": float, "b": {"c": float, "d": object}, "e": object, "f": object
    }  # fmt: skip
