"""Whatever is wrong gets one sentence and exit code 2, and no file is made, changed or left half written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from corpora import LABELS, specs

JUNK = bytes(range(256)) * 8


@pytest.fixture
def refuse(command: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """Runs a command that must fail, and gives what it says."""

    def call(*arguments: object) -> str:
        before = listing(tmp_path)
        result = command(*arguments)
        assert (result.code, result.out) == (2, ""), result
        assert result.err.startswith("broadmamba: ") and result.err.endswith("\n")
        assert result.err.count("\n") == 1 and "Traceback" not in result.err
        assert len(result.err) < 1000
        assert listing(tmp_path) == before
        return str(result.err)

    return call


def listing(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


# --- transcripts


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.txt", b"", "empty"),
        ("blank.vtt", b" \n\n", "white space"),
        ("header.vtt", b"WEBVTT\n\n", "utterance"),
        ("header.csv", b"speaker,text\n", "utterance"),
        ("junk.txt", JUNK, "text"),
        ("junk.csv", JUNK, "text"),
        ("junk.vtt", b"\x89PNG\r\n\x1a\n" + JUNK, "text"),
        ("zip.jsonl", b"PK\x03\x04" + JUNK, "text"),
        ("not.vtt", b"hello\n", "WEBVTT"),
        ("broken.jsonl", b'{"text": "a"}\n{"text": \n', "line 2"),
        ("list.jsonl", b"[1, 2]\n", "line 1"),
        ("twice.csv", b"id,text\na,one\na,two\n", "'a'"),
        ("times.srt", b"1\n00:00:09,000 --> 00:00:02,000\nhi\n", "line 2"),
        ("movie.mp4", b"\x00\x00\x00\x20ftypisom", "opening it as mov failed"),
    ],
)
def test_transcripts(
    refuse: Callable[..., str], text_model: tuple[Path, Path], tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    message = refuse("predict", tmp_path / name, "--model", text_model[1], "--out", tmp_path / "out" / "x.csv")
    assert name in message and told in message


def test_a_transcript_that_is_not_there(refuse: Callable[..., str], tmp_path: Path) -> None:
    assert "there is no such file" in refuse("predict", tmp_path / "nowhere.vtt", "--out", tmp_path / "out.csv")
    assert "found a folder" in refuse("predict", tmp_path, "--out", tmp_path / "out.csv")


def test_formats_models_and_encoders_that_are_not_known(
    refuse: Callable[..., str], text_model: tuple[Path, Path], tmp_path: Path
) -> None:
    _, model = text_model
    (tmp_path / "talk.txt").write_text("hello\n")
    message = refuse("predict", tmp_path / "talk.txt", "--format", "jsnl")
    assert (
        "unknown format 'jsnl'; known are table, jsonl, csv, vtt, eaf, textgrid, html (did you mean jsonl?)" in message
    )
    assert "found neither" in refuse("predict", tmp_path / "talk.txt", "--model", "medl-text")
    assert "manifest.json" in refuse("predict", tmp_path / "talk.txt", "--model", tmp_path)
    assert "say its folder" in refuse("predict", tmp_path / "talk.txt", "--model", model)
    message = refuse("predict", tmp_path / "talk.txt", "--model", model, "--encoder", "minilm")
    assert "the text encoder minilm makes" in message and "12 wide" in message
    message = refuse("predict", tmp_path / "talk.txt", "--model", model, "--encoder", tmp_path)
    assert "found no config.json" in message


def test_output_that_cannot_be_written(
    refuse: Callable[..., str], text_model: tuple[Path, Path], corpus: Path, tmp_path: Path
) -> None:
    encoder, model = text_model
    (tmp_path / "talk.txt").write_text("hello\n")
    (tmp_path / "folder").mkdir()
    arguments = ("predict", tmp_path / "talk.txt", "--model", model, "--encoder", encoder, "--out")
    for out in (tmp_path / "talk.txt" / "x.csv", tmp_path / "talk.txt" / "folder"):
        assert "cannot be written" in refuse(*arguments, out)
    assert "cannot be written" in refuse(*arguments, tmp_path / "folder", "--format", "csv")
    assert "cannot be written" in refuse("train", corpus, "--out", tmp_path / "talk.txt")
    assert "cannot be written" in refuse("train", corpus, "--out", tmp_path / "talk.txt" / "runs")
    (tmp_path / "table").mkdir()
    rows = [{"dialogue": "d", "utterance": e, "text": "hello", "emotion": e} for e in ("joy", "anger")]
    (tmp_path / "table" / "utterances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "cannot be written" in refuse("convert", tmp_path / "table", "--out", tmp_path / "talk.txt" / "corpus")


# --- corpora


def jsonl(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path], None]:
    """Changes the utterances of a corpus folder."""

    def damage(corpus: Path) -> None:
        rows = [json.loads(line) for line in (corpus / "utterances.jsonl").read_text().splitlines()]
        change(rows)
        (corpus / "utterances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    return damage


def values(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Changes the values of the feature `tiny-text` on disk."""

    def damage(corpus: Path) -> None:
        file = corpus / "features" / "tiny-text.safetensors"
        save_file({"values": change(load_file(file)["values"].copy())}, file)

    return damage


