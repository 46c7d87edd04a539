"""Statistics of rows against the same tests on whole predictions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.evaluation.significance import holm, paired_bootstrap, paired_t_test
from broadmamba.experiments.facts import CorpusFacts
from broadmamba.experiments.jobs import Job, run_job, write_record
from broadmamba.experiments.records import read_run
from broadmamba.experiments.results import RowResults, Spread, compare_with, weighted_f1
from broadmamba.experiments.studies import Row
from corpora import tiny_config


@pytest.fixture(scope="module")
def rows(corpus: Corpus, facts: CorpusFacts) -> list[RowResults]:
    plans = {"ours": (2, (0, 1, 2)), "longer": (5, (0, 1)), "other seed": (3, (7,)), "not run": (1, ())}
    return [
        RowResults(Row(name=name), [run_job(Job("tiny", tiny_config(epochs=epochs), s), corpus, facts) for s in seeds])
        for name, (epochs, seeds) in plans.items()
    ]


def test_comparisons_are_those_of_whole_predictions(rows: list[RowResults], corpus: Corpus, facts: CorpusFacts) -> None:
    found = compare_with(rows[0], rows, facts, resamples=300)
    assert list(found) == ["longer", "other seed"]
    test = corpus.split("test")
    truth = np.array([-1 if u.label is None else corpus.labels.index(u.label) for u in test.utterances])
    dialogues = np.repeat(np.arange(len(test.conversations)), [len(c) for c in test.conversations])
    predicted = [np.array([[int(c, 36) for c in "".join(r["predictions"])] for r in row.records]) for row in rows[:3]]
    expected = [
        paired_bootstrap(truth, predicted[0], other, dialogues, len(corpus.labels), resamples=300)
        for other in predicted[1:]
    ]
    for comparison, result in zip(found.values(), expected, strict=True):
        assert comparison.conversations == result
    assert [c.p_conversations for c in found.values()] == holm([c.conversations.p for c in found.values()])


def test_seeds_are_paired_by_their_number(rows: list[RowResults], facts: CorpusFacts) -> None:
    found = compare_with(rows[0], rows, facts, resamples=50)
    ours, longer = (row.values(weighted_f1) for row in rows[:2])
    assert found["longer"].seeds == paired_t_test(ours[:2], longer)
    assert found["other seed"].seeds is None and found["other seed"].p_seeds is None


def test_the_spread_is_of_the_sample() -> None:
    spread = Spread.of([0.1, 0.2, 0.6])
    assert (spread.mean, spread.sd, spread.count) == (
        pytest.approx(0.3),
        pytest.approx(np.std([1, 2, 6], ddof=1) / 10),
        3,
    )
    assert Spread.of([0.4]) == Spread(0.4, 0.0, 1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: run["test"].pop("f1"), r"at test\.f1"),
        (lambda run: run["test"]["f1"].pop("glad"), r"at test\.f1\.glad"),
        (lambda run: run["test"].update(without_repeats={"f1": {}}), r"at test\.without_repeats"),
        (lambda run: run.update(parameters="many"), "at parameters"),
        (lambda run: run["history"][0].update(watched={}), r"at history\[0\]\.watched\.test_weighted_f1"),
        (lambda run: run["counts"]["right"].pop(), "expected 3 classes and 9 conversations, found others"),
        (lambda run: run["predictions"].__setitem__(0, "0z"), "expected 3 classes and 9 conversations, found others"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path, corpus, facts, damage, said):
    run = run_job(Job("tiny", tiny_config(epochs=1), 0), corpus, facts)
    path = tmp_path / "run.json"
    write_record(path, run)
    assert read_run(path, facts.labels, len(facts.support)) == json.loads(json.dumps(run))
    damage(run)
    write_record(path, run)
    with pytest.raises(InputError, match=said):
        read_run(path, facts.labels, len(facts.support))


def test_damaged_facts_are_refused(tmp_path, facts):
    facts.write(tmp_path)
    path = tmp_path / "tiny.json"
    values = json.loads(path.read_text())
    assert CorpusFacts.read(tmp_path, "tiny") == facts
    for damage, said in (({"support": [*values["support"][:1], [1]]}, "a count for each of 3 labels"),
                         ({"labels": "calm"}, "at labels"), ({"sha256": None}, "at sha256")):  # fmt: skip
        path.write_text(json.dumps({**values, **damage}))
        with pytest.raises(InputError, match=said):
            CorpusFacts.read(tmp_path, "tiny")
