"""What goes out replaces nothing else, reaches whoever reads it whatever the terminal, or is refused in a sentence."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import broadmamba
from broadmamba.data.corpus import Corpus
from broadmamba.locks import exclusive

Predict = Callable[..., Any]
SOURCE = Path(broadmamba.__file__).parents[1]
COMMAND = [sys.executable, "-c", "from broadmamba.cli.main import run; run()"]
NASTY = "\x1b]0;x\x07[red]\x9b31m\u202e"


@pytest.fixture
def predict(command: Callable[..., Any], text_model: tuple[Path, Path]) -> Predict:
    """The command with the tiny model."""
    encoder, model = text_model
    return lambda source, *options: command("predict", source, "--model", model, "--encoder", encoder, *options)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return write(
        tmp_path / "talk.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>w1 w2\n\n00:03.000 --> 00:04.000\nw3\n"
    )


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text, "utf-8")
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), **variables}


# --- what is read, and what others made, is left


def test_no_spelling_of_an_output_replaces_what_is_read(
    predict: Predict, talk: Path, text_model: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "soft").symlink_to(tmp_path)
    (tmp_path / "soft.vtt").symlink_to(talk)
    os.link(talk, tmp_path / "hard.vtt")
    assert predict(talk, "--out", tmp_path / "out").code == 0
    before = content(tmp_path)
    encoder, model = text_model
    for source, out in (
        (talk, talk),
        (talk, tmp_path / "out" / ".." / "talk.vtt"),
        (talk, tmp_path / "soft" / "talk.vtt"),
        (talk, tmp_path / "soft.vtt"),
        (talk, tmp_path / "hard.vtt"),
        (tmp_path / "soft.vtt", talk),
        (tmp_path / "out" / "predictions.csv", tmp_path / "out"),
        (tmp_path / "out" / "captions.vtt", tmp_path / "soft" / "out"),
        (talk, model),
        (talk, model / "new"),
        (talk, encoder / "x.csv"),
    ):
        result = predict(source, "--out", out, "--overwrite")
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1), (source, out, result)
        assert "read here" in result.err
    assert content(tmp_path) == before


def test_outputs_of_the_same_source_are_replaced_and_others_only_on_request(
    predict: Predict, talk: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "elsewhere" / "talk.vtt", talk.read_text().replace("w1", "w9"))
    outputs = [tmp_path / "out", *(tmp_path / f"a.{suffix}" for suffix in ("csv", "jsonl", "vtt", "eaf", "TextGrid",
                                                                           "html", "txt"))]  # fmt: skip
    for out in outputs:
        assert predict(talk, "--out", out).code == 0
        first = content(tmp_path)
        again = predict(tmp_path / "elsewhere" / ".." / "talk.vtt", "--out", out)
        assert (again.code, content(tmp_path)) == (0, first)
        refused = predict(other, "--out", out)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert f"was not made from {other}" in refused.err and "--overwrite" in refused.err
        assert content(tmp_path) == first
    for out in outputs[:2]:
        assert predict(other, "--out", out, "--overwrite").code == 0
        assert predict(other, "--out", out).code == 0
        assert predict(talk, "--out", out).code == 2
    assert predict(talk, "--out", write(tmp_path / "mine.csv", "my,own\n1,2\n")).code == 2
    assert (tmp_path / "mine.csv").read_text() == "my,own\n1,2\n"
    assert predict(talk, "--out", tmp_path / "b.csv", "--excel").code == 0
    assert predict(talk, "--out", tmp_path / "b.csv").code == 0


def test_no_command_writes_over_what_it_reads(
    command: Callable[..., Any],
    synthetic: Corpus,
    text_model: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    corpus, encoder = tmp_path / "corpus", tmp_path / "encoder"
    synthetic.save(corpus)
    shutil.copytree(text_model[0], encoder)
    (tmp_path / "link").symlink_to(corpus)
    weights = corpus / "features" / "densenet121.safetensors"
    shutil.copy(corpus / "features" / "tiny-text.safetensors", weights)
    monkeypatch.setenv("BROADMAMBA_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "cache" / "mpnet" / "a.whl", "a wheel")
    before = content(tmp_path)
    for arguments in (
        ("train", corpus, "--out", corpus),
        ("train", corpus, "--out", tmp_path / "link" / "runs"),
        ("train", tmp_path / "link", "--out", corpus / ".." / "corpus" / "features"),
        ("convert", corpus, "--out", tmp_path / "link"),
        ("finetune-text", corpus, "--encoder", encoder, "--out", encoder),
        ("finetune-text", corpus, "--encoder", encoder, "--out", encoder / "tuned"),
        ("finetune-text", corpus, "--out", corpus / "tuned"),
        ("reproduce", "table1", f"meld={corpus}", "--out", corpus),
        ("extract", corpus, "--video", "densenet121", "--media", tmp_path, "--weights", weights),
        ("fetch", "mpnet", "--from", tmp_path / "cache" / "mpnet"),
        ("fetch", "expression", "--from", tmp_path / "cache"),
    ):
        result = command(*arguments)
        assert (result.code, result.out) == (2, ""), arguments
        told = [line for line in result.err.splitlines() if not line.startswith("Fetching")]
        assert len(told) == 1 and ("read here" in told[0] or "exists already" in told[0] or "corpus" in told[0]), told
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "a", "b", "--resamples", 10**12),
        ("compare", "a", "b", "--seed", 2**64),
        ("predict", "a.mp4", "--workers", 10**6),
        ("predict", "a.mp4", "--speakers", 10**9),
        ("evaluate", "m", "c", "--threads", 10**9),
        ("train", "c", "--out", "r", "--threads", "nan"),
        ("extract", "c", "--batch-size", 10**12),
        ("extract", "c", "--workers", 10**12),
        ("reproduce", "table1", "--workers", 10**12),
        ("finetune-text", "c", "--out", "x", "--rank", 10**9),
    ],
    ids=str,
)
def test_numbers_beyond_reason_are_refused(command: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    result = command(*arguments)
    assert (result.code, result.out) == (2, "")
    assert (str(arguments[-2]) in result.err and "range" in result.err) or "valid" in result.err


def test_times_that_are_gone_take_the_outputs_that_need_them_along(
    predict: Predict, talk: Path, tmp_path: Path
) -> None:
    assert predict(talk, "--out", tmp_path / "out").code == 0
    source = write(tmp_path / "talk.csv", "text\nw1\n")
    assert predict(source, "--out", tmp_path / "out", "--overwrite").code == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "predictions.jsonl", "predictions.csv", "report.html"
    }  # fmt: skip


def test_a_second_process_is_refused_and_the_first_loses_nothing(predict: Predict, talk: Path, tmp_path: Path) -> None:
    for out, work in (
        (tmp_path / "out", tmp_path / "out" / ".unfinished"),
        (tmp_path / "a.csv", tmp_path / ".a.csv.unfinished"),
    ):
        with exclusive(work, "writes"):
            refused = predict(talk, "--out", out)
            assert (refused.code, refused.err.count("\n")) == (2, 1)
            assert f"another process writes to {out} at the moment" in refused.err
        assert predict(talk, "--out", out).code == 0
        assert not work.exists()


def test_what_another_process_wrote_a_moment_ago_is_not_replaced(predict: Predict, talk: Path, tmp_path: Path) -> None:
    held, out = threading.Event(), tmp_path / "out.csv"

    def write_first() -> None:
        with exclusive(tmp_path / ".out.csv.unfinished", "writes"):
            held.set()
            time.sleep(0.1)  # less than the second one waits
            write(out, "another talk\n")

    first = threading.Thread(target=write_first)
    first.start()
    assert held.wait(20)
    assert predict(talk, "--out", out).code == 2
    first.join()
    assert out.read_text() == "another talk\n"


def test_a_refusal_comes_before_any_work_and_leaves_nothing(
    predict: Predict, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadmamba.media.transcripts.read_transcript", lambda path: pytest.fail("has begun"))
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.iterdir())
    for out in (
        tmp_path / ("x" * 300), tmp_path / ("x" * 300 + ".csv"), tmp_path / "talk.vtt" / "x", tmp_path / "loop" / "x",
    ):  # fmt: skip
        result = predict(talk, "--out", out)
        assert (result.code, result.err.count("\n")) == (2, 1)
        assert f"{out}" in result.err and "cannot be written" in result.err
    assert sorted(tmp_path.iterdir()) == before


def test_odd_outputs_simply_work(predict: Predict, talk: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("deep/folder")
    (tmp_path / "link.csv").symlink_to("far/file.csv")
    for out in (tmp_path / "link", tmp_path / "link.csv", tmp_path / "two\nlines", tmp_path / ("é" * 120 + ".jsonl")):
        result = predict(talk, "--out", out)
        assert result.code == 0, result.err
        assert "\\n" in result.err or out.name != "two\nlines"
    assert (tmp_path / "deep" / "folder" / "predictions.jsonl").is_file() and (tmp_path / "link").is_symlink()
    assert (tmp_path / "far" / "file.csv").is_file() and (tmp_path / "link.csv").is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_gets_the_output(predict: Predict, talk: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    assert predict(talk, "--out", tmp_path / "pipe", "--format", "jsonl").code == 0
    reader.join(10)
    assert [json.loads(line)["text"] for line in read[0].splitlines()] == ["w1 w2", "w3"]
    assert {path.name for path in tmp_path.iterdir()} == {"talk.vtt", "pipe"}
    if Path("/dev/full").exists():
        full = predict(talk, "--out", "/dev/full", "--format", "csv")
        assert (full.code, full.err) == (2, "broadmamba: /dev/full: cannot be written (No space left on device)\n")


def test_a_dash_is_the_standard_output(
    predict: Predict, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for options in ((), ("--format", "csv")):
        found, expected = predict(talk, *options, "--out", "-"), predict(talk, *options)
        assert (found.code, found.out) == (0, expected.out) and found.out
    assert not (tmp_path / "-").exists()


def test_captions_with_names_and_csv_for_excel(predict: Predict, talk: Path, tmp_path: Path) -> None:
    assert predict(talk, "--out", tmp_path / "out", "--caption-speakers", "--excel").code == 0
    assert ">Ann: [" in (tmp_path / "out" / "captions.vtt").read_text("utf-8")
    written = (tmp_path / "out" / "predictions.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbfconversation,") and written.count(b"\r\n") == 3
    with_names = predict(tmp_path / "out" / "captions.vtt", "--format", "jsonl")
    rows = [json.loads(line) for line in with_names.out.splitlines()]
    assert [(row["speaker"], row["text"]) for row in rows] == [("Ann", "w1 w2"), (None, "w3")]


def test_the_model_of_a_run_is_called_as_the_run(
    predict: Predict, command: Callable[..., Any], talk: Path, text_model: tuple[Path, Path], tmp_path: Path
) -> None:
    encoder, model = text_model
    for place, name in (("runs/seed-3/model", "runs/seed-3"), ("mine", "mine"), ("seed-3/other", "other")):
        shutil.copytree(model, tmp_path / place)
        result = command("predict", talk, "--model", tmp_path / place, "--encoder", encoder, "--format", "jsonl")
        assert json.loads(result.out.splitlines()[0])["model"] == name


# --- terminals, pipes and disks


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        {
            "dialogue": f"d{i}",
            "utterance": f"u{i}",
            "split": f"train{NASTY}",
            "speaker": NASTY,
            "text": "x",
            "emotion": emotion,
        }
        for i, emotion in enumerate([f"…→ joy {NASTY}", "[bold]悲", "±"])
    ]
    return write(tmp_path / "table…" / "utterances.jsonl", "".join(json.dumps(row) + "\n" for row in rows)).parent


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-16", "utf-8"])
def test_signs_that_a_terminal_lacks_are_replaced(table: Path, tmp_path: Path, encoding: str) -> None:
    made = subprocess.run(
        [*COMMAND, "convert", str(table), "--out", str(tmp_path / "corpus")],
        env=environment(PYTHONIOENCODING=encoding, COLUMNS="150"),
        capture_output=True,
    )
    assert (made.returncode, made.stderr) == (0, b"")
    printed = made.stdout.decode(encoding)
    assert "[bold]" in printed and ("悲" in printed) == encoding.startswith("utf")
    assert ("-> joy \\x1b]0;x\\x07[red]" in printed) != ("→ joy" in printed)
    assert not [sign for sign in printed if ord(sign) < 32 and sign != "\n"] and "\u202e" not in printed
    borders = [line for line in printed.splitlines() if line[-1] in "|│"]
    assert len({len(line) for line in borders if "悲" not in line}) == 1, "columns stand under each other"
    assert len(Corpus.open(tmp_path / "corpus").utterances) == 3


def test_what_a_corpus_says_is_shown_and_never_obeyed(
    command: Callable[..., Any], synthetic: Corpus, text_model: tuple[Path, Path], tmp_path: Path
) -> None:
    corpus = tmp_path / f"corpus{NASTY}"
    synthetic.save(corpus)
    manifest = json.loads((corpus / "corpus.json").read_text())
    manifest |= {"name": NASTY, "labels": [label + NASTY for label in manifest["labels"]], "notes": [NASTY]}
    (corpus / "corpus.json").write_text(json.dumps(manifest))
    rows = [json.loads(line) for line in (corpus / "utterances.jsonl").read_text().splitlines()]
    for row in rows:
        row |= {"label": row["label"] + NASTY, "speaker": NASTY, "text": f"w1 {NASTY}"}
    (corpus / "utterances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    runs = [tmp_path / f"run{number}{NASTY}" for number in range(2)]
    model = runs[0] / "seed-0" / "model"
    small = ["epochs=10", "batch_size=32", "model.d_model=8", "model.d_state=4", "model.n=2", "model.m=2"]
    settings = [part for setting in small for part in ("--set", setting)]
    for arguments, code in (
        *((("train", corpus, "--out", run, *settings), 0) for run in runs),
        (("train", corpus, "--out", runs[0], *settings, "--set", "epochs=1"), 2),
        (("train", corpus, "--out", corpus), 2),
        (("evaluate", model, corpus, "--subsets"), 0),
        (("evaluate", model, corpus, "--json"), 0),
        (("evaluate", model, corpus, "--split", NASTY), 2),
        (("compare", *runs, "--resamples", 10), 0),
        (("extract", corpus, "--text", text_model[0], "--name", "other"), 0),
        (("extract", corpus, "--text", text_model[0], "--name", "other"), 0),
        (("extract", corpus, "--text", NASTY), 2),
        (("reproduce", f"table1{NASTY}"), 2),
        (("predict", write(tmp_path / f"talk{NASTY}.txt", f"{NASTY}: hi\n"), "--model", model, "--out", corpus), 2),
        (("fetch", NASTY), 2),
    ):
        result = command(*arguments)
        assert result.code == code, result.err
        printed = result.out + result.err
        assert not [sign for sign in printed if ord(sign) < 32 and sign != "\n"], arguments
        assert not {"\x9b", "\u202e"} & set(printed), arguments
        assert "[red]" in printed or "--json" in arguments or "talk" in str(arguments), arguments


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["train", "--help"]], ids=str)
def test_help_and_version_reach_any_terminal(arguments: list[str]) -> None:
    plain = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    result = subprocess.run([*COMMAND, *arguments], env=plain, capture_output=True)
    assert (result.returncode, result.stderr) == (0, b"") and result.stdout.isascii()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_and_closed_streams_get_a_sentence(table: Path, tmp_path: Path) -> None:
    command = " ".join(f'"{part}"' for part in COMMAND)
    corpora = (tmp_path / f"corpus{number}" for number in range(99))
    for arguments in ("--help", 'convert "$0" --out'):
        for redirection, code, told in (
            ("> /dev/full", 2, "broadmamba: standard output: cannot be written (No space left on device)\n"),
            (">&-", 2, "broadmamba: standard output: cannot be written (Bad file descriptor)\n"),
            ("2>&- >/dev/null", 0, ""),
            ("2>/dev/full >/dev/null", 0, ""),
        ):
            made = next(corpora)
            line = f"{command} {arguments} {made if 'convert' in arguments else ''} {redirection}"
            ended = subprocess.run(["sh", "-c", line, str(table)], env=environment(), capture_output=True, text=True)
            assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", told), line
            assert "convert" not in arguments or Corpus.open(made)
    for closed in ("2>&-", "2>/dev/full", ">&- 2>&- <&-"):
        line = f"{command} convert nowhere --out {tmp_path / 'x'} {closed}"
        assert subprocess.run(["sh", "-c", line], env=environment(), capture_output=True).returncode == 2


def test_programs_get_utf8_and_a_full_disk_is_told(talk: Path, text_model: tuple[Path, Path], tmp_path: Path) -> None:
    encoder, model = text_model
    source = write(tmp_path / "signs.jsonl", '{"text": "w1 悲…"}\n')
    arguments = ["predict", str(source), "--model", str(model), "--encoder", str(encoder), "--format"]
    script = f"""
