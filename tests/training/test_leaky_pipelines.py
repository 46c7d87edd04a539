"""Pipelines that leak on purpose are caught, each for its reason, and ours is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.normalise import Normaliser
from broadmamba.errors import InputError
from broadmamba.evaluation.leaks import refuse_leaks, shared_conversations
from broadmamba.testing import check_pipeline
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.fit import fit
from corpora import make_corpus, tiny_config

CONFIG = tiny_config(epochs=4)


def numbers(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    weights = {name: value.numpy() for name, value in checkpoint.model.state_dict().items()}
    scales = {f"{m}.{part}": getattr(n, part) for m, n in checkpoint.normalisers.items() for part in ("mean", "scale")}
    return {**weights, **scales, "temperature": np.array(checkpoint.temperature)}


def honest(corpus: Corpus) -> Mapping[str, np.ndarray]:
    return numbers(fit(corpus, CONFIG).checkpoint)


def selects_on_test(corpus: Corpus) -> Mapping[str, np.ndarray]:
    splits = {"train": corpus.splits["train"], "dev": corpus.splits["test"]}
    return numbers(fit(replace(corpus, splits=splits), CONFIG).checkpoint)


def trains_on_test(corpus: Corpus) -> Mapping[str, np.ndarray]:
    train, dev, (first, *_) = (corpus.splits[name] for name in ("train", "dev", "test"))
    return numbers(fit(replace(corpus, splits={"train": (*train, first), "dev": dev}), CONFIG).checkpoint)


def normalises_by_all(corpus: Corpus) -> Mapping[str, np.ndarray]:
    scaled = {name: Feature(f.spec, Normaliser.fit(f.values).apply(f.values)[0]) for name, f in corpus.features.items()}
    return numbers(fit(replace(corpus, features=scaled), CONFIG).checkpoint)


def test_our_training_passes() -> None:
    check_pipeline(honest, make_corpus(3))


@pytest.mark.parametrize(
    ("pipeline", "reason"),
    [
        (selects_on_test, "labels of the test split must decide nothing"),
        (trains_on_test, "labels of the test split must decide nothing"),
        (normalises_by_all, "features of the test split must decide nothing"),
    ],
)
def test_a_leak_is_caught(pipeline: Callable[[Corpus], Mapping[str, np.ndarray]], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_pipeline(pipeline, make_corpus(3))


def test_chance_is_not_taken_for_a_leak() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(AssertionError, match="same result for the same corpus"):
        check_pipeline(lambda corpus: {"weights": random.random(3)}, make_corpus(3))


def with_a_test_conversation_in_train(corpus: Corpus, noise: float = 0.0) -> Corpus:
    """A long conversation of test again in train, under another name."""
    test = next(c for c in corpus.conversations if c.id in corpus.splits["test"] and len(c) > 3)
    start = next(i for i, u in enumerate(corpus.utterances) if u.id == test.utterances[0].id)
    copied = replace(test, id="copy", utterances=tuple(replace(u, id=f"copy-{u.id}") for u in test))
    features = {
        name: replace(f, values=np.concatenate([f.values, f.values[start : start + len(test)] + np.float32(noise)]))
        for name, f in corpus.features.items()
    }
    splits = {**corpus.splits, "train": (*corpus.splits["train"], "copy")}
    return replace(corpus, conversations=(*corpus.conversations, copied), features=features, splits=splits)


def test_a_test_conversation_in_train_is_found_under_any_name() -> None:
    corpus = make_corpus(3)
    assert shared_conversations(corpus) == []
    refuse_leaks(corpus)
    leaky = with_a_test_conversation_in_train(corpus)
    ((train, test),) = shared_conversations(leaky)
    assert train == "train/copy" and test.startswith("test/")
    with pytest.raises(InputError, match=r"test/test-\d+ is train/copy again; expected splits without a shared"):
        refuse_leaks(leaky)


def test_the_same_script_by_other_people_is_no_leak() -> None:
    assert shared_conversations(with_a_test_conversation_in_train(make_corpus(3), noise=0.5)) == []
