"""The command `broadmamba finetune-text`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_encoders import build_encoder

from broadmamba.data.corpus import Corpus
from corpora import make_text_corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    encoder = build_encoder("bert", tmp_path / "bert")
    replace(make_text_corpus(encoder), features={}).save(tmp_path / "corpus")
    return tmp_path / "corpus"


def test_it_tunes_and_adds_the_feature(corpus: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    arguments = ("finetune-text", corpus, "--encoder", tmp_path / "bert", "--out", tmp_path / "learnt", "--epochs", 2,
                 "--context", 2, "--rank", 2)  # fmt: skip
    first = command(*arguments)
    assert first.code == 0, first.err
    assert "epoch 1: loss " in first.err and "epoch 2: loss " in first.err
    assert "fine-tuned on synthetic, epoch" in first.err
    opened = Corpus.open(corpus)
    spec = opened.features["learnt"].spec
    assert spec.trained_on_labels and spec.width == 12
    again = command(*arguments)
    assert again.code == 0
    assert "epoch 1:" not in again.err
    assert "has the feature learnt" in again.err and "nothing to do" in again.err


def test_wrong_input_gets_one_sentence(corpus: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    for arguments, expected in (
        ((tmp_path / "none", "--out", tmp_path / "x"), str(tmp_path / "none")),
        ((corpus, "--encoder", "minilmm", "--out", tmp_path / "x"), "did you mean minilm?"),
        ((corpus, "--rank", 2, "--learning-rate", 7, "--out", tmp_path / "x"), "learning_rate: expected a number"),
    ):
        result = command("finetune-text", *arguments)
        assert (result.code, result.err.count("\n")) == (2, 1), result.err
        assert expected in result.err
    assert not (tmp_path / "x").exists()
