"""A recording is labelled by what can be made of it where an optional part is not installed, and that is told once."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from spoken import RATE, plain, write_mp4

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import MissingExtraError
from broadmamba.features.audio import load_audio
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.video.expression_weights import WEIGHTS_SHA256
from broadmamba.recognition.prediction import ConversationPrediction
from broadmamba.recognition.recognizer import Recognizer
from broadmamba.recognition.recording import Listening, predict_recording
from corpora import make_untaught_model

EXPRESSION = FeatureSpec("expression", "video", 789, sha256=WEIGHTS_SHA256)
TALK = Conversation("talk", tuple(Utterance(str(n), "Well?", "Ann", n / 2, n / 2 + 0.5) for n in range(4)))

Labelled = Callable[[str], ConversationPrediction]


@pytest.fixture(scope="module")
def specs(text_model: tuple[Path, Path]) -> dict[str, FeatureSpec]:
    """Of a feature of each modality, and of the one of sound that needs nothing."""
    pytest.importorskip("parselmouth")
    words = TextEncoder.load(str(text_model[0])).spec
    return {
        "words": words,
        "prosody": load_audio("prosody").spec,
        "logmel": load_audio("logmel").spec,
        "expression": EXPRESSION,
    }


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of noise, and pictures without a face."""
    samples = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    return write_mp4(tmp_path_factory.mktemp("film") / "talk.mp4", samples, plain)


@pytest.fixture
def labelled(
    specs: dict[str, FeatureSpec],
    text_model: tuple[Path, Path],
    film: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Labelled:
    """Labels the film with a model that reads some of the features, where no weights were fetched."""
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path / "cache"))

    def label(names: str) -> ConversationPrediction:
        model = make_untaught_model([specs[name] for name in names.split()], tmp_path / "model")
        recognizer = Recognizer.from_pretrained(model, encoder=text_model[0])
        return predict_recording(recognizer, film, tmp_path / "work", Listening(transcript=TALK))

    return label


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_without_praat(
    labelled: Labelled, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, film: Path
) -> None:
    monkeypatch.setitem(sys.modules, "parselmouth", None)
    found = labelled("words prosody")
    assert [item.present for item in found] == [("text",)] * 4
    assert told(caplog) == [
        f"{film} is labelled without prosody: the feature prosody needs Praat (package praat-parselmouth, GPL-3): "
        "pip install 'broadmamba[praat]'"
    ]


def test_without_the_weights_of_the_faces(labelled: Labelled, caplog: pytest.LogCaptureFixture) -> None:
    found = labelled("logmel expression")
    assert [item.present for item in found] == [("audio",)] * 4
    [warning] = told(caplog)
    assert "is labelled without expression: " in warning and "run broadmamba fetch expression" in warning


def test_what_is_missing_is_told_part_by_part(
    labelled: Labelled, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "parselmouth", None)
    assert [item.present for item in labelled("words prosody expression")] == [("text",)] * 4
    assert ["prosody: " in told(caplog)[0], "expression: " in told(caplog)[1], len(told(caplog))] == [True, True, 2]


def test_nothing_left_that_the_model_reads(
    labelled: Labelled, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "parselmouth", None)
    with pytest.raises(MissingExtraError, match=r"needs Praat .* pip install 'broadmamba\[praat\]'"):
        labelled("prosody")
    assert told(caplog) == []