import os, sys
from broadmamba.cli.main import run
full = os.open("/dev/full", os.O_WRONLY) if os.path.exists("/dev/full") else None
for format in ("jsonl", "csv", "table", "jsonl"):
    sys.argv = ["broadmamba", *{arguments!r}, format]
    try:
        run()
    except SystemExit as leaving:
        print("code", leaving.code, file=sys.stderr, flush=True)
    if format == "table" and full:
        os.dup2(full, 1)
"""
    told = subprocess.run(
        [sys.executable, "-c", script], env=environment(PYTHONIOENCODING="cp1252"), capture_output=True
    )
    assert told.stderr.count(b"code 0") == (3 if Path("/dev/full").exists() else 4), told.stderr
    jsonl, rest = told.stdout.split(b"\n", 1)
    assert json.loads(jsonl)["text"] == "w1 悲…" and "悲…".encode() in jsonl and "悲…".encode() in rest
    assert b"signs \xb7 1 utterance" in rest and b"w1 ?\x85" in rest
    if Path("/dev/full").exists():
        message = b"broadmamba: standard output: cannot be written (No space left on device)\ncode 2\n"
        assert told.stderr.endswith(message)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_ctrl_c_is_one_line(talk: Path, text_model: tuple[Path, Path], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "slow.txt")  # reading it lasts until it is written
    child = subprocess.Popen(
        [*COMMAND, "predict", str(tmp_path / "slow.txt"), "--out", str(tmp_path / "out")],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not (tmp_path / "out" / ".unfinished" / ".lock").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, b"", b"broadmamba: interrupted\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_second_ctrl_c_ends_at_once_without_a_traceback() -> None:
    code = (
        "import atexit, time\nfrom broadmamba.cli import main\natexit.register(time.sleep, 60)\n"
        "def app(): raise KeyboardInterrupt\nmain.app = app\nmain.run()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], env=environment(), stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None and child.stderr.readline() == "broadmamba: interrupted\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=30)[1] == ""
    assert child.returncode == -signal.SIGINT


@pytest.mark.parametrize("error", ["MemoryError('Unable to allocate 9 TiB')", 'RuntimeError("can\'t allocate memory")'])
def test_too_little_memory_is_a_sentence_and_a_bug_has_its_traceback(error: str) -> None:
    code = f"from broadmamba.cli import main\ndef app(): raise {error}\nmain.app = app\nmain.run()"
    ended = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1 and "memory of this machine" in ended.stderr
    bug = code.replace(error, "RuntimeError('a bug')")
    ended = subprocess.run([sys.executable, "-c", bug], env=environment(), capture_output=True, text=True)
    assert ended.returncode == 1 and "Traceback" in ended.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_what_a_kill_leaves_beside_an_output_goes_with_the_next_run(
    predict: Predict, talk: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, time\nfrom broadmamba.storage import atomic_write\n"
        f"with atomic_write({str(tmp_path / 'a.csv')!r}): print('ready', flush=True); time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], env=environment(), stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline()
    assert len(list(tmp_path.iterdir())) == 2
    assert predict(talk, "--out", tmp_path / "b.csv").code == 0
    assert len(list(tmp_path.iterdir())) == 3, "it lives, and what it holds is left"
    child.kill()
    child.communicate()
    assert predict(talk, "--out", tmp_path / "b.csv").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"talk.vtt", "b.csv"}
