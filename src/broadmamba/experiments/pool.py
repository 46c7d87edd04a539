"""Working through jobs: several at once, each once for good, so that a kill costs no more than those in hand."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.identity import conversations_sha256, feature_sha256
from broadmamba.errors import BroadMambaError, InputError
from broadmamba.experiments.facts import CorpusFacts
from broadmamba.experiments.jobs import Job, Progress, record_path, run_job, write_record
from broadmamba.locks import remove_leftovers


def run_jobs(
    jobs: Sequence[Job],
    corpora: Mapping[str, Path],
    facts: Mapping[str, CorpusFacts],
    out: Path,
    *,
    workers: int,
    progress: Progress,
) -> None:
    """Run the jobs that have no record yet. When one fails, or at Ctrl-C, all end at once; what is done is kept.

    Args:
        jobs: any may be given twice; each is run once.
        corpora: corpus → its folder.
        facts: corpus → its facts.
        out: folder of the records.
        workers: processes, each of one thread.
        progress: told after each job.

    Raises:
        InputError: a job failed, or its process was killed; the message names it.
    """
    waiting = {record_path(out, job.corpus, job.key(facts[job.corpus])): job for job in jobs}
    for folder in {path.parent for path in waiting}:
        remove_leftovers(folder)
    total = len(waiting)
    waiting = {path: job for path, job in waiting.items() if not path.is_file()}
    done = total - len(waiting)
    if not waiting:
        return
    workers = min(workers, len(waiting))
    tasks: dict[Future[None], Job] = {}
    try:
        with worker_pool(workers) as pool:
            with no_interrupt():
                for path, job in waiting.items():
                    tasks[pool.submit(do_job, job, corpora[job.corpus], facts[job.corpus], path)] = job
            for task in as_completed(tasks):
                _finish(task, tasks, workers)
                done += 1
                progress(done, total, tasks[task])
    except KeyboardInterrupt:
        logging.getLogger(__name__).warning(
            "stopped: %d of %d runs are recorded, and the same command resumes there", done, total
        )
        raise


def _finish(task: Future[None], tasks: Mapping[Future[None], Job], workers: int) -> None:
    """See what came of a job."""
    try:
        task.result()
    except BrokenProcessPool:
        # jobs are begun in their order
        begun = islice((job for one, job in tasks.items() if not one.done() or one.exception()), workers)
        raise InputError(
            f"a process was killed, most likely since memory ran out, in one of these runs: "
            f"{'; '.join(map(_name, begun))}; what is done is kept, so give the same command with fewer --workers"
        ) from None
    except (BroadMambaError, MemoryError, RuntimeError, OSError) as error:
        raise InputError(
            f"{_name(tasks[task])}: {error or type(error).__name__}; what is done is kept, and the same command resumes"
        ) from None


def _name(job: Job) -> str:
    return f"{job.corpus}, {job.config.system}, seed {job.seed}"


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end at once when the block ends by an exception or this process is killed.

    Args:
        workers: how many, each of one thread.

    Yields:
        The pool; submit to it under `no_interrupt`.
    """
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)  # whose end the workers see, whatever becomes of this process
    with reader, ProcessPoolExecutor(workers, context, _begin, (reader,)) as pool:
        try:
            yield pool
        except BaseException:
            writer.close()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            if not writer.closed:
                pool.shutdown()
                writer.close()


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Put off Ctrl-C until the block ends; processes that are started in it never see it, but end with this one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: Connection) -> None:
    """One thread a worker; it ends when the parent's end of the pipe is closed."""
    torch.set_num_threads(1)

    def watch() -> None:
        parent.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@cache
def _open(path: Path, sha256: str) -> Corpus:
    corpus = Corpus.open(path)
    if conversations_sha256(corpus) != sha256:
        raise InputError(f"{path}: was changed meanwhile")
    return corpus


@cache
def _feature(path: Path, sha256: str, name: str, feature_of: str) -> Feature:
    """A feature as it was when the command began, held in memory whatever becomes of its file."""
    feature = _open(path, sha256).in_memory([name]).features[name]
    if feature_sha256(feature) != feature_of:
        raise InputError(f"{path}: its feature {name!r} was changed meanwhile")
    return feature


def do_job(job: Job, path: Path, facts: CorpusFacts, record: Path) -> None:
    """Run a job and write its record, unless it is there.

    Args:
        job: what to run.
        path: of its corpus.
        facts: of this corpus, as it was when the command began.
        record: where its record stands.

    Raises:
        InputError: the corpus was changed since, or training broke down.
    """
    if record.is_file():  # another command may have been at the same work
        return
    held = {name: _feature(path, facts.sha256, name, facts.features[name]) for name in job.features(facts)}
    write_record(record, run_job(job, replace(_open(path, facts.sha256), features=held), facts))
