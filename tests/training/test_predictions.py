"""What a seed keeps of its test split can be read back, in any order, and nothing else is taken for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from broadmamba.errors import InputError
from broadmamba.training.predictions import PREDICTIONS, RunPredictions
from broadmamba.training.runs import train_seeds
from corpora import LABELS, make_corpus, tiny_config

CORPUS = make_corpus(61, noise=2.5, unlabelled=0.1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    train_seeds(CORPUS, tiny_config(epochs=2), [0, 4], out)
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy, which the test may change."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def rewrite(file: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change the rows of a file, in place."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    change(rows)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_what_is_read_is_the_test_split_and_its_figures_are_those_of_the_results(run: Path) -> None:
    found = RunPredictions.read(run)
    test = CORPUS.split("test")
    assert tuple(found.labels) == LABELS
    assert list(found.conversations) == [c.id for c in test.conversations]
    assert [id for ids in found.conversations.values() for id in ids] == [u.id for u in test.utterances]
    assert found.truth.tolist() == [-1 if u.label is None else LABELS.index(u.label) for u in test.utterances]
    assert (found.truth == -1).any()
    for seed in (0, 4):
        results = json.loads((run / f"seed-{seed}" / "results.json").read_text())
        assert found.figures[seed] == pytest.approx(results["test"]["weighted_f1"])
    assert list(found.predicted) == [0, 4]


def test_unfinished_seeds_and_other_folders_are_passed_over(run: Path) -> None:
    (run / "seed-4" / "results.json").unlink()
    shutil.copytree(run / "seed-0", run / "seed-0-old")
    assert list(RunPredictions.read(run).predicted) == [0]


def test_another_order_of_conversations_and_labels_is_brought_into_line(run: Path, tmp_path: Path) -> None:
    turned = Path(shutil.copytree(run, tmp_path / "turned"))
    for seed in (0, 4):
        rewrite(turned / f"seed-{seed}" / PREDICTIONS, lambda rows: rows.reverse())
    config = json.loads((turned / "config.json").read_text())
    config["corpus"]["labels"].reverse()
    (turned / "config.json").write_text(json.dumps(config))
    base, other = RunPredictions.read(run), RunPredictions.read(turned)
    assert not np.array_equal(base.truth, other.truth)
    again = other.in_order_of(base)
    assert list(again.conversations) == list(base.conversations) and again.labels == base.labels
    assert np.array_equal(again.truth, base.truth)
    assert all(np.array_equal(again.predicted[seed], base.predicted[seed]) for seed in (0, 4))


def relabel(rows: list[dict[str, Any]]) -> None:
    rows[0]["labels"] = ["glad" if label != "glad" else "calm" for label in rows[0]["labels"]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.pop(), "different utterances"),
        (lambda rows: rows[0].update(conversation="other"), "different utterances"),
        (lambda rows: rows[0]["utterances"].__setitem__(0, "other"), "different utterances"),
        (relabel, "different labels for the same utterances"),
    ],
)
def test_other_utterances_are_no_pairs(
    run: Path, tmp_path: Path, change: Callable[[list[dict[str, Any]]], Any], told: str
) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    for seed in (0, 4):
        rewrite(other / f"seed-{seed}" / PREDICTIONS, change)
    with pytest.raises(InputError, match=told) as caught:
        RunPredictions.read(other).in_order_of(RunPredictions.read(run))
    assert str(run) in str(caught.value) and str(other) in str(caught.value)
    rewrite(run / "seed-4" / PREDICTIONS, change)
    with pytest.raises(InputError, match="seeds 0 and 4 were tested on different utterances"):
        RunPredictions.read(run)


def test_other_labels_are_no_pairs(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    config["corpus"]["labels"].append("bored")
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="have different labels: calm, glad, upset, bored and calm, glad, upset"):
        RunPredictions.read(other).in_order_of(RunPredictions.read(run))


BROKEN: list[Callable[[dict[str, Any]], Any]] = [
    lambda row: row.pop("labels"),
    lambda row: row["predictions"].append("calm"),
    lambda row: row["predictions"].__setitem__(0, None),
    lambda row: row["predictions"].__setitem__(0, "bored"),
    lambda row: row["labels"].__setitem__(0, ["calm"]),
    lambda row: row.update(utterances=3),
    lambda row: row.update(conversation=[]),
    lambda row: row.update(conversation="test-0"),
]


@pytest.mark.parametrize("change", BROKEN)
def test_a_damaged_row_is_told_by_its_line(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    file = run / "seed-4" / PREDICTIONS
    rewrite(file, lambda rows: change(rows[1]))
    with pytest.raises(InputError, match="line 2: expected a conversation") as caught:
        RunPredictions.read(run)
    assert str(file) in str(caught.value)


def test_folders_that_are_no_runs(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a run folder with config\.json"):
        RunPredictions.read(tmp_path / "nothing")
    (run / "seed-0" / PREDICTIONS).unlink()
    with pytest.raises(InputError, match="no such file; the corpus has no test split"):
        RunPredictions.read(run)
    for seed in (0, 4):
        (run / f"seed-{seed}" / "results.json").unlink()
    with pytest.raises(InputError, match="expected finished seeds"):
        RunPredictions.read(run)
    for content in ("[]", "{}", '{"corpus": 3}', '{"corpus": {"labels": [[]]}}', '{"corpus": {"labels": "abc"}}'):
        (run / "config.json").write_text(content)
        with pytest.raises(InputError, match=r"config\.json: expected the settings of a run"):
            RunPredictions.read(run)


def test_a_corpus_without_a_test_split_keeps_no_predictions(tmp_path: Path) -> None:
    train_seeds(make_corpus(62, sizes={"train": 4, "dev": 2}), tiny_config(epochs=1), [0], tmp_path / "run")
    assert not (tmp_path / "run" / "seed-0" / PREDICTIONS).exists()
