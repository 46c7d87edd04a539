"""Whether a way of training lets the test split in, through selection, through normalisation or as training data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import Conversation
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.testing.require import require

Pipeline = Callable[[Corpus], Mapping[str, NDArray[Any]]]
"""From a corpus to all numbers that decide what the trained model says: weights and normalisation, by name."""


def check_pipeline(pipeline: Pipeline, corpus: Corpus) -> None:
    """Train on a corpus, and on others that differ in their test split alone: the results must be equal bit by bit.

    Labels, features and the number of conversations of the test split are changed in turn, so that a pipeline is caught
    that selects by a figure of test, that measures normalisation on all splits, or that trains on test conversations.

    Args:
        pipeline: deterministic for a given corpus.
        corpus: small, with splits train, dev and test and at least one feature.

    Raises:
        AssertionError: the test split has an influence; the message says through what.
    """
    plain = pipeline(corpus)
    require(_equal(plain, pipeline(corpus)), "a pipeline must give the same result for the same corpus")
    for change, through in (
        (_other_labels, "the labels of the test split must decide nothing: something is selected by them or learnt"),
        (_other_features, "the features of the test split must decide nothing: they are normalised by or learnt from"),
        (_fewer_conversations, "the conversations of the test split must decide nothing: some are learnt from"),
    ):
        require(_equal(plain, pipeline(change(corpus))), through)


def _equal(first: Mapping[str, NDArray[Any]], second: Mapping[str, NDArray[Any]]) -> bool:
    return set(first) == set(second) and all(np.array_equal(first[name], second[name]) for name in first)


def _other_labels(corpus: Corpus) -> Corpus:
    """Every label of test becomes the next one in class order."""
    following = {name: corpus.labels[(i + 1) % len(corpus.labels)] for i, name in enumerate(corpus.labels)}

    def change(conversation: Conversation) -> Conversation:
        said = (replace(u, label=u.label and following[u.label]) for u in conversation)
        return replace(conversation, utterances=tuple(said))

    tested = set(corpus.splits["test"])
    return replace(
        corpus, path=None, conversations=tuple(change(c) if c.id in tested else c for c in corpus.conversations)
    )


def _other_features(corpus: Corpus) -> Corpus:
    """Every value of test is far off."""
    tested = set(corpus.splits["test"])
    rows = np.array([c.id in tested for c in corpus.conversations for _ in c])[:, None]
    features = {
        name: Feature(f.spec, np.where(rows, 3 * f.values + 5, f.values).astype(np.float32))
        for name, f in corpus.features.items()
    }
    return replace(corpus, path=None, features=features)


def _fewer_conversations(corpus: Corpus) -> Corpus:
    """The first conversation of test is in no split."""
    splits = {**corpus.splits, "test": corpus.splits["test"][1:]}
    return replace(corpus, path=None, splits=splits)
