"""What is reported of a model on a split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.fit import fit
from broadmamba.training.report import SUBSET_FIGURES, report_split, report_subsets, unseen
from corpora import LABELS, make_corpus, tiny_config

CORPUS = make_corpus(51, noise=2.5, unlabelled=0.2, repeated=0.4)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return fit(CORPUS, tiny_config(epochs=2)).checkpoint


def predictions(checkpoint: Checkpoint, corpus: Corpus, split: str) -> list[tuple[Utterance, str]]:
    """Each utterance with its label, predicted one conversation at a time."""
    part = corpus.split(split)
    found, row = [], 0
    for conversation in part.conversations:
        rows = slice(row, row + len(conversation))
        row = rows.stop
        features = {name: replace(f, values=f.values[rows]) for name, f in part.features.items()}
        probabilities = checkpoint.score(checkpoint.prepare([conversation], features)).probabilities
        found += list(zip(conversation, [LABELS[i] for i in probabilities.argmax(1)], strict=True))
    return found


def same(figures: dict[str, object], pairs: list[tuple[Utterance, str]]) -> None:
    truth = [u.label for u, _ in pairs if u.label is not None]
    predicted = [label for u, label in pairs if u.label is not None]
    options = {"labels": LABELS, "zero_division": 0}
    assert figures["utterances"] == len(truth) > 5
    assert figures["confusion"] == confusion_matrix(truth, predicted, labels=LABELS).tolist()
    assert figures["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert figures["weighted_f1"] == pytest.approx(f1_score(truth, predicted, average="weighted", **options))
    assert figures["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro", **options))
    assert figures["uar"] == pytest.approx(recall_score(truth, predicted, average="macro", **options))
    by_class = f1_score(truth, predicted, average=None, **options)
    assert figures["f1"] == pytest.approx(dict(zip(LABELS, by_class, strict=True)))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_all_figures_and_those_without_repeats(checkpoint: Checkpoint, split: str) -> None:
    report = report_split(checkpoint, CORPUS, split)
    pairs = predictions(checkpoint, CORPUS, split)
    same(report, pairs)
    in_train = [u.text for u in CORPUS.split("train").utterances]
    new = [(u, label) for u, label in pairs if in_train.count(u.text) == 0]
    assert len(new) < len(pairs)
    same(report["without_repeats"], new)


def test_train_itself_has_no_figures_without_repeats(checkpoint: Checkpoint) -> None:
    assert "without_repeats" not in report_split(checkpoint, CORPUS, "train")
    only = replace(CORPUS, splits={"test": CORPUS.splits["test"]})
    report = report_split(checkpoint, only, "test")
    assert report["without_repeats"]["utterances"] == report["utterances"], "nothing is known of train"


def test_a_split_of_which_every_text_stands_in_train(checkpoint: Checkpoint) -> None:
    known = CORPUS.conversations[0].utterances[0].text
    same_text = tuple(Conversation(c.id, tuple(replace(u, text=known) for u in c)) for c in CORPUS.conversations)
    assert "without_repeats" not in report_split(checkpoint, replace(CORPUS, conversations=same_text), "test")


def test_repeats_are_verbatim() -> None:
    said = tuple(Utterance(str(i), text) for i, text in enumerate(["Okay.", "okay.", "Okay. ", "", "Okay."]))
    assert unseen(said, (Utterance("a", "Okay."), Utterance("b", ""))).tolist() == [False, True, True, False, False]


def test_parameters_are_counted(checkpoint: Checkpoint) -> None:
    cost = report_split(checkpoint, CORPUS, "test")["cost"]
    assert cost["parameters"] == sum(np.prod(v.shape) for v in checkpoint.model.state_dict().values())


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_subsets_are_what_a_corpus_without_the_other_modalities_gives(missing: float) -> None:
    corpus = make_corpus(52, modalities=("text", "audio", "video"), noise=2.5, missing=missing)
    made = fit(corpus, tiny_config(epochs=2)).checkpoint
    found = report_subsets(made, corpus, "dev")
    assert list(found) == [
        "text", "audio", "video", "text+audio", "text+video", "audio+video", "text+audio+video"
    ]  # fmt: skip
    for subset, figures in found.items():
        features = {f"tiny-{m}": corpus.features[f"tiny-{m}"] for m in subset.split("+")}
        expected = report_split(made, replace(corpus, features=features), "dev")
        assert figures == {name: expected[name] for name in SUBSET_FIGURES}
    assert len({figures["weighted_f1"] for figures in found.values()}) > 3, "the corpus is too easy for this test"


def test_calibration_error_is_told_before_and_after(checkpoint: Checkpoint) -> None:
    report = report_split(checkpoint, CORPUS, "dev")
    raw = report_split(replace(checkpoint, temperature=1.0), CORPUS, "dev")
    assert checkpoint.temperature != 1.0
    assert report["ece_before_calibration"] == raw["ece_before_calibration"] == raw["ece"] != report["ece"]


def test_a_split_without_labels_or_of_another_name(checkpoint: Checkpoint) -> None:
    mute = tuple(Conversation(c.id, tuple(replace(u, label=None) for u in c)) for c in CORPUS.conversations)
    with pytest.raises(InputError, match="split 'test' of corpus 'synthetic' has no labels"):
        report_split(checkpoint, replace(CORPUS, conversations=mute), "test")
    with pytest.raises(InputError, match=r"unknown split 'tset'; known are train, dev, test \(did you mean test\?\)"):
        report_split(checkpoint, CORPUS, "tset")