def part(change: Callable[[np.ndarray], object]) -> Callable[[Path], None]:
    def both(array: np.ndarray) -> np.ndarray:
        change(array)
        return array

    return values(both)


def manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(corpus: Path) -> None:
        content = json.loads((corpus / "corpus.json").read_text())
        change(content)
        (corpus / "corpus.json").write_text(json.dumps(content))

    return damage


def overwrite(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda corpus: (corpus / name).write_bytes(content) and None


def truncate(name: str, share: float) -> Callable[[Path], None]:
    def damage(corpus: Path) -> None:
        content = (corpus / name).read_bytes()
        (corpus / name).write_bytes(content[: int(share * len(content))])

    return damage


FEATURE = "features/tiny-text.safetensors"
CORPORA: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "no such folder"),
    "empty corpus.json": (overwrite("corpus.json", b""), "corpus.json: the file is empty"),
    "junk corpus.json": (overwrite("corpus.json", JUNK), "corpus.json"),
    "truncated corpus.json": (truncate("corpus.json", 0.7), "expected JSON"),
    "empty utterances": (overwrite("utterances.jsonl", b""), "utterances.jsonl: the file is empty"),
    "junk utterances": (overwrite("utterances.jsonl", JUNK), "utterances.jsonl"),
    "truncated utterances": (truncate("utterances.jsonl", 0.501), "utterances.jsonl"),
    "empty feature": (overwrite(FEATURE, b""), "tiny-text.safetensors"),
    "junk feature": (overwrite(FEATURE, JUNK), "expected a whole safetensors file"),
    "truncated feature": (truncate(FEATURE, 0.9), "expected a whole safetensors file"),
    "truncated header": (overwrite(FEATURE, b"\xff\xff\xff\x00\x00\x00\x00\x00{"), "safetensors"),
    "missing feature": (lambda corpus: (corpus / FEATURE).unlink(), "no such file"),
    "NaN": (part(lambda x: x.__setitem__((3, 2), np.nan)), "NaN at utterance"),
    "infinite": (part(lambda x: x.__setitem__((3, 2), -np.inf)), "infinite value at utterance"),
    "wrong width": (values(lambda x: np.ascontiguousarray(x[:, :-1])), "expected float32 (utterances, 6), found"),
    "wrong rows": (values(lambda x: x[:-1]), "expected one for each of"),
    "wrong type": (values(lambda x: x.astype(np.float64)), "found float64"),
    "unknown label": (jsonl(lambda rows: rows[0].update(label="gald")), "unknown label 'gald'; known are calm, glad"),
    "near label": (jsonl(lambda rows: rows[0].update(label="gald")), "did you mean glad?"),
    "duplicate id": (jsonl(lambda rows: rows[1].update(utterance=rows[0]["utterance"])), "more than once"),
    "unknown split member": (manifest(lambda m: m["splits"]["dev"].append("nobody")), "no conversation 'nobody'"),
    "in two splits": (manifest(lambda m: m["splits"]["dev"].append("test-0")), "is in split 'dev' and again in 'test'"),
    "one label": (manifest(lambda m: m.update(labels=["calm"])), "at least two labels"),
    "feature outside": (manifest(lambda m: m["features"][0].update(name="../../x")), "feature '../../x'"),
}


@pytest.mark.parametrize("case", CORPORA)
def test_corpora(refuse: Callable[..., str], corpus: Path, model: Path, tmp_path: Path, case: str) -> None:
    damage, told = CORPORA[case]
    damage(corpus)
    message = refuse("train", corpus, "--out", tmp_path / "runs")
    assert told in message and str(corpus) in message
    assert refuse("evaluate", model, corpus) == message
    assert refuse("extract", corpus) == message


