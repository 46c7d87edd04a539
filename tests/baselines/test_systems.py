"""Every system: the properties that all models have, training, and the folder of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from broadmamba.baselines.systems import OURS, SYSTEMS, make, system
from broadmamba.errors import InputError
from broadmamba.testing import check_model
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.config import TrainingConfig
from broadmamba.training.fit import fit
from corpora import make_corpus

SMALL = {OURS: {"d_model": 16, "n": 2, "m": 2}}
"""System → settings that make it quick to test."""

FEATURE_SYSTEMS = [name for name, kind in SYSTEMS.items() if not kind.model.reads_tokens]


@pytest.mark.parametrize("widths", [{"text": 6, "audio": 3, "video": 4}, {"text": 6, "audio": 3}, {"audio": 5}])
@pytest.mark.parametrize("name", FEATURE_SYSTEMS)
def test_a_system_has_the_properties_of_every_model(name: str, widths: dict[str, int]) -> None:
    torch.manual_seed(0)
    settings = {**SMALL.get(name, {"hidden": 12}), "widths": widths, "classes": 4}
    check_model(make(name, SYSTEMS[name].config.from_dict(settings)))


@pytest.mark.parametrize("name", FEATURE_SYSTEMS)
def test_a_system_learns_and_its_folder_gives_it_back(name: str, tmp_path: Path) -> None:
    corpus = make_corpus()
    config = TrainingConfig.from_dict(
        {
            "system": name,
            "epochs": 20,
            "batch_size": 2,
            "learning_rate": 3e-3,
            "model": SMALL.get(name, {"hidden": 16}) | {"dropout": 0.1},
        }
    )
    fitted = fit(corpus, config)
    losses = [epoch.loss["total"] for epoch in fitted.history]
    assert losses[-1] < 0.9 * losses[0]
    fitted.checkpoint.save(tmp_path / "model")
    stored = Checkpoint.load(tmp_path / "model")
    assert (stored.system, stored.model.config) == (name, fitted.checkpoint.model.config)
    test = corpus.split("test")
    said, again = (one.score(one.prepare_split(test)).probabilities for one in (fitted.checkpoint, stored))
    np.testing.assert_array_equal(said, again)


def test_an_unknown_system_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"unknown value 'bc-lstn'; known are broadmamba, .*did you mean bc-lstm"):
        system("bc-lstn")
    with pytest.raises(InputError, match="unknown setting 'd_model'"):
        TrainingConfig.from_dict({"system": "bc-lstm", "model": {"d_model": 4}})
    with pytest.raises(InputError, match="refit: is for broadmamba alone"):
        TrainingConfig.from_dict({"system": "bc-lstm", "refit": True})
