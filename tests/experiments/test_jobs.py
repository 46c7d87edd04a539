"""What a run is known by, and what its record says, against the training itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from broadmamba.baselines.systems import SYSTEMS
from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.evaluation.metrics import measure
from broadmamba.experiments.facts import CorpusFacts
from broadmamba.experiments.jobs import Job, run_job
from broadmamba.experiments.results import RowResults, best_by_test
from broadmamba.experiments.settings import corpus_settings
from broadmamba.experiments.studies import Row, load_study, studies
from broadmamba.training.config import TrainingConfig
from broadmamba.training.fit import fit
from broadmamba.training.options import changed
from corpora import make_corpus, tiny_config, with_values

CONFIG = tiny_config(epochs=3)


def test_the_key_is_of_corpus_features_settings_and_seed(corpus: Corpus, facts: CorpusFacts) -> None:
    job = Job("tiny", CONFIG, 0)
    key = job.key(facts)
    assert key == Job("tiny", TrainingConfig.from_dict(CONFIG.to_dict()), 0).key(CorpusFacts.of("tiny", corpus, []))
    scaled = with_values(corpus, {name: 2 * f.values for name, f in corpus.features.items()})
    relabelled = replace(
        corpus,
        conversations=tuple(
            replace(c, utterances=tuple(replace(u, label="calm") for u in c)) for c in corpus.conversations
        ),
    )
    others = [
        Job("tiny", CONFIG, 1).key(facts),
        Job("tiny", CONFIG, 0, losses=True).key(facts),
        Job("tiny", replace(CONFIG, epochs=4), 0).key(facts),
        Job("tiny", changed(CONFIG, {"features": {"text": ["tiny-text"]}}), 0).key(facts),
        job.key(CorpusFacts.of("tiny", scaled, [])),
        job.key(CorpusFacts.of("tiny", relabelled, [])),
    ]
    assert len({key, *others}) == 1 + len(others)


def test_a_feature_that_is_not_asked_for_does_not_change_the_key(corpus: Corpus, facts: CorpusFacts) -> None:
    words = Job("tiny", changed(CONFIG, {"features": {"text": ["tiny-text"]}}), 0)
    audio = corpus.features["tiny-audio"].values
    louder = with_values(corpus, {"tiny-text": corpus.features["tiny-text"].values, "tiny-audio": 2 * audio})
    assert words.key(facts) == words.key(CorpusFacts.of("tiny", louder, []))
    with pytest.raises(InputError, match="corpus 'tiny' has no feature 'faces'; it has tiny-text, tiny-audio"):
        Job("tiny", changed(CONFIG, {"features": {"video": ["faces"]}}), 0).key(facts)


def test_a_record_says_what_the_training_gives(corpus: Corpus, facts: CorpusFacts) -> None:
    record = run_job(Job("tiny", CONFIG, 2, losses=True), corpus, facts)
    fitted = fit(corpus, CONFIG, seed=2)
    prepared = fitted.checkpoint.prepare_split(corpus.split("test"))
    probabilities = fitted.checkpoint.score(prepared).probabilities
    expected = measure(corpus.labels, prepared.labels.numpy(), probabilities)
    assert (record["epoch"], record["dev"]) == (fitted.epoch, fitted.dev.to_dict())
    assert {k: v for k, v in record["test"].items() if k != "without_repeats"} == expected.to_dict()
    digits = "".join(record["predictions"])
    assert [int(c, 36) for c in digits] == probabilities.argmax(1).tolist()
    assert [len(said) for said in record["predictions"]] == list(prepared.lengths)
    result = RowResults(Row(name="x"), [record])
    everything = np.ones((1, len(facts.support)))
    assert result.counts(facts).weighted_f1(everything)[0] == pytest.approx(expected.weighted_f1, abs=1e-12)
    assert record["parameters"] == sum(p.numel() for p in fitted.checkpoint.model.parameters())


def test_what_is_watched_is_the_test_split_and_losses_without_dropout(corpus: Corpus, facts: CorpusFacts) -> None:
    record = run_job(Job("tiny", replace(CONFIG, epochs=1, patience=1), 0, losses=True), corpus, facts)
    checkpoint = fit(corpus, replace(CONFIG, epochs=1, patience=1), seed=0).checkpoint
    watched = record["history"][0]["watched"]
    prepared = {name: checkpoint.prepare_split(corpus.split(name)) for name in ("train", "dev", "test")}
    test = measure(corpus.labels, prepared["test"].labels.numpy(), checkpoint.score(prepared["test"]).probabilities)
    assert watched["test_weighted_f1"] == pytest.approx(test.weighted_f1) == pytest.approx(best_by_test(record))
    for split in ("train", "dev"):
        batch = prepared[split].batch(range(len(prepared[split].lengths)))
        with torch.no_grad():
            logits = checkpoint.model(batch).logits
        known = batch.labels >= 0
        expected = torch.nn.functional.cross_entropy(logits[known], batch.labels[known])
        assert watched[f"{split}_emotion"] == pytest.approx(float(expected), rel=1e-5)


def test_facts_hold_counts_and_no_text(corpus: Corpus, facts: CorpusFacts) -> None:
    test = corpus.split("test")
    index = {label: i for i, label in enumerate(corpus.labels)}
    for conversation, counts in zip(test.conversations, facts.support, strict=True):
        labels = [index[u.label] for u in conversation if u.label is not None]
        assert counts == [labels.count(i) for i in range(len(index))]
    excerpt = facts.excerpts["test-3"]
    conversation = test.conversations[excerpt["place"]]
    assert conversation.id == "test-3"
    assert excerpt["labels"] == [u.label or "" for u in conversation]
    assert not any(u.text in repr(facts) for u in test.utterances if u.text)


def test_a_corpus_without_a_split_is_refused() -> None:
    corpus = make_corpus(0)
    halves = replace(corpus, splits={name: ids for name, ids in corpus.splits.items() if name != "dev"})
    with pytest.raises(InputError, match="experiments need the splits train, dev and test, dev is missing"):
        CorpusFacts.of("half", halves, [])


@pytest.mark.parametrize("name", studies())
def test_every_study_has_settings_for_each_of_its_rows(name: str) -> None:
    study = load_study(name)
    assert study.title and study.rows
    assert not study.reference or study.reference in [row.name for row in study.rows]
    for corpus in (*study.corpora, "a corpus of somebody's"):
        for row in study.rows:
            config = changed(corpus_settings(corpus).config(row.system, {}), row.set)
            assert config.system == row.system


def test_the_search_gives_every_system_the_same_trials() -> None:
    rows = load_study("search").rows
    assert [row.system for row in rows] == [row.system for row in load_study("table1").rows]
    assert {row.system for row in rows} == set(SYSTEMS)
    for corpus in ("iemocap", "meld"):
        settings = corpus_settings(corpus)
        assert set(settings.chosen.values()) <= set(settings.trials)
        for row in rows:
            tried = settings.tried(row.system)
            assert tried == (["start"] if row.system in ("compm", "emoberta") else list(settings.trials))
            start, *others = (settings.trial(row.system, trial, {}) for trial in tried)
            assert all(changed(start, settings.trials[t]) == o for t, o in zip(tried[1:], others, strict=True))


def test_unknown_studies_are_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"unknown table or figure 'tabel1'; known are .*did you mean table1"):
        load_study("tabel1")