def test_a_corpus_that_cannot_be_trained_on(refuse: Callable[..., str], corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    whole = (corpus / "corpus.json").read_text()
    jsonl(lambda rows: [row.pop("label") for row in rows if row["conversation"].startswith("dev")])(corpus)
    assert "training needs labels in train and dev, dev of corpus 'synthetic' has none" in refuse(
        "train", corpus, "--out", out
    )
    manifest(lambda m: m["splits"].pop("dev"))(corpus)
    assert "unknown split 'dev'; known are train, test" in refuse("train", corpus, "--out", out)
    (corpus / "corpus.json").write_text(whole)
    manifest(lambda m: m.update(features=[]))(corpus)
    assert "extract one first" in refuse("train", corpus, "--out", out)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--preset", "iemocpa"], "did you mean iemocap?"),
        (["--seeds", "a"], "expected something like 0-9"),
        (["--set", "epohcs=3"], "did you mean epochs?"),
        (["--set", "model.fusoin=gate"], "did you mean fusion?"),
        (["--set", "model.fusion=gaet"], "did you mean gate?"),
        (["--set", "epochs=0"], "expected a whole number of at least 1"),
        (["--set", "epochs"], "expected setting=value"),
        (["--features", "text=tiny-txet"], "no feature 'tiny-txet'; it has tiny-text, tiny-audio"),
        (["--features", "text=tiny-audio"], "is audio, not text"),
        (["--preset", "meld"], "the corpus has no feature"),
    ],
    ids=str,
)
def test_settings(refuse: Callable[..., str], corpus: Path, tmp_path: Path, options: list[str], told: str) -> None:
    assert told in refuse("train", corpus, "--out", tmp_path / "runs", *options)


# --- models


MODELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty weights": (overwrite("model.safetensors", b""), "damaged"),
    "junk weights": (overwrite("model.safetensors", JUNK), "damaged"),
    "truncated weights": (truncate("model.safetensors", 0.9), "damaged"),
    "no weights": (lambda model: (model / "model.safetensors").unlink(), "model.safetensors is not there"),
    "empty manifest": (overwrite("manifest.json", b""), "empty"),
    "junk manifest": (overwrite("manifest.json", JUNK), "damaged"),
    "truncated manifest": (truncate("manifest.json", 0.5), "expected JSON"),
    "no manifest": (lambda model: (model / "manifest.json").unlink(), "expected a model folder with manifest.json"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models(refuse: Callable[..., str], corpus: Path, model: Path, tmp_path: Path, case: str) -> None:
    damage, told = MODELS[case]
    damage(model)
    (tmp_path / "talk.txt").write_text("hello\n")
    message = refuse("evaluate", model, corpus)
    assert told in message and str(model) in message
    assert refuse("predict", tmp_path / "talk.txt", "--model", model, "--out", tmp_path / "out.csv") == message


def test_a_model_and_a_corpus_that_do_not_fit(refuse: Callable[..., str], corpus: Path, model: Path) -> None:
    whole = (corpus / "corpus.json").read_text()
    text = specs()["text"]
    for change, told in (
        (lambda m: m.update(labels=LABELS[::-1]), ("calm, glad, upset", "upset, glad, calm")),
        (lambda m: m.update(labels=[*LABELS, "bored"]), ("calm, glad, upset", "calm, glad, upset, bored")),
        (lambda m: m["features"][0].update(sha256="e" * 64), (text.sha256[:12], "e" * 12)),
        (lambda m: m["features"][0].update(pooling="max"), ("'mean'", "'max'")),
    ):
        manifest(change)(corpus)
        message = refuse("evaluate", model, corpus)
        assert told[0] in message and told[1] in message
        (corpus / "corpus.json").write_text(whole)
    values(lambda x: np.ascontiguousarray(x[:, :4]))(corpus)
    manifest(lambda m: m["features"][0].update(width=4, columns=[]))(corpus)
    message = refuse("evaluate", model, corpus)
    assert "6 wide" in message and "4 wide" in message


def test_splits_that_are_not_there(refuse: Callable[..., str], corpus: Path, model: Path) -> None:
    assert "unknown split 'tets'; known are train, dev, test" in refuse("evaluate", model, corpus, "--split", "tets")


def test_a_user_sees_it_so(process: Callable[..., Any], tmp_path: Path) -> None:
    result = process("train", tmp_path / "nowhere", "--out", tmp_path / "runs")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"broadmamba: {tmp_path}/nowhere: there is no such folder (make a corpus with `broadmamba convert`)\n"
    )
    assert not (tmp_path / "runs").exists()
