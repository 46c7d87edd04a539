"""A conversation in, the emotion of each utterance out."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broadmamba.bundle.folder import Bundle
from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.corpus import Feature
from broadmamba.errors import BroadMambaError, CheckpointError, IncompatibleError, InputError
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.recognition.prediction import ConversationPrediction
from broadmamba.recognition.recognizer import Recognizer
from broadmamba.runtime import RUNTIMES
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.fit import fit
from corpora import LABELS, WORDS, make_corpus, tiny_config

CORPUS = make_corpus(61, modalities=("text", "audio"), missing=0.2)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return fit(CORPUS, tiny_config(epochs=4, speaker_relative=["audio"])).checkpoint


@pytest.fixture(scope="module")
def bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    checkpoint.save(folder := tmp_path_factory.mktemp("bundle"))
    return Bundle.load(folder)


@pytest.fixture
def recognizer(text_model: tuple[Path, Path]) -> Recognizer:
    encoder, model = text_model
    return Recognizer.from_pretrained(model, encoder=str(encoder))


def conversation(*texts: str, speaker: str | None = None) -> Conversation:
    return Conversation("talk", tuple(Utterance(f"talk_{i}", text, speaker) for i, text in enumerate(texts)))


def said(label: str) -> str:
    """Three words, as in the tiny model's corpus: to a random encoder a word more is another world."""
    return " ".join([*WORDS[label], WORDS[label][0]])


def sane(prediction: ConversationPrediction, labels: tuple[str, ...], utterances: int) -> None:
    """Every figure is what its attribute says it is."""
    assert len(prediction) == utterances
    for item in prediction:
        values = list(item.probabilities.values())
        assert tuple(item.probabilities) == labels
        assert np.isfinite(values).all() and min(values) >= 0 and sum(values) == pytest.approx(1, abs=1e-5)
        assert item.probability == max(values) == item.probabilities[item.label]
        assert sum(item.modality_weights.values()) == pytest.approx(1 if item.present else 0, abs=1e-5)
        assert set(item.present) <= set(item.modality_weights)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_given_features_give_what_the_checkpoint_gives(checkpoint: Checkpoint, bundle: Bundle, runtime: str) -> None:
    recognizer = Recognizer(bundle, "mine", runtime=runtime)
    split, row = CORPUS.split("test"), 0
    for talk in split.conversations:
        rows = slice(row, row + len(talk))
        row = rows.stop
        features = {name: replace(f, values=f.values[rows]) for name, f in split.features.items()}
        prediction = recognizer.predict(talk, features)
        scores = checkpoint.score(checkpoint.prepare([talk], features))
        sane(prediction, LABELS, len(talk))
        assert (prediction.conversation, prediction.model) == (talk.id, "mine")
        assert [item.utterance for item in prediction] == list(talk)
        probabilities = [list(item.probabilities.values()) for item in prediction]
        weights = [list(item.modality_weights.values()) for item in prediction]
        np.testing.assert_allclose(probabilities, scores.probabilities, atol=1e-5)
        np.testing.assert_allclose(weights, scores.modality_weights, atol=1e-5)
        assert [item.label for item in prediction] == [LABELS[i] for i in scores.probabilities.argmax(1)]
        for item, there in zip(prediction, scores.present, strict=True):
            assert item.present == tuple(m for m, yes in zip(("text", "audio"), there, strict=True) if yes)


def test_a_prediction_is_that_of_the_whole_split_scored_at_once(checkpoint: Checkpoint, bundle: Bundle) -> None:
    split = CORPUS.split("test")
    together = checkpoint.score(checkpoint.prepare_split(split)).probabilities
    alone, row = [], 0
    for talk in split.conversations:
        features = {n: replace(f, values=f.values[row : row + len(talk)]) for n, f in split.features.items()}
        row += len(talk)
        alone += [list(item.probabilities.values()) for item in Recognizer(bundle, "x").predict(talk, features)]
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_text_is_encoded_and_labelled_as_the_model_learnt_it(recognizer: Recognizer) -> None:
    order = ("glad", "upset", "upset", "calm", "glad")
    prediction = recognizer.predict(conversation(*map(said, order), speaker="Ann"))
    sane(prediction, LABELS, 5)
    assert tuple(item.label for item in prediction) == order
    assert all(item.present == ("text",) and item.modality_weights == {"text": 1.0} for item in prediction)


