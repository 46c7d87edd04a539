"""Presets make networks that are no larger than the paper's."""

from __future__ import annotations

import pytest

from broadmamba.model.network import BroadMamba
from broadmamba.training.config import preset, presets

WIDTHS = {"text": 1024, "audio": 1582, "video": 342}


@pytest.mark.parametrize("classes", [6, 7])
@pytest.mark.parametrize("name", presets())
def test_a_preset_is_no_larger_than_the_papers_network(name: str, classes: int) -> None:
    config = preset(name)
    widths = {m: width * (2 if m in config.speaker_relative else 1) for m, width in WIDTHS.items()}
    model = BroadMamba(config.model_config(widths, classes))
    count = sum(p.numel() for p in model.parameters())
    print(f"{name}: {count:,} parameters with {classes} classes")
    assert count <= 1_730_000


def test_the_papers_preset_adds_nothing_to_the_paper() -> None:
    config = preset("paper").model_config(WIDTHS, 6)
    assert (config.n, config.m) == (10, 30)
    assert config.depth == 1
    assert not (config.residual or config.layer_norm or config.speakers or config.modality_dropout)
