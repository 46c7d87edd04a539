"""Numbers at the edges of what each setting of a training may be."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadmamba.errors import InputError
from broadmamba.training.config import TrainingConfig

RANGES = {
    "learning_rate": "above 0",
    "clip": "above 0",
    "weight_decay": "of at least 0",
    "average": "from 0 to below 1",
    "loss.norm": "of at least 0",
    "loss.ridge": "of at least 0",
    "loss.unimodal": "of at least 0",
    "loss.smoothing": "from 0 to below 1",
}
ALLOWED = {
    "above 0": lambda x: x > 0,
    "of at least 0": lambda x: x >= 0,
    "from 0 to below 1": lambda x: 0 <= x < 1,
}


def with_value(name: str, value: Any) -> dict[str, Any]:
    group, _, last = name.rpartition(".")
    return {group: {last: value}} if group else {last: value}


@given(name=st.sampled_from(sorted(RANGES)), value=st.floats() | st.sampled_from([0, 1, -1, -0.0, 5e-324, 10**400]))
def test_a_number_is_taken_or_refused_as_its_range_says(name: str, value: float) -> None:
    fits = value <= sys.float_info.max and ALLOWED[RANGES[name]](value)
    if fits:
        config = TrainingConfig.from_dict(with_value(name, value))
        group, _, last = name.rpartition(".")
        assert getattr(config.loss if group else config, last) == value
    else:
        with pytest.raises(InputError, match=f": expected a number {RANGES[name]}, found ") as caught:
            TrainingConfig.from_dict(with_value(name, value))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [True, None, "1e-3", [1], {"a": 1}], ids=repr)
@pytest.mark.parametrize("name", RANGES)
def test_what_is_no_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{name.rpartition('.')[2]}: expected a number {RANGES[name]}, found "):
        TrainingConfig.from_dict(with_value(name, value))


def test_a_closed_form_needs_a_ridge() -> None:
    assert TrainingConfig.from_dict({"loss": {"ridge": 0}}).loss.ridge == 0
    with pytest.raises(InputError, match="ridge: expected a number above 0 where refit is on"):
        TrainingConfig.from_dict({"refit": True, "loss": {"ridge": 0}})
