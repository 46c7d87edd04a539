"""Numbers at the edges of what each setting of a training may be."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadmamba.baselines.systems import SYSTEMS, make
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


@pytest.mark.parametrize(
    ("system", "settings"),
    [
        ("broadmamba", {"depth": 10**9}),
        ("broadmamba", {"depth": 257}),
        ("broadmamba", {"d_state": 10**12}),
        ("broadmamba", {"n": 8193}),
        ("broadmamba", {"dt_max": float("inf")}),
        ("a-dmn", {"episodes": 10**9}),
        ("rgat", {"layers": 10**9}),
        ("m3net", {"hypergraph_layers": 10**9}),
        ("sdt", {"hidden": 10**9, "heads": 1}),
        ("compm", {"rank": 10**9}),
    ],
)
def test_settings_without_end_are_refused_with_their_limit(system: str, settings: dict[str, object]) -> None:
    name = next(iter(settings))
    with pytest.raises(InputError, match=f"^{name}: expected (at most (256|8192)|a number), found"):
        TrainingConfig.from_dict({"system": system, "model": settings})


@pytest.mark.parametrize("settings", [{"n": 8000, "d_z": 8000}, {"d_model": 8192, "d_h": 8192, "m": 8192}])
def test_a_model_of_more_than_two_gigabytes_is_not_made(settings: dict[str, int]) -> None:
    small = {"widths": {"text": 8}, "classes": 3}
    config = SYSTEMS["broadmamba"].config.from_dict
    started = time.process_time()
    with pytest.raises(InputError, match=r"more than 536870912 numbers|not enough memory"):
        make("broadmamba", config({**small, **settings}))
    assert time.process_time() - started < 2
    make("broadmamba", config(small))  # the count is for one model alone
