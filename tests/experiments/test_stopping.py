"""`reproduce` that is stopped, or whose runs fail or are killed: it ends soon, says why, and keeps what is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.experiments.facts import CorpusFacts
from broadmamba.experiments.jobs import Job
from broadmamba.experiments.pool import do_job, run_jobs
from corpora import tiny_config

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

STUDY = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from broadmamba.cli import main
from broadmamba.data.corpus import Corpus
from broadmamba.experiments.facts import CorpusFacts
from broadmamba.experiments.jobs import Job
from broadmamba.experiments.pool import do_job, run_jobs
from corpora import tiny_config

def study():
    facts = CorpusFacts.of("tiny", Corpus.open(sys.argv[1]), [])
    config = tiny_config(epochs=100_000, patience=100_000)
    jobs = [Job("tiny", tiny_config(epochs=1), 0), *(Job("tiny", config, seed) for seed in range(1, 9))]
    run_jobs(jobs, {"tiny": Path(sys.argv[1])}, {"tiny": facts}, Path(sys.argv[2]), workers=2,
             progress=lambda done, total, job: print(done, flush=True))

if __name__ == "__main__":
    main.app = study  # the command line tells how it ended; the study is our own, of one short run and eight long ones
    try:
        main.run()
    except KeyboardInterrupt:
        sys.exit(130)
"""


@contextmanager
def study(folder: Path, out: Path, script: Path) -> Iterator[subprocess.Popen[str]]:
    """A process with two workers, whose first run is recorded and whose next ones will not end by themselves."""
    script.write_text(STUDY)
    started = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(out), *sys.path],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert started.stdout is not None
        assert started.stdout.readline() == "1\n", started.communicate()[1]
        yield started
    finally:
        if started.poll() is None:
            started.kill()
            started.communicate()


def workers_of(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"spawn_main" in (status.parent / "cmdline").read_bytes():
                found.append(int(status.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def test_ctrl_c_stops_at_once_and_keeps_what_is_done(folder: Path, tmp_path: Path) -> None:
    with study(folder, tmp_path / "out", tmp_path / "study.py") as started:
        begun = time.monotonic()
        os.killpg(started.pid, signal.SIGINT)  # as a terminal does: the workers are told too
        told = started.communicate(timeout=60)[1]
    assert time.monotonic() - begun < 30
    assert started.returncode == 130
    assert told == "broadmamba: stopped: 1 of 9 runs are recorded, and the same command resumes there\n"
    assert len(list((tmp_path / "out").rglob("*.json"))) == 1
    assert not workers_of(started.pid)


def test_a_worker_killed_for_memory_is_told(folder: Path, tmp_path: Path) -> None:
    with study(folder, tmp_path / "out", tmp_path / "study.py") as started:
        os.kill(workers_of(started.pid)[0], signal.SIGKILL)
        told = started.communicate(timeout=60)[1]
    assert started.returncode == 2
    assert told == (
        "broadmamba: a process was killed, most likely since memory ran out, in one of these runs: tiny, broadmamba, "
        "seed 1; tiny, broadmamba, seed 2; what is done is kept, so give the same command with fewer --workers\n"
    )
    assert len(list((tmp_path / "out").rglob("*.json"))) == 1


def test_a_run_that_fails_stops_the_others(folder: Path, tmp_path: Path) -> None:
    facts = CorpusFacts.of("tiny", Corpus.open(folder), [])
    wild = tiny_config(epochs=60, learning_rate=1e30, clip=1e30)
    endless = tiny_config(epochs=100_000, patience=100_000)
    jobs = [Job("tiny", tiny_config(epochs=1), 0), Job("tiny", endless, 1), Job("tiny", wild, 2)]
    jobs += [Job("tiny", endless, seed) for seed in range(3, 9)]
    with pytest.raises(InputError, match=r"^tiny, broadmamba, seed 2: training broke down .*; what is done is kept"):
        run_jobs(jobs, {"tiny": folder}, {"tiny": facts}, tmp_path, workers=2, progress=lambda *_: None)
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_a_corpus_that_is_changed_while_runs_wait_is_refused(folder: Path, tmp_path: Path) -> None:
    facts = CorpusFacts.of("tiny", Corpus.open(folder), [])
    job = Job("tiny", tiny_config(epochs=1), 0)
    relabelled = replace(facts, sha256="0" * 64)
    louder = replace(facts, features={**facts.features, "tiny-audio": "0" * 64})
    for other, told in ((relabelled, ": was changed"), (louder, ": its feature 'tiny-audio' was changed")):
        with pytest.raises(InputError, match=f"{told} meanwhile"):
            do_job(job, folder, other, tmp_path / "record.json")
    do_job(job, folder, facts, tmp_path / "record.json")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
