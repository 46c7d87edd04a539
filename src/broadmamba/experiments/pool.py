"""Working through jobs: several at once, each once for good, so that a kill costs no more than those in hand."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import torch

from broadmamba.data.corpus import Corpus
from broadmamba.experiments.facts import CorpusFacts
from broadmamba.experiments.jobs import Job, Progress, record_path, run_job, write_record


def run_jobs(
    jobs: Sequence[Job],
    corpora: Mapping[str, Path],
    facts: Mapping[str, CorpusFacts],
    out: Path,
    *,
    workers: int,
    progress: Progress,
) -> None:
    """Run the jobs that have no record yet.

    Args:
        jobs: any may be given twice; each is run once.
        corpora: corpus → its folder.
        facts: corpus → its facts.
        out: folder of the records.
        workers: processes, each of one thread.
        progress: told after each job.
    """
    waiting = {record_path(out, job.corpus, job.key(facts[job.corpus])): job for job in jobs}
    total = len(waiting)
    waiting = {path: job for path, job in waiting.items() if not path.is_file()}
    done = total - len(waiting)
    if not waiting:
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(waiting)), context, _begin, (os.getpid(),)) as pool:
        tasks = {
            pool.submit(_work, job, corpora[job.corpus], facts[job.corpus], path): job for path, job in waiting.items()
        }
        try:
            for task in as_completed(tasks):
                task.result()
                done += 1
                progress(done, total, tasks[task])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(parent: int) -> None:
    """One thread a worker; and a worker whose parent was killed ends too, instead of waiting for work for ever."""
    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@cache
def _open(path: Path) -> Corpus:
    return Corpus.open(path)


def _work(job: Job, corpus: Path, facts: CorpusFacts, path: Path) -> None:
    if not path.is_file():  # another command may have been at the same work
        write_record(path, run_job(job, _open(corpus), facts))
