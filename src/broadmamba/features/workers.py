"""Extraction in worker processes, where a clip that crashes or hangs its worker costs one row and no more."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import BroadMambaError, InputError, PassingError
from broadmamba.features.extractor import MediaExtractor, Span
from broadmamba.media.recording import Recording
from broadmamba.media.tracks import DEFAULT_SOUND, SoundChoice

Row = NDArray[np.float32]

Load = Callable[[], MediaExtractor]
"""Makes the extractor, anew in each worker; it can be pickled."""

_SINGLE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_READY = "ready"
_LONGEST_WAIT = 60.0
_FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGBUS", "SIGHUP")
"""Signals that a process gets for what others do: memory that runs out, a file that is cut while it is mapped."""

_starting = Lock()
"""Held while a process is started in a changed environment, which all threads share."""

_TOO_LONG, _LONGER = 3.0, 10.0  # times and seconds by which a clip of another length is too long, or too short


@dataclass(frozen=True, slots=True)
class Job:
    """Spans of one recording, which is opened once for all of them.

    Attributes:
        file: the recording.
        spans: at least one, with ascending starts.
        rows: the caller's number of each span.
        sound: which of the recording's sound is heard.
        seconds: that the whole recording is said to last; None where nobody says so.
    """

    file: Path
    spans: tuple[Span, ...]
    rows: tuple[int, ...]
    sound: SoundChoice = DEFAULT_SOUND
    seconds: float | None = None

    def rest(self) -> Job | None:
        """The job without its first span, or None where that is the only one."""
        return self.only(self.rows[1:])

    def only(self, rows: Collection[int]) -> Job | None:
        """The job of some of its rows, or None where it has none of them."""
        kept = [(span, row) for span, row in zip(self.spans, self.rows, strict=True) if row in rows]
        spans, numbers = tuple(span for span, _ in kept), tuple(row for _, row in kept)
        return replace(self, spans=spans, rows=numbers) if kept else None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a row is not there.

    Attributes:
        reason: in a few words.
        again: whether another try may go better: `now` after all other rows, `later` in another run, or `never`.
    """

    reason: str
    again: Literal["never", "now", "later"] = "never"


@dataclass(frozen=True, slots=True)
class Remark:
    """What a user should know of a recording.

    Attributes:
        row: the last one of the job.
        words: a few, which may stand behind the recording's name.
        details: of this recording, such as numbers.
    """

    row: int
    words: str
    details: str = ""


def run_jobs(
    load: Load, jobs: Sequence[Job], workers: int, limit: float
) -> Iterator[tuple[int, Row | Trouble] | Remark]:
    """Extract the rows of all jobs, in whatever order they get done.

    Args:
        load: makes the extractor.
        jobs: each is done by one worker at a time.
        workers: processes at once, each with one thread.
        limit: seconds that one row may take before its worker is stopped.

    Yields:
        The caller's number of a span, and its row `(width,)` or why there is none.

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
                if worker.failure is not None:
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
        failure: why the process is gone, or None.
    """

    def __init__(self, load: Load, limit: float, job: Job) -> None:
        spawning = multiprocessing.get_context("spawn")
        self.connection, theirs = spawning.Pipe()
        self._process = spawning.Process(target=_serve, args=(theirs, load), daemon=True)
        with _starting, _environment(_SINGLE_THREAD), _without_main():
            self._process.start()
        theirs.close()
        self._limit = limit
        self._ready = False
        self.deadline = math.inf
        self.failure: Trouble | None = None
        self.give(job)

    def give(self, job: Job) -> None:
        self.job = job
        self.idle = False
        self._renew_deadline()
        with suppress(OSError):  # the process is gone, which `results` finds out
            self.connection.send(job)

    def results(self) -> Iterator[tuple[int, Row | Trouble] | Remark]:
        """What has come since; where the process is gone or too slow, `failure` says so afterwards."""
        try:
            while self.connection.poll():
                message = self.connection.recv()
                if isinstance(message, InputError):
                    raise message
                if isinstance(message, str):
                    self._ready = True
                elif isinstance(message, Remark):
                    yield message
                else:
                    yield self.job.rows[0], message
                    rest = self.job.rest()
                    self.job, self.idle = rest or self.job, rest is None
                self._renew_deadline()
        except (EOFError, OSError):
            self._process.join()
            end = _how_it_ended(self._process.exitcode)
            if not self._ready:
                raise InputError(f"a worker process could not start: it {end}") from None
            outside = -(self._process.exitcode or 0) in [getattr(signal, name, None) for name in _FROM_OUTSIDE]
            self.failure = Trouble(f"its worker process {end}", "now" if outside else "never")
        if not self.failure and time.monotonic() > self.deadline:
            self.stop()
            self.failure = Trouble(f"it took longer than {self._limit:g} s", "later")

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


@contextmanager
def _without_main() -> Iterator[None]:
    """Processes that are started meanwhile do not begin with the user's script.

    They would run it as a module, to find in it what it defines: nothing that they need, and in a script without
    `if __name__ == "__main__"` all that it does once more.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


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


def _results(extractor: MediaExtractor, job: Job) -> Iterator[Row | Trouble | Remark]:
    """A row of each span, or why there is none; after a failure, the spans behind it are tried again.

    Remarks come before the last row, after which nobody listens.
    """
    done = 0
    while done < len(job.spans):
        try:
            recording = Recording.open(job.file, job.sound)
        except Exception as error:
            yield from [_trouble(error, job.file)] * (len(job.spans) - done)
            return
        with recording:
            rows = iter(extractor.extract(recording, job.spans[done:]))
            try:
                while done < len(job.spans):
                    row = next(rows)
                    done += 1
                    if done == len(job.spans):
                        yield from _remarks(recording, job)
                    yield row if _fits(row, extractor.spec) else Trouble("its values are not finite")
            except Exception as error:
                done += 1
                yield _trouble(error, job.file)


def _remarks(recording: Recording, job: Job) -> Iterator[Remark]:
    for words in recording.remarks:
        yield Remark(job.rows[-1], words)
    found = recording.duration
    if job.seconds is not None and found is not None:
        shorter, longer = sorted((job.seconds, found))
        if longer > _TOO_LONG * shorter and longer > shorter + _LONGER:
            words = "its length is far from what its utterance is said to last; it is used as it is"
            yield Remark(job.rows[-1], words, f"{found:.1f} s, said to be {job.seconds:.1f} s")


def _fits(row: Row, spec: FeatureSpec) -> bool:
    """Whether a corpus takes the row: no infinite value, and NaN throughout, nowhere, or where the spec allows gaps."""
    missing = np.isnan(row)
    return not np.isinf(row).any() and (spec.gaps or bool(missing.all()) or not missing.any())


def _trouble(error: Exception, file: Path) -> Trouble:
    """Why a row is not there; another try may help where the system failed, and not where the file is damaged."""
    of_the_system = isinstance(error, PassingError | MemoryError | OSError)
    return Trouble(_reason(error, file), "now" if of_the_system else "never")


def _reason(error: Exception, file: Path | None = None) -> str:
    """The error in one line, without the file's name at its front, which has a column of its own."""
    words = " ".join(str(error).split()) if isinstance(error, BroadMambaError) else f"{type(error).__name__}: {error}"
    return words.removeprefix(f"{file}: ")