def test_the_encoder_is_loaded_once_and_not_before_it_is_needed(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    original = TextEncoder.load

    def load(*arguments: str) -> TextEncoder:
        loaded.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(TextEncoder, "load", load)
    talk = conversation("w1 w2", "w3")
    (spec,) = recognizer.bundle.features["text"]
    recognizer.predict(talk, {spec.name: Feature(spec, np.zeros((2, spec.width), np.float32))})
    assert not loaded
    first, second = recognizer.predict(talk), recognizer.predict(talk)
    assert len(loaded) == 1
    assert first == second


def test_utterances_of_any_length_and_conversations_of_one(recognizer: Recognizer) -> None:
    for texts in ([""], ["w1"], ["", "", ""], ["w1 " * 33_333 + "w", ""], ["\n", "🙂" * 1000, "\u202e"]):
        sane(recognizer.predict(conversation(*texts)), LABELS, len(texts))


def test_another_process_gets_it_by_its_folder(recognizer: Recognizer) -> None:
    talk = conversation("w1 w2", "w3", speaker="Ann")
    moved = pickle.loads(pickle.dumps(recognizer))
    assert moved.predict(talk) == recognizer.predict(talk)


def test_speakers_are_optional(recognizer: Recognizer) -> None:
    for speaker in (None, "Ann"):
        sane(recognizer.predict(conversation("w1", "w2", speaker=speaker)), LABELS, 2)


def test_a_conversation_of_20000_utterances(recognizer: Recognizer) -> None:
    order = [LABELS[i] for i in np.random.default_rng(3).integers(3, size=20_000)]
    prediction = recognizer.predict(conversation(*map(said, order)))
    sane(prediction, LABELS, 20_000)
    right = np.mean([item.label == label for item, label in zip(prediction, order, strict=True)])
    assert right > 0.5, "chance is a third; the model was trained on conversations of at most eight"


def test_wrong_input_is_refused(recognizer: Recognizer, bundle: Bundle, text_model: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="conversation 'talk' has no utterances"):
        recognizer.predict(conversation())
    for parts, told in (
        ({"id": "u0"}, "utterance 'u0' is there more than once"),
        ({"text": None}, "utterance 'u1': its text is None, expected a string"),
        ({"speaker": 3}, "utterance 'u1': its speaker is 3, expected a string"),
        ({"start": "0.5"}, "utterance 'u1': its start is '0.5', expected seconds"),
        ({"start": 2.0, "end": 1.0}, "utterance 'u1': expected times from 0 to 1000 hours"),
        ({"end": float("nan")}, "utterance 'u1': its end is nan, expected finite seconds"),
    ):
        wrong = Utterance(**{"id": "u1", "text": "hm", **parts})  # type: ignore[arg-type]
        with pytest.raises(InputError, match=re.escape(told)):
            recognizer.predict(Conversation("talk", (Utterance("u0", "oh"), wrong)))
    (spec,) = bundle.features["audio"]
    rows = Feature(spec, np.zeros((2, spec.width), np.float32))
    with pytest.raises(InputError, match="2 rows, expected one for each of 3"):
        Recognizer(bundle, "x").predict(conversation("a", "b", "c"), {spec.name: rows})
    infinite = Feature(spec, np.full((1, spec.width), np.inf, np.float32))
    with pytest.raises(InputError, match="infinite value at utterance 'talk_0'"):
        Recognizer(bundle, "x").predict(conversation("a"), {spec.name: infinite})
    # the model's text feature was made by an encoder that nobody knows
    with pytest.raises(IncompatibleError, match="say its folder or Hugging Face id"):
        Recognizer(bundle, "x").predict(conversation("a", "b"), {spec.name: rows})
    with pytest.raises(IncompatibleError, match="the text encoder minilm makes"):
        Recognizer.from_pretrained(text_model[1], encoder="minilm").predict(conversation("a"))


def test_a_model_of_voice_alone_needs_its_features(tmp_path: Path) -> None:
    corpus = make_corpus(62, modalities=("audio",))
    fit(corpus, tiny_config(epochs=1)).checkpoint.save(tmp_path)
    with pytest.raises(IncompatibleError, match="the model reads tiny-audio; found no feature"):
        Recognizer(Bundle.load(tmp_path), "x").predict(conversation("hello"))


def test_models_that_are_not_there_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a model folder or one of .*found neither"):
        Recognizer.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"expected a model folder with manifest\.json"):
        Recognizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "given", ["meeting.vtt", Path("meeting.vtt"), ["Hello."], None, Utterance("u", "Hello."), (), {"text": "Hello."}, 3]
)
def test_what_is_no_conversation_is_told_what_one_is(bundle: Bundle, given: object) -> None:
    with pytest.raises(InputError, match=rf"expected a Conversation.*read_transcript.*found {type(given).__name__}"):
        Recognizer(bundle, "x").predict(given)  # type: ignore[arg-type]


def test_what_is_no_feature_or_model_is_told(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="expected a model as a name or folder, found int"):
        Recognizer.from_pretrained(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected an encoder as a name or folder, found list"):
        Recognizer.from_pretrained(encoder=["minilm"])  # type: ignore[arg-type]
    for model in ("", "a\x00b", "m" * 5000):
        with pytest.raises(BroadMambaError):
            Recognizer.from_pretrained(model)
    with pytest.raises(InputError, match="'tiny-audio': expected a Feature, found ndarray"):
        Recognizer(bundle, "x").predict(conversation("a"), {"tiny-audio": np.zeros((1, 5))})  # type: ignore[dict-item]


def test_values_at_the_end_of_the_range_give_numbers_or_a_sentence(bundle: Bundle) -> None:
    (spec,) = bundle.features["audio"]
    for value in (3e38, -3e38, 1e-45):
        rows = Feature(spec, np.array([np.full(spec.width, value), np.zeros(spec.width)], np.float32))
        text = bundle.features["text"][0]
        given = {spec.name: rows, text.name: Feature(text, np.full((2, text.width), value, np.float32))}
        sane(Recognizer(bundle, "x").predict(conversation("a", "b"), given), LABELS, 2)
