"""The model that comes with the package labels the example, offline, from Python and from the command line."""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from broadmamba.bundle.folder import Bundle
from broadmamba.data.corpus import Feature
from broadmamba.data.spec import IDENTITY
from broadmamba.features.audio import load_audio
from broadmamba.features.text.exported import ExportedTextEncoder
from broadmamba.media.transcripts import read_transcript
from broadmamba.recognition.pretrained import DEFAULT
from broadmamba.recognition.recognizer import Recognizer
from broadmamba.runtime import open_runtime
from broadmamba.training.checkpoint import Checkpoint

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "kitchen.vtt"
FOLDER = Path(str(resources.files("broadmamba"))) / "pretrained" / DEFAULT
MELD = {"neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"}


@pytest.fixture(autouse=True)
def offline(no_network: list[object]) -> list[object]:
    """No connection can be made; what was tried is listed."""
    return no_network


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.from_pretrained()


def test_the_example_is_labelled_offline(recognizer: Recognizer, offline: list[object]) -> None:
    conversation = read_transcript(EXAMPLE)
    prediction = recognizer.predict(conversation)
    assert [item.utterance for item in prediction] == list(conversation)
    assert prediction.model == "meld"
    for item in prediction:
        assert set(item.probabilities) == MELD
        assert sum(item.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert item.probability == max(item.probabilities.values()) == item.probabilities[item.label]
        assert item.present == ("text",)
        assert item.modality_weights["text"] == pytest.approx(1)
        assert item.modality_weights["audio"] == pytest.approx(0)
    # what nobody could mistake; the rest of a model with a weighted F1 of about 60 is left to it
    by_text = {item.utterance.text: item.label for item in prediction}
    assert by_text["Lin, that is wonderful! I am so happy for you!"] == "joy"
    assert by_text["Stop shouting at me! I am not the only one who lives here!"] == "anger"
    assert len(set(by_text.values())) >= 4
    assert recognizer.predict(conversation) == prediction
    assert offline == []


def test_the_command_needs_no_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recognizer: Recognizer
) -> None:
    from broadmamba.cli.main import run

    monkeypatch.setattr("sys.argv", ["broadmamba", "predict", str(EXAMPLE), "--format", "csv"])
    try:
        run()
    except SystemExit as leaving:
        assert not leaving.code
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    expected = recognizer.predict(read_transcript(EXAMPLE))
    assert [row["label"] for row in rows] == [item.label for item in expected]
    assert [row["speaker"] for row in rows] == [item.utterance.speaker for item in expected]


def test_an_unknown_name_suggests_it() -> None:
    from broadmamba.errors import InputError

    with pytest.raises(InputError, match=r"one of meld, found neither \(did you mean meld\?\)"):
        Recognizer.from_pretrained("melt")


def test_words_voice_or_both_are_enough(recognizer: Recognizer) -> None:
    conversation = read_transcript(EXAMPLE)
    (spec,) = recognizer.bundle.features["audio"]
    random = np.random.default_rng(0)
    usual = recognizer.bundle.normalisers["audio"]
    spread = random.normal(usual.mean[:8], usual.scale[:8], (len(conversation), 8)).astype(np.float32)
    spread[3] = np.nan  # nothing to hear
    both = recognizer.predict(conversation, {spec.name: Feature(spec, spread)})
    alone = recognizer.predict(conversation)
    assert [item.present for item in both] == [
        ("text",) if i == 3 else ("text", "audio") for i in range(len(conversation))
    ]
    assert [item.probabilities for item in both] != [item.probabilities for item in alone]
    agreeing = sum(a.label == b.label for a, b in zip(both, alone, strict=True))
    assert agreeing >= 0.6 * len(conversation)
    given = {"prosody": Feature(spec, spread)}
    scores = open_runtime(recognizer.bundle).scores(recognizer.bundle.rows([conversation], given))
    assert scores.present[:, 1].sum() == len(conversation) - 1 and not scores.present[:, 0].any()
    assert np.isfinite(scores.probabilities).all()


def test_it_reads_what_is_measured_here(recognizer: Recognizer) -> None:
    (spec,) = recognizer.bundle.features["audio"]
    made = load_audio(spec.name).spec
    assert all(getattr(made, key) == getattr(spec, key) for key in IDENTITY)


def test_it_is_small_whole_and_says_where_it_comes_from() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 30_000_000
    checkpoint = Checkpoint.load(FOLDER)
    assert set(checkpoint.labels) == MELD
    (spec,) = checkpoint.features["text"]
    encoder = Bundle.load(FOLDER).text_encoder(spec.name)
    assert encoder is not None and ExportedTextEncoder.load(encoder).spec == spec
    assert spec.trained_on_labels
    assert checkpoint.modalities == ("text", "audio")
    provenance = checkpoint.provenance
    assert {"corpus", "training", "seed", "selection", "environment", "results"} <= set(provenance)
    results = provenance["results"]
    assert results["test"]["weighted_f1"] > 0.557, "logistic regression on single utterances"
    card = (FOLDER / "README.md").read_text("utf-8")
    for label, value in results["test"]["f1"].items():
        assert f"| {label} | {100 * value:.1f} |" in card
    for split in ("dev", "test"):
        assert set(results[split]["subsets"]) == {"text", "audio", "text+audio"}
    assert "before calibration" in card
    assert "## Limits" in card and f"Seed {provenance['seed']}" in card
    told = card + "".join(path.read_text("utf-8") for path in files if path.suffix == ".json")
    assert "/tmp" not in told, "no path of the machine it was trained on"


def test_threads_share_a_recognizer(recognizer: Recognizer) -> None:
    conversation = read_transcript(EXAMPLE)
    shared = Recognizer.from_pretrained()
    (spec,) = shared.bundle.features["text"]
    with ThreadPoolExecutor(3) as threads:
        encoders = list(threads.map(shared._encoder, [spec] * 3))
        predictions = list(threads.map(shared.predict, [conversation] * 6))
    assert all(encoder is encoders[0] for encoder in encoders)
    assert predictions == [recognizer.predict(conversation)] * 6
