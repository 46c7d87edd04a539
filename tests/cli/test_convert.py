"""The command `broadmamba convert`."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import broadmamba
from broadmamba.cli.convert import convert
from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError

application = typer.Typer()
application.command()(convert)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    folder = tmp_path / "my [red]table"
    folder.mkdir()
    rows = [
        {"dialogue": f"d{i // 2}", "utterance": f"u{i}", "split": ["train", "test"][i // 4], "emotion": "ab"[i % 2]}
        for i in range(6)
    ]
    del rows[5]["emotion"]
    (folder / "utterances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = np.arange(18.0).reshape(6, 3)
    values[1], values[2, 0] = np.nan, np.nan
    np.save(folder / "prosody.npy", values)
    return folder


def run(*arguments: object) -> str:
    """What the command prints; its own errors pass through."""
    result = CliRunner().invoke(application, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def cells(printed: str) -> list[list[str]]:
    """The cells of the printed tables' rows."""
    return [[cell.strip() for cell in line.strip("│┃\n ").split("│")] for line in printed.splitlines() if "│" in line]


def test_a_table_becomes_a_corpus_and_is_summed_up(table: Path, tmp_path: Path) -> None:
    printed = run(table, "--out", tmp_path / "made" / "corpus")
    corpus = Corpus.open(tmp_path / "made" / "corpus")
    assert corpus.name == "my [red]table"
    assert "my [red]table" in printed
    assert cells(printed) == [
        ["conversations", "3", "2", "1"],
        ["utterances", "6", "4", "2"],
        ["a", "3", "2", "1"],
        ["b", "2", "2", "0"],
        ["(no label)", "1", "0", "1"],
        ["prosody", "audio", "3", "1", "1"],
    ]


def test_name_format_and_modality_are_taken_from_the_options(table: Path, tmp_path: Path) -> None:
    np.save(table / "x.npy", np.zeros((6, 2)))
    np.save(table / "y.npy", np.zeros((6, 2)))
    options = ("--modality", "x=video", "--modality", "y=text", "--name", "mine", "--format", "table")
    run(table, "--out", tmp_path / "corpus", *options)
    corpus = Corpus.open(tmp_path / "corpus")
    modalities = {name: feature.spec.modality for name, feature in corpus.features.items()}
    assert (corpus.name, modalities) == ("mine", {"prosody": "audio", "x": "video", "y": "text"})


def test_the_notes_of_a_pickle_are_printed(tmp_path: Path) -> None:
    ids = [f"c{i}" for i in range(4)]
    parts = [{id: [value] for id in ids} for value in ("u", "M", 0)]
    parts += [{id: np.zeros((1, 2)) for id in ids}] * 3
    (tmp_path / "old.pkl").write_bytes(pickle.dumps((*parts, {id: ["hi"] for id in ids}, ids[:3], ids[3:])))
    printed = run(tmp_path / "old.pkl", "--out", tmp_path / "corpus")
    assert "no dev split: 1 of its 3" in " ".join(printed.split())
    assert cells(printed)[0] == ["conversations", "4", "2", "1", "1"]


def test_an_existing_folder_is_refused_and_kept(table: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in table.iterdir())
    with pytest.raises(InputError, match="exists already"):
        run(table, "--out", table)
    assert sorted(path.name for path in table.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--modality", "x"), "expected NAME=text"),
        (("--modality", "prosody=smell"), "unknown modality 'smell'"),
        (("--modality", "x=audio"), "no feature 'x'"),
        (("--format", "csv"), "known are meld, table, pickle"),
        (("--format", "meld"), "sent_emo.csv"),
        (("--format", "pickle"), "expected a pickle file, found a folder"),
    ],
)
def test_wrong_options_get_one_sentence_and_write_nothing(
    table: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run(table, "--out", tmp_path / "corpus", *options)
    assert not (tmp_path / "corpus").exists()


def test_a_failure_is_one_line_on_standard_error_and_exit_code_2(table: Path, tmp_path: Path) -> None:
    np.save(table / "prosody.npy", np.full((6, 3), np.inf))
    command = [sys.executable, "-c", "from broadmamba.cli.main import run; run()", "convert"]
    environment = {**os.environ, "PYTHONPATH": str(Path(broadmamba.__file__).parents[1])}
    ended = subprocess.run(
        [*command, str(table), "--out", str(tmp_path / "corpus")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    (sentence,) = ended.stderr.splitlines()
    assert "'prosody': infinite value at utterance 'u0', column 0" in sentence
    assert [path.name for path in tmp_path.iterdir()] == [table.name]
