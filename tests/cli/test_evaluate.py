"""The command `broadmamba evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broadmamba.data.corpus import Corpus
from broadmamba.training.checkpoint import Checkpoint
from broadmamba.training.report import report_split, report_subsets
from corpora import LABELS


@pytest.mark.parametrize("split", ["test", "dev"])
def test_json_is_what_the_library_reports(command: Callable[..., Any], model: Path, corpus: Path, split: str) -> None:
    options = [] if split == "test" else ["--split", split]
    result = command("evaluate", model, corpus, "--json", "--threads", 1, *options)
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    expected = report_split(Checkpoint.load(model), Corpus.open(corpus), split)
    assert found["cost"].keys() == expected["cost"].keys()
    assert {**found, "cost": None} == {
        "model": str(model), "corpus": "synthetic", "split": split, **expected, "cost": None
    }  # fmt: skip


def test_tables_show_the_same_figures(command: Callable[..., Any], model: Path, corpus: Path) -> None:
    figures = json.loads(command("evaluate", model, corpus, "--json").out)
    result = command("evaluate", model, corpus)
    assert (result.code, result.err) == (0, "")
    rows = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in result.out.splitlines() if "│" in line}
    shown = [f"{100 * figures['weighted_f1']:.1f}", f"{100 * figures['without_repeats']['weighted_f1']:.1f}"]
    assert [cell.strip() for cell in rows["weighted F1"]] == shown
    for label, row in zip(LABELS, figures["confusion"], strict=True):
        assert [int(cell) for cell in rows[label]] == row
        assert rows[f"F1 {label}"][0].strip() == f"{100 * figures['f1'][label]:.1f}"


def test_a_corpus_without_a_modality_is_scored_and_that_is_said(
    command: Callable[..., Any], model: Path, synthetic: Corpus, tmp_path: Path
) -> None:
    text = replace(synthetic, features={"tiny-text": synthetic.features["tiny-text"]})
    text.save(tmp_path / "text")
    result = command("evaluate", model, tmp_path / "text")
    assert result.code == 0
    assert result.err == "Scored without audio, which the corpus does not have.\n"
    assert json.loads(command("evaluate", model, tmp_path / "text", "--json").out)["modalities"] == ["text"]


def test_each_subset_of_the_modalities_is_scored_on_request(
    command: Callable[..., Any], model: Path, corpus: Path
) -> None:
    found = json.loads(command("evaluate", model, corpus, "--subsets", "--json").out)["subsets"]
    assert found == report_subsets(Checkpoint.load(model), Corpus.open(corpus), "test")
    rows = [line.split("│")[1:-1] for line in command("evaluate", model, corpus, "--subsets").out.splitlines()]
    shown = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows if row}
    for subset in ("text", "audio", "text+audio"):
        assert shown[subset] == [f"{100 * value:.1f}" for value in found[subset].values()]
