"""Extraction in worker processes, where a clip that crashes or hangs its worker costs one row and no more."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import BroadMambaError, InputError
from broadmamba.features.extractor import MediaExtractor, Span
from broadmamba.media.recording import Recording

Row = NDArray[np.float32]

Load = Callable[[], MediaExtractor]
"""Makes the extractor, anew in each worker; it can be pickled."""

_SINGLE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_READY = "ready"
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """Spans of one recording, which is opened once for all of them.

    Attributes:
        file: the recording.
        spans: at least one, with ascending starts.
        rows: the caller's number of each span.
    """

    file: Path
    spans: tuple[Span, ...]
    rows: tuple[int, ...]

    def rest(self) -> Job | None:
        """The job without its first span, or None where that is the only one."""
        return Job(self.file, self.spans[1:], self.rows[1:]) if len(self.rows) > 1 else None


def run_jobs(load: Load, jobs: Sequence[Job], workers: int, limit: float) -> Iterator[tuple[int, Row | str]]:
    """Extract the rows of all jobs, in whatever order they get done.

    Args:
        load: makes the extractor.
        jobs: each is done by one worker at a time.
        workers: processes at once, each with one thread.
        limit: seconds that one row may take before its worker is stopped.

    Yields:
        The caller's number of a span, and its row `(width,)` or a few words why there is none.

    Raises:
        InputError: a worker cannot start.
    """
    waiting = deque(jobs)
    crew: list[_Worker] = []
    try:
        while waiting or crew:
            while waiting and len(crew) < workers:
                crew.append(_Worker(load, limit, waiting.popleft()))
            soonest = min(worker.deadline for worker in crew) - time.monotonic()
            wait([worker.connection for worker in crew], min(max(soonest, 0.0), _LONGEST_WAIT))
            for worker in list(crew):
                yield from worker.results()
                if worker.failure:
                    crew.remove(worker)
                    if not worker.idle:
                        yield worker.job.rows[0], worker.failure
                        waiting.extendleft(filter(None, [worker.job.rest()]))
                elif worker.idle and waiting:
                    worker.give(waiting.popleft())
                elif worker.idle:
                    crew.remove(worker)
                    worker.stop()
    finally:
        for worker in crew:
            worker.stop()


class _Worker:
    """One process and the job it has.

    Attributes:
        connection: to the process.
        job: what is left of the job; when idle, the last one's last span.
        idle: whether the job is done.
        deadline: when its next row has to be there, on the monotonic clock.
        failure: why the process is gone, or an empty string.
    """

    def __init__(self, load: Load, limit: float, job: Job) -> None:
        spawning = multiprocessing.get_context("spawn")
        self.connection, theirs = spawning.Pipe()
        self._process = spawning.Process(target=_serve, args=(theirs, load), daemon=True)
        with _environment(_SINGLE_THREAD):
            self._process.start()
        theirs.close()
        self._limit = limit
        self._ready = False
        self.deadline = math.inf
        self.failure = ""
        self.give(job)

    def give(self, job: Job) -> None:
        self.job = job
        self.idle = False
        self._renew_deadline()
        with suppress(OSError):  # the process is gone, which `results` finds out
            self.connection.send(job)

    def results(self) -> Iterator[tuple[int, Row | str]]:
        """What has come since; where the process is gone or too slow, `failure` says so afterwards."""
        try:
            while self.connection.poll():
                message = self.connection.recv()
                if isinstance(message, InputError):
                    raise message
                if isinstance(message, str) and not self._ready:
                    self._ready = True
                else:
                    yield self.job.rows[0], message
                    rest = self.job.rest()
                    self.job, self.idle = rest or self.job, rest is None
                self._renew_deadline()
        except (EOFError, OSError):
            self._process.join()
            end = _how_it_ended(self._process.exitcode)
            if not self._ready:
                raise InputError(
                    f"a worker process could not start: it {end} (a script that extracts features must do so "
                    "under `if __name__ == '__main__'`)"
                ) from None
            self.failure = f"its worker process {end}"
        if not self.failure and time.monotonic() > self.deadline:
            self.stop()
            self.failure = f"it took longer than {self._limit:g} s"

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _renew_deadline(self) -> None:
        self.deadline = math.inf if self.idle or not self._ready else time.monotonic() + self._limit


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"was killed by {name}" + (", as happens where memory runs out" if name == "SIGKILL" else "")
    return f"ended with code {code}"


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Other environment variables for a while: libraries read theirs when a process first imports them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, load: Load) -> None:
    """What a worker process does: one result for each span of each job, until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the keyboard interrupts all processes; the first one stops the rest
    with suppress(EOFError, OSError):
        try:
            extractor = load()
        except Exception as error:
            connection.send(InputError(_reason(error)))
            return
        connection.send(_READY)
        while True:
            for result in _results(extractor, connection.recv()):
                connection.send(result)


def _results(extractor: MediaExtractor, job: Job) -> Iterator[Row | str]:
    """A row of each span, or why there is none; after a failure, the spans behind it are tried again."""
    done = 0
    while done < len(job.spans):
        try:
            recording = Recording.open(job.file)
        except Exception as error:
            yield from [_reason(error, job.file)] * (len(job.spans) - done)
            return
        with recording:
            rows = iter(extractor.extract(recording, job.spans[done:]))
            try:
                while done < len(job.spans):
                    row = next(rows)
                    done += 1
                    yield row if _fits(row, extractor.spec) else "its values are not finite"
            except Exception as error:
                done += 1
                yield _reason(error, job.file)


def _fits(row: Row, spec: FeatureSpec) -> bool:
    """Whether a corpus takes the row: no infinite value, and NaN throughout, nowhere, or where the spec allows gaps."""
    missing = np.isnan(row)
    return not np.isinf(row).any() and (spec.gaps or bool(missing.all()) or not missing.any())


def _reason(error: Exception, file: Path | None = None) -> str:
    """The error in one line, without the file's name at its front, which has a column of its own."""
    words = " ".join(str(error).split()) if isinstance(error, BroadMambaError) else f"{type(error).__name__}: {error}"
    return words.removeprefix(f"{file}: ")
