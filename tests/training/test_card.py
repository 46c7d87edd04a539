"""The model card says what the model is, and holds the very figures of the results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from broadmamba.data.conversation import LabelSet
from broadmamba.data.spec import FeatureSpec
from broadmamba.training.card import model_card
from broadmamba.training.runs import train_seeds
from corpora import LABELS, make_corpus, tiny_config


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    train_seeds(make_corpus(81, noise=2.0), tiny_config(epochs=2), [4], out)
    return out / "seed-4"


def test_the_card_of_a_trained_model(seed: Path) -> None:
    card = (seed / "model" / "README.md").read_text("utf-8")
    results = json.loads((seed / "results.json").read_text())
    corpus = make_corpus(81, noise=2.0)
    assert card.startswith("# Broad Mamba model\n")
    assert ", ".join(LABELS) in card
    for split in ("train", "dev", "test"):
        assert f"{len(corpus.split(split).utterances)} {split}" in card
    for m in ("text", "audio"):
        assert f"- {m}: {corpus.features[f'tiny-{m}'].spec.describe()}" in card
    assert card.count("not trained on these labels") == 2
    assert f"Seed 4, epoch {results['epoch']}; selected by best weighted F1 on dev" in card
    assert f"Temperature of the probabilities: {results['temperature']:.3f}\n" in card
    for split in ("dev", "test"):
        _, _, section = card.partition(f"## Figures on {split}\n")
        figures = results[split]
        assert f"Weighted F1 {100 * figures['weighted_f1']:.1f}, accuracy {100 * figures['accuracy']:.1f}" in section
        before, after = (100 * figures[name] for name in ("ece_before_calibration", "ece"))
        assert f"Expected calibration error {before:.1f} before calibration, {after:.1f} after." in section
        table = section.partition("|---|---|\n")[2].partition("\n\n")[0].splitlines()
        assert table == [f"| {label} | {100 * figures['f1'][label]:.1f} |" for label in LABELS]
    subsets = {split: results[split]["subsets"] for split in ("dev", "test")}
    for subset in ("text", "audio", "text+audio"):
        cells = [
            f"{100 * subsets[split][subset][figure]:.1f}"
            for split in ("dev", "test")
            for figure in ("weighted_f1", "accuracy", "macro_f1", "ece")
        ]
        assert f"| {subset.replace('+', ' + ')} | {' | '.join(cells)} |\n" in card
    assert "## Limits" in card and "RESPONSIBLE_USE.md" in card


def test_a_card_shows_what_a_terminal_would_obey() -> None:
    card = model_card("sdt", LabelSet(["joy", "\x1b[31mred"]), {}, {})
    assert "\x1b" not in card
    assert "joy, \\x1b[31mred\n" in card


def test_a_model_of_one_modality_has_no_table_of_subsets(tmp_path: Path) -> None:
    train_seeds(make_corpus(81, modalities=("text",)), tiny_config(epochs=1), [0], tmp_path / "runs")
    assert "With some" not in (tmp_path / "runs" / "seed-0" / "model" / "README.md").read_text("utf-8")


def test_a_card_tells_what_an_encoder_saw_and_its_licence() -> None:
    spec = FeatureSpec("mine", "text", 3, pooling="cls", licence="MIT", trained_on_labels=True)
    card = model_card("sdt", LabelSet(["sad", "glad"]), {"text": (spec,)}, {})
    assert card.startswith("# sdt model, trained with broadmamba\n")
    assert "- text: mine (3 wide), pooling cls, trained on these labels, licence MIT" in card
    assert "Not recorded." in card and "Figures" not in card
