"""What training learns, and how it chooses the epoch."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.fit import fit, warm_cosine
from broadmamba.training.report import report_split
from corpora import LABELS, WIDTHS, make_corpus, tiny_config, with_values

THREE = tuple(WIDTHS)


def weights(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return dict(checkpoint.model.state_dict())


def same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("fusion", ["class", "gate", "scalar", "add", "concatenation"])
def test_a_learnable_corpus_is_learnt_by_each_fusion(fusion: str) -> None:
    fitted = fit(make_corpus(1), tiny_config(epochs=8, model={"fusion": fusion}))
    assert report_split(fitted.checkpoint, make_corpus(1), "test")["weighted_f1"] > 0.9
    assert fitted.history[-1].loss["total"] < 0.7 * fitted.history[0].loss["total"]


@pytest.mark.parametrize("extra", [{"ssm": "selective"}, {"broad": False}, {"random_nodes": True}, {"speakers": 2}])
def test_a_learnable_corpus_is_learnt_by_each_kind_of_model(extra: dict[str, object]) -> None:
    corpus = make_corpus(2)
    fitted = fit(corpus, tiny_config(epochs=8, model=extra))
    assert report_split(fitted.checkpoint, corpus, "test")["weighted_f1"] > 0.9


def test_the_running_mean_and_the_closed_form_learn_too() -> None:
    corpus = make_corpus(2)
    for extra in ({"average": 0.8}, {"refit": True, "loss": {"ridge": 0.1}}):
        fitted = fit(corpus, tiny_config(epochs=8, **extra))
        assert report_split(fitted.checkpoint, corpus, "test")["weighted_f1"] > 0.9, extra


def test_three_modalities_with_missing_rows_gaps_and_unlabelled_utterances() -> None:
    corpus = make_corpus(3, modalities=THREE, missing=0.3, gaps=0.2, unlabelled=0.3)
    fitted = fit(corpus, tiny_config(epochs=10, model={"modality_dropout": 0.2}))
    report = report_split(fitted.checkpoint, corpus, "test")
    test = corpus.split("test")
    assert report["utterances"] == sum(u.label is not None for u in test.utterances) < len(test.utterances)
    assert report["weighted_f1"] > 0.75  # one utterance in fifty has no modality at all, and context tells nothing
    scores = fitted.checkpoint.score(fitted.checkpoint.prepare_split(test))
    assert np.isfinite(scores.probabilities).all()
    for place, m in enumerate(THREE):
        missing = test.features[f"tiny-{m}"].missing()
        assert missing.any()
        assert (scores.present[:, place] == ~missing).all()
        assert (scores.modality_weights[missing, place] == 0).all()


def test_figures_are_those_of_scikit_learn_on_the_model_s_own_predictions() -> None:
    corpus = make_corpus(4, noise=2.5, unlabelled=0.1)
    fitted = fit(corpus, tiny_config(epochs=3))
    dev = corpus.split("dev")
    scores = fitted.checkpoint.score(fitted.checkpoint.prepare_split(dev))
    pairs = [
        (u.label, LABELS[row.argmax()])
        for u, row in zip(dev.utterances, scores.probabilities, strict=True)
        if u.label is not None
    ]
    truth, predicted = zip(*pairs, strict=True)
    expected = f1_score(truth, predicted, average="weighted", labels=LABELS, zero_division=0)
    assert fitted.dev.weighted_f1 == pytest.approx(expected)
    assert fitted.dev.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert fitted.dev.weighted_f1 < 0.999, "the corpus is too easy for this test"


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_earliest_epoch_with_the_best_dev_figure_is_kept(average: float) -> None:
    corpus = make_corpus(5, noise=2.0)
    fitted = fit(corpus, tiny_config(epochs=9, average=average))
    figures = [e.dev["weighted_f1"] for e in fitted.history]
    assert [e.epoch for e in fitted.history] == list(range(1, 10))
    assert fitted.epoch == 1 + figures.index(max(figures))
    assert fitted.dev.weighted_f1 == max(figures)
    assert report_split(fitted.checkpoint, corpus, "dev")["weighted_f1"] == max(figures)


def test_training_stops_when_dev_has_not_risen_for_as_long_as_the_patience() -> None:
    corpus = make_corpus(5, noise=0.1)  # learnt at once, so that dev cannot rise for long
    fitted = fit(corpus, tiny_config(epochs=40, patience=3))
    assert len(fitted.history) == fitted.epoch + 3 < 40


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    corpus, config = make_corpus(6), tiny_config(epochs=2)
    first = fit(corpus, config, seed=3)
    torch.rand(7)  # what was drawn before must not matter
    again, other = fit(corpus, config, seed=3), fit(corpus, config, seed=4)
    assert same_weights(first.checkpoint, again.checkpoint)
    assert first.history == again.history
    assert not same_weights(first.checkpoint, other.checkpoint)


def test_a_label_that_shows_only_beside_the_speaker_s_mean_needs_speaker_relative() -> None:
    corpus = shifted_speakers()
    plain = fit(corpus, tiny_config(epochs=12))
    relative = fit(corpus, tiny_config(epochs=12, speaker_relative=["audio"]))
    assert relative.checkpoint.model.config.widths == {"audio": 2 * WIDTHS["audio"]}
    figure = report_split(relative.checkpoint, corpus, "test")["weighted_f1"]
    assert figure > 0.8
    assert figure > report_split(plain.checkpoint, corpus, "test")["weighted_f1"] + 0.1


def shifted_speakers() -> Corpus:
    """Every speaker of every conversation has an offset of their own, far larger than what tells the classes apart."""
    plain = make_corpus(7, modalities=("audio",), sizes={"train": 60, "dev": 20, "test": 20}, noise=0.3)
    random = np.random.default_rng(8)
    values = plain.features["tiny-audio"].values.copy()
    conversations, row = [], 0
    classes = [LABELS.index(u.label or "") for u in plain.utterances]
    for conversation in plain.conversations:
        # three turns or more of each speaker, so that a mean says something
        speakers = [("Ann", "Ben")[i % 2] for i in range(len(conversation))]
        offsets = {name: random.normal(0, 30, WIDTHS["audio"]) for name in ("Ann", "Ben")}
        for speaker in speakers:
            values[row] += offsets[speaker]
            row += 1
        turns = tuple(replace(u, speaker=s) for u, s in zip(conversation, speakers, strict=True))
        conversations.append(Conversation(conversation.id, turns))
    assert row == len(classes)
    changed = replace(plain, conversations=tuple(conversations))
    return with_values(changed, {"tiny-audio": values.astype(np.float32)})


def test_features_are_chosen_by_name_and_wrong_names_are_refused() -> None:
    corpus = make_corpus(8, modalities=THREE)
    fitted = fit(corpus, tiny_config(epochs=1, features={"video": ["tiny-video"], "text": ["tiny-text"]}))
    assert fitted.checkpoint.modalities == ("text", "video")
    for features, message in (
        ({"text": ["tiny-txt"]}, "no feature 'tiny-txt'; it has tiny-text, tiny-audio, tiny-video"),
        ({"text": ["tiny-audio"]}, "'tiny-audio' is audio, not text"),
    ):
        with pytest.raises(InputError, match=message):
            fit(corpus, tiny_config(features=features))
    with pytest.raises(InputError, match="no features yet; extract one first"):
        fit(replace(corpus, features={}), tiny_config())


def test_a_corpus_that_cannot_be_trained_on_is_refused() -> None:
    corpus = make_corpus(9, sizes={"train": 3, "test": 2})
    with pytest.raises(InputError, match="unknown split 'dev'"):
        fit(corpus, tiny_config())
    with pytest.raises(InputError, match="labelled utterances in both train and dev"):
        fit(make_corpus(9, unlabelled=1.0), tiny_config())
    silent = make_corpus(9)
    nothing = np.full_like(silent.features["tiny-audio"].values, np.nan)
    with pytest.raises(InputError, match="audio: column 0 has no value in any training utterance"):
        fit(with_values(silent, {"tiny-audio": nothing}), tiny_config())


def test_a_training_that_breaks_down_says_so_in_one_sentence() -> None:
    with pytest.raises(InputError, match=r"training broke down in epoch \d+: the loss is (nan|inf)"):
        fit(make_corpus(9), tiny_config(epochs=60, learning_rate=1e30, clip=1e30))


def test_conversations_of_one_utterance_and_an_only_conversation() -> None:
    corpus = make_corpus(10, sizes={"train": 1, "dev": 1, "test": 1})
    one = tuple(Conversation(c.id, (Utterance(c.id, label="glad"),)) for c in corpus.conversations)
    starts = np.cumsum([0, *(len(c) for c in corpus.conversations[:-1])])
    features = {name: replace(feature, values=feature.values[starts]) for name, feature in corpus.features.items()}
    small = Corpus("small", corpus.labels, one, corpus.splits, features)
    assert fit(small, tiny_config(epochs=2)).dev.utterances == 1


def test_the_learning_rate_rises_over_a_tenth_and_falls_to_zero() -> None:
    shares = [warm_cosine(step, 100) for step in range(101)]
    assert max(shares) == shares[9] and shares[100] == 0
    assert all(a < b for a, b in pairwise(shares[:10]))
    assert all(a > b for a, b in pairwise(shares[9:]))
