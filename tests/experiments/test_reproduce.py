"""Studies from end to end on a small corpus: by command, again from the records alone, and after a kill."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from workshops import workshop_at

from broadmamba.baselines.systems import SYSTEMS
from broadmamba.errors import InputError
from broadmamba.experiments.reproduce import reproduce
from broadmamba.experiments.settings import corpus_settings
from broadmamba.experiments.workshop import Workshop
from broadmamba.storage import read_json


def command(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from broadmamba.cli.main import run; run()", "reproduce", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """The results folder after `reproduce figure5 length-like studies` with two seeds."""
    out = tmp_path_factory.mktemp("made")
    done = command("figure5", "--corpus", f"tiny={folder}", "--seeds", "0-1", "--out", out)
    stdout, stderr = done.communicate(timeout=300)
    assert done.returncode == 0, stderr
    assert stdout.split() == [str(out / name) for name in FILES]
    assert "16 of 16: tiny, broadmamba, seed" in stderr
    return out


FILES = ["figure5.md", "figure5-tiny.csv", "figure5.png", "figure5.svg"]


def test_every_seed_is_in_the_csv_and_every_row_on_the_page(made: Path) -> None:
    rows = list(csv.DictReader((made / "figure5-tiny.csv").open()))
    names = ["add", "concatenation", "LMF", "TFN", "attention", "guided: class", "guided: gate", "guided: scalar"]
    assert [(row["row"], row["seed"]) for row in rows] == [(name, seed) for name in names for seed in "01"]
    page = (made / "figure5.md").read_text()
    for name in names:
        values = [float(row["test_weighted_f1"]) for row in rows if row["row"] == name]
        assert re.search(rf"\| {name} \| 2 \|.* {100 * sum(values) / 2:.2f} ± ", page), name


def test_the_figure_is_a_picture_and_vector_text(made: Path) -> None:
    assert (made / "figure5.png").read_bytes().startswith(b"\x89PNG")
    svg = (made / "figure5.svg").read_text()
    for word in ("guided: gate", "weighted F1 on test"):
        assert re.search(rf"<text[^>]*>[^<]*{word}", svg), word


def test_from_the_records_alone_the_same_files_come_again(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no runs yet; give a corpus, such as --corpus iemocap=FOLDER"):
        reproduce("figure5", workshop_at(tmp_path, None))
    for part in ("records", "corpora"):
        shutil.copytree(made / part, tmp_path / part)
    reproduce("figure5", workshop_at(tmp_path, None))
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes(), name
    shutil.rmtree(tmp_path / "records")
    with pytest.raises(InputError, match="holds no run of figure5 yet"):
        reproduce("figure5", workshop_at(tmp_path, None))


def test_a_corpus_that_a_study_is_not_of_is_refused(folder: Path, tmp_path: Path) -> None:
    workshop = workshop_at(tmp_path, folder)
    with pytest.raises(InputError, match="table1 is made for iemocap, meld, found mosi"):
        reproduce("table1", replace(workshop, corpora={"mosi": folder}))


def test_done_runs_are_never_run_again(made: Path, folder: Path) -> None:
    records = {path: path.stat().st_mtime_ns for path in (made / "records" / "tiny").iterdir()}
    assert len(records) == 16
    before = {name: (made / name).read_bytes() for name in FILES}
    reproduce("figure5", workshop_at(made, folder))
    assert {path: path.stat().st_mtime_ns for path in (made / "records" / "tiny").iterdir()} == records
    assert {name: (made / name).read_bytes() for name in FILES} == before


def test_a_kill_loses_at_most_the_runs_in_hand(tmp_path: Path, folder: Path) -> None:
    arguments = ("table3", "--corpus", f"tiny={folder}", "--seeds", "0-2", "--workers", "2", "--out", tmp_path)
    killed = command(*arguments)
    records = tmp_path / "records" / "tiny"
    begun = time.monotonic()
    while not records.is_dir() or len(list(records.glob("*.json"))) < 3:
        assert killed.poll() is None and time.monotonic() - begun < 200
        time.sleep(0.05)
    children = _children(killed.pid)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    while any(_lives(child) for child in children):
        assert time.monotonic() - begun < 250, "the workers of a killed command must end"
        time.sleep(0.1)
    kept = {path: path.stat().st_mtime_ns for path in records.glob("*.json")}
    assert 3 <= len(kept) < 18
    for path in kept:
        assert read_json(path)["key"] == path.stem
    stdout, stderr = (again := command(*arguments)).communicate(timeout=300)
    assert again.returncode == 0, stderr
    assert len(list(records.glob("*.json"))) == 18
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(re.findall(r" of 18: tiny, broadmamba", stderr)) == 18 - len(kept)
    assert (tmp_path / "table3.md").is_file() and stdout


def _children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def workshop(made: Path, folder: Path) -> Workshop:
    return workshop_at(made, folder, (0,))


def test_losses_are_told_by_epoch(workshop: Workshop) -> None:
    written = reproduce("figure6", workshop)
    rows = list(csv.DictReader(written[2].open()))
    assert {(r["row"], r["split"]) for r in rows} == {
        (row, split) for row in ("with L_norm", "without L_norm") for split in ("train", "dev")
    }
    assert all(float(r["cross_entropy"]) > 0 for r in rows)


def test_the_embedding_has_a_point_for_every_labelled_utterance(workshop: Workshop) -> None:
    page, table, *_ = reproduce("figure7", workshop)
    facts = read_json(workshop.out / "corpora" / "tiny.json")
    assert len(list(csv.DictReader(table.open()))) == sum(map(sum, facts["support"]))
    assert "perplexity 30, seed 0" in page.read_text()


def test_costs_are_measured_once_for_every_system(workshop: Workshop) -> None:
    page, table = reproduce("table2", workshop)
    rows = list(csv.DictReader(table.open()))
    assert {row["row"] for row in rows if row["what"] == "pass_seconds"} == {
        "bc-LSTM", "DialogueRNN", "RGAT", "DialogueGCN", "LR-GCN", "DER-GCN", "Broad Mamba"
    }  # fmt: skip
    (path,) = (workshop.out / "records" / "tiny").glob("costs-*.json")
    assert all(row["flops"] > 0 and row["peak_memory"] >= 0 for row in read_json(path)["rows"].values())
    text = page.read_text()
    reproduce("table2", workshop)
    assert page.read_text() == text


def test_length_counts_every_conversation_once(made: Path, folder: Path) -> None:
    page, table, *_ = reproduce("length", workshop_at(made, folder, (0,)))
    rows = [row for row in csv.DictReader(table.open()) if row["row"] == "Broad Mamba"]
    counted = [int(n) for n in re.findall(r"\((\d+) conversations\)", page.read_text())]
    facts = read_json(made / "corpora" / "tiny.json")
    assert sum(counted) == len(facts["support"]) and len(counted) == len(rows)


def test_a_conversation_that_no_corpus_has_is_told(made: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="none of tiny has the conversation 'test_dia170' in its test split"):
        reproduce("figure8", workshop_at(made, folder, ()))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tabel1"], "unknown table or figure 'tabel1'"),
        (["table1", "--corpus", "meld"], "expected NAME=FOLDER, found 'meld'"),
        (["table1", "--corpus", "meld=/nowhere"], "there is no such folder"),
        (["a=b"], "expected the name of a table or figure, found none"),
        (["table1", "--seeds", "x"], "seeds: expected something like 0-9"),
        (["table1", "--out", "/dev/null/x"], "holds no runs yet"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], sentence: str) -> None:
    stdout, stderr = (done := command(*arguments)).communicate(timeout=60)
    assert done.returncode == 2 and not stdout
    assert sentence in stderr and stderr.count("\n") == 1, stderr


def test_the_search_names_the_best_trial_on_dev(made: Path, folder: Path) -> None:
    page, table = reproduce("search", workshop_at(made, folder, (0,)))
    rows = list(csv.DictReader(table.open()))
    assert {row["system"] for row in rows} == set(SYSTEMS) - {"compm", "emoberta"}  # the corpus has no token ids
    text = page.read_text()
    for system in {row["system"] for row in rows}:
        tried = {row["trial"]: float(row["dev_weighted_f1"]) for row in rows if row["system"] == system}
        assert list(tried) == list(corpus_settings("tiny").trials)
        assert f'\n{system} = "{max(tried, key=lambda name: tried[name])}"\n' in text
