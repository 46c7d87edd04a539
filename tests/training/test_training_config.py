"""Settings of a training: as records, as presets, and as they are written on a command line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadmamba.errors import InputError
from broadmamba.training.config import TrainingConfig, preset, presets
from broadmamba.training.options import adjust, parse_seeds
from corpora import tiny_config


@pytest.mark.parametrize("name", presets())
def test_presets_survive_json(name: str) -> None:
    config = preset(name)
    assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_all_settings_survive_json() -> None:
    config = tiny_config(
        features={"text": ["a", "b"], "audio": ["c"]},
        speaker_relative=["audio", "video"],
        average=0.9,
        refit=True,
        loss={"norm": 0.0, "smoothing": 0.1},
        model={"fusion": "gate", "ssm": "selective"},
    )
    back = TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert back == config
    assert back.features == {"text": ("a", "b"), "audio": ("c",)}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, r"unknown training setting 'epoch' \(did you mean epochs\?\); known are system, .*patience"),
        ({"loss": {"nrm": 1}}, r"unknown loss setting 'nrm' \(did you mean norm\?\)"),
        ({"model": {"fusoin": "gate"}}, r"unknown setting 'fusoin' of the model \(did you mean fusion\?\)"),
        ({"model": {"fusion": "gte"}}, r"fusion: unknown value 'gte'; known are .*\(did you mean gate\?\)"),
        ({"speaker_relative": ["adio"]}, "speaker_relative: expected some of text, audio, video, found adio"),
        ({"epochs": 0}, "epochs: expected a whole number of at least 1, found 0"),
        ({"epochs": 2.5}, "epochs: expected a whole number of at least 1, found 2.5"),
        ({"batch_size": "8"}, "batch_size: expected a whole number of at least 1, found '8'"),
        ({"patience": True}, "patience: expected a whole number of at least 1, found True"),
        ({"learning_rate": 0}, "learning_rate: expected .*, found 0"),
        ({"learning_rate": -1e-3}, "learning_rate: expected .*, found -0.001"),
        ({"learning_rate": float("nan")}, "learning_rate: expected .*, found nan"),
        ({"learning_rate": "fast"}, "learning_rate: expected .*, found 'fast'"),
        ({"weight_decay": -1}, "weight_decay: expected .*, found -1"),
        ({"clip": 0}, "clip: expected .*, found 0"),
        ({"average": 1.0}, "average: expected .*, found 1.0"),
        ({"average": -0.1}, "average: expected .*, found -0.1"),
        ({"refit": 1}, "refit: expected .*, found 1"),
        ({"loss": {"ridge": -1}}, "ridge: expected .*, found -1"),
        ({"loss": {"norm": "much"}}, "norm: expected .*, found 'much'"),
        ({"loss": {"smoothing": 1.5}}, "smoothing: expected .*, found 1.5"),
        ({"loss": 3}, "loss: expected .*, found 3"),
        ({"model": [1]}, r"model: expected .*, found \[1\]"),
        ({"features": {"smell": ["a"]}}, "features: expected some of text, audio, video, found smell"),
        ({"features": {"text": "minilm"}}, "features of text: expected .*, found 'minilm'"),
        ({"features": ["minilm"]}, "features: expected .*"),
        ({"speaker_relative": "audio"}, "speaker_relative: expected .*, found 'audio'"),
    ],
    ids=str,
)
def test_wrong_settings_are_told_in_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        TrainingConfig.from_dict(values)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_suggests_a_near_one() -> None:
    with pytest.raises(InputError, match=r"unknown preset 'iemocp'; known are .*paper \(did you mean iemocap\?\)"):
        preset("iemocp")
    with pytest.raises(InputError, match="unknown preset"):
        preset("../presets/paper")


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", [0]),
        ("0-9", list(range(10))),
        ("0,3,7", [0, 3, 7]),
        ("3-4, 0 ,3", [3, 4, 0]),
        (" 5 - 6 ", [5, 6]),
    ],
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "9-0", "1,", "-1", "1.5", "0-99999999", "1" * 30, "0;1", "0\n1"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="seeds: expected something like 0-9 or 0,3,7"):
        parse_seeds(text)


@given(st.lists(st.integers(0, 999_999_999), min_size=1, max_size=9))
def test_seeds_come_back_in_order_each_once(seeds: list[int]) -> None:
    assert parse_seeds(",".join(map(str, seeds))) == list(dict.fromkeys(seeds))


def test_settings_from_a_command_line() -> None:
    changed = adjust(
        tiny_config(features={"text": ["a"]}),
        ["audio=gemaps+prosody", "text=minilm"],
        ["epochs=30", "model.fusion=gate", "loss.norm=0", "learning_rate=2e-3", "model.position=false"],
    )
    assert changed.features == {"audio": ("gemaps", "prosody"), "text": ("minilm",)}
    assert (changed.epochs, changed.learning_rate, changed.loss.norm) == (30, 0.002, 0)
    assert changed.model["fusion"] == "gate" and changed.model["position"] is False
    assert changed.model["d_model"] == 8, "what is not named stays"


@pytest.mark.parametrize(
    ("features", "setting", "message"),
    [
        ([], "epochs", "expected setting=value, found 'epochs'"),
        ([], "=3", "expected setting=value, found '=3'"),
        ([], "epochs=", "expected setting=value, found 'epochs='"),
        ([], "epohcs=3", r"unknown training setting 'epohcs' \(did you mean epochs\?\)"),
        ([], "modl.fusion=gate", "unknown group of settings 'modl' .*; known are model and loss"),
        ([], "model.fusion.x=1", "unknown group of settings 'model.fusion'"),
        ([], "model.depth=many", "depth: expected a whole number.*, found 'many'"),
        ([], "model.dropout=high", "dropout|wrong kind"),
        ([], "model.dropout=1", "dropout: expected a probability below 1, found 1"),
        ([], 'model.widths={"text": 3}', "model: widths is not a setting, the corpus decides it"),
        ([], "model.classes=3", "model: classes is not a setting"),
        ([], "model=3", "model: expected"),
        ([], "learning_rate=[1]", "learning_rate: expected"),
        (["text"], "epochs=3", "expected modality=feature, found 'text'"),
        (["smell=a"], "epochs=3", "features: expected"),
    ],
)
def test_wrong_settings_from_a_command_line(features: list[str], setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        adjust(tiny_config(), features, [setting])
    assert "\n" not in str(caught.value)
