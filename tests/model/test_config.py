"""A config is one fixed record, and refuses what no network can be built from."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Any

import pytest
import torch

from broadmamba.errors import InputError
from broadmamba.model.config import CHOICES, BroadMambaConfig
from broadmamba.model.network import BroadMamba

BASE: dict[str, Any] = {"widths": {"text": 3, "audio": 2}, "classes": 4}


def test_a_config_survives_json() -> None:
    config = BroadMambaConfig(**BASE, fusion="tfn", dropout=0.25, depth=2, speakers=3)
    assert BroadMambaConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_order_in_which_modalities_are_written_does_not_matter() -> None:
    found = []
    for order in itertools.permutations([("audio", 2), ("video", 4), ("text", 3)]):
        config = BroadMambaConfig(widths=dict(order), classes=4, d_model=8)
        assert config.modalities == ("text", "audio", "video")
        torch.manual_seed(0)
        found.append({name: p.sum().item() for name, p in BroadMamba(config).named_parameters()})
    assert all(sums == found[0] for sums in found)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BroadMambaConfig(**BASE).depth = 2  # type: ignore[misc]


@pytest.mark.parametrize("setting", CHOICES)
def test_an_unknown_choice_names_the_known_ones_and_the_nearest(setting: str) -> None:
    nearest = CHOICES[setting][-1]
    with pytest.raises(InputError) as error:
        BroadMambaConfig(**BASE, **{setting: f"{nearest}x"})
    message = str(error.value)
    assert message.startswith(f"{setting}: unknown value '{nearest}x'")
    assert f"did you mean {nearest}?" in message
    for known in CHOICES[setting]:
        assert known in message


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"widths": {}}, "some of text, audio, video, found none"),
    ({"widths": {"txt": 3}}, "some of text, audio, video, found txt"),
    ({"widths": {"text": 0}}, "width of text: .* at least 1, found 0"),
    ({"widths": {"text": "a"}}, "width of text: .* found 'a'"),
    ({"widths": [3]}, "widths: expected a width for each modality"),
    ({"classes": 1}, "classes: expected at least 2, found 1"),
    ({"classes": "4"}, "classes: expected a whole number, found '4'"),
    ({"d_model": 0}, "d_model: .* at least 1, found 0"),
    ({"d_model": 2.5}, "d_model: expected a whole number, found 2.5"),
    ({"d_state": 7}, "d_state: expected an even number"),
    ({"kernel_size": 4}, "kernel_size: expected an odd number, found 4"),
    ({"depth": 0}, "depth: .* at least 1, found 0"),
    ({"depth": True}, "depth: expected a whole number, found True"),
    ({"n": -1}, "n: .* at least 1"),
    ({"dropout": 1.0}, "dropout: .*below 1, found 1.0"),
    ({"dropout": -0.1}, "dropout: .*found -0.1"),
    ({"dropout": float("nan")}, "dropout: .*found nan"),
    ({"dropout": "much"}, "dropout: expected a number, found 'much'"),
    ({"modality_dropout": 1.5}, "modality_dropout: .*found 1.5"),
    ({"dt_min": 0.0}, "0 < dt_min <= dt_max, found dt_min=0.0"),
    ({"dt_min": 0.6}, "dt_min=0.6 and dt_max=0.5"),
    ({"speakers": -1}, "speakers: expected a whole number of at least 0, found -1"),
    ({"position": "no"}, "position: expected true or false, found 'no'"),
    ({"ssm": ["convolution"]}, "ssm: expected a name"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_a_wrong_setting_is_named_with_what_was_found(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BroadMambaConfig(**{**BASE, **settings})


def test_settings_from_a_file_must_be_known_and_whole() -> None:
    with pytest.raises(InputError, match=r"unknown setting 'd_modell' of the model \(did you mean d_model\?\)"):
        BroadMambaConfig.from_dict({**BASE, "d_modell": 3})
    with pytest.raises(InputError, match="lack classes, widths"):
        BroadMambaConfig.from_dict({"d_model": 3})
