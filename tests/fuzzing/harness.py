"""Cases one after the other in child processes with limits: what each gives, whatever it does to its process."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import resource
import select
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, NoReturn

from broadmamba.errors import BroadMambaError
from fuzzing.mutations import damaged
from fuzzing.subjects import AREAS, Area

SECONDS = 20.0
"""That a case may take."""
PATIENCE = 5.0
"""Seconds after them, until a process that says nothing is ended."""
GROWTH = 1 << 30
"""Bytes of address space that it may take, beyond what its process has at the start."""
LONGEST_SENTENCE = 1000
BATCH = 25  # cases a process


@dataclass(frozen=True)
class Outcome:
    """What a case came to.

    Attributes:
        area: what was read, a name of `AREAS`.
        seed: of the damage.
        number: of the case; `area`, `seed` and `number` make the same files again.
        subject: what was damaged.
        kind: `read`, `refused`, or `failed`.
        detail: the sentence of a refusal, or what went wrong.
        seconds: that it took.
        growth: of the resident memory of its process so far, in MiB.
    """

    area: str
    seed: int
    number: int
    subject: str
    kind: str
    detail: str
    seconds: float
    growth: int

    @property
    def name(self) -> str:
        """To replay it by."""
        return f"{self.area}:{self.seed}:{self.number}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


class Fuzzer:
    """Makes the subjects of areas once, damages copies of them, and has children read these.

    Attributes:
        folder: of the subjects and the copies.
    """

    def __init__(self, folder: Path, areas: Sequence[str]) -> None:
        self.folder = folder
        self._areas: dict[str, Area] = {}
        self._subjects: dict[str, list[Path]] = {}
        self._contents: dict[str, dict[str, list[bytes]]] = {}
        for name in areas:
            self._areas[name] = area = AREAS[name](folder / "given" / name)
            self._subjects[name] = sorted(path for path in area.subjects.iterdir())
            contents: dict[str, list[bytes]] = {}
            for path in sorted(area.subjects.rglob("*")):
                if path.is_file():
                    contents.setdefault(path.suffix.lower(), []).append(path.read_bytes())
            self._contents[name] = contents

    def whole(self, area: str) -> int:
        """How many of an area's first cases are whole: they must be read."""
        return len(self._subjects[area])

    def make(self, area: str, seed: int, number: int, folder: Path) -> str:
        """Put the files of a case into a new folder; gives the subject's name."""
        subjects = self._subjects[area]
        chosen = subjects[number % len(subjects)]
        shutil.copytree(chosen, folder, symlinks=True)
        if number < len(subjects):
            return chosen.name
        chance = Random(f"{area} {seed} {number}")
        fixed = self._areas[area].fixed
        files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and p.name not in fixed)
        for path in chance.sample(files, min(len(files), chance.choice([1, 1, 1, 2]))):
            same = self._contents[area].get(path.suffix.lower(), [])
            path.write_bytes(damaged(path.name, path.read_bytes(), chance, same))
        return chosen.name

    def run(self, area: str, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
        """The outcome of each case."""
        waiting = list(numbers)
        while waiting:
            done = 0
            for outcome in self._batch(area, seed, waiting[:BATCH]):
                yield outcome
                done += 1
            waiting = waiting[done:]

    def _batch(self, area: str, seed: int, numbers: Sequence[int]) -> Iterator[Outcome]:
        """Outcomes of cases in one child; the last one is of the case at which the child ended, if it ended early."""
        receiving, sending = os.pipe()
        place = Path(tempfile.mkdtemp(prefix="case-", dir=self.folder))
        pid = os.fork()
        if pid == 0:
            os.close(receiving)
            self._child(area, seed, numbers, place, sending)
        os.close(sending)
        answers = b""
        status: int | None = None
        try:
            for number in numbers:
                while b"\n" not in answers and status is None:
                    ready, _, _ = select.select([receiving], [], [], SECONDS + PATIENCE)
                    said = os.read(receiving, 1 << 16) if ready else b""
                    answers += said
                    if not said:
                        if not ready:
                            os.kill(pid, signal.SIGKILL)
                        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                        detail = (
                            _how_ended(status, place / "errors.txt") if ready else f"said nothing for {SECONDS:g} s"
                        )
                if b"\n" not in answers:
                    subject = self._subjects[area][number % len(self._subjects[area])].name
                    yield Outcome(area, seed, number, subject, "failed", detail, SECONDS, 0)
                    return
                line, _, answers = answers.partition(b"\n")
                yield Outcome(**json.loads(line))
        finally:
            os.close(receiving)
            if status is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            shutil.rmtree(place, ignore_errors=True)

    def _child(self, area: str, seed: int, numbers: Sequence[int], place: Path, sending: int) -> NoReturn:
        code = 1
        try:
            errors = (place / "errors.txt").open("w")
            os.dup2(errors.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            faulthandler.enable(errors)
            _limit()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for number in numbers:
                outcome = self._case(area, seed, number, place, before)
                os.write(sending, (json.dumps(outcome.to_dict()) + "\n").encode())
            code = 0
        except BaseException:  # of the harness itself
            traceback.print_exc()
        finally:
            os._exit(code)

    def _case(self, area: str, seed: int, number: int, place: Path, before: int) -> Outcome:
        folder, temporary = place / "case", place / "tmp"
        for path in (folder, temporary):
            shutil.rmtree(path, ignore_errors=True)
        temporary.mkdir()
        tempfile.tempdir = str(temporary)
        os.environ["TMPDIR"] = str(temporary)
        subject = self.make(area, seed, number, folder)
        begun = time.monotonic()
        kind, detail = "read", ""
        try:
            self._areas[area].read(folder, subject)
        except BroadMambaError as refusal:
            kind, detail = "refused", str(refusal)
            kind, detail = ("failed", f"no sentence: {detail!r}") if not _is_sentence(detail) else (kind, detail)
        except BaseException as error:
            kind, detail = "failed", "".join(traceback.format_exception(error)[-6:]) if str(error) else repr(error)
        seconds = time.monotonic() - begun
        left = sorted(str(path.relative_to(place)) for path in temporary.rglob("*"))
        if kind != "failed" and left:
            kind, detail = "failed", f"left behind: {', '.join(left[:5])}"
        if kind != "failed" and seconds > SECONDS:
            kind, detail = "failed", f"took {seconds:.0f} s"
        if kind != "read" and number < self.whole(area):
            kind, detail = "failed", f"a whole subject was not read: {detail}"
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        return Outcome(area, seed, number, subject, kind, detail[-3000:], round(seconds, 3), grown)


def _is_sentence(text: str) -> bool:
    """Whether a refusal can be shown: one line of fair length, that a terminal's encoding takes once it is escaped."""
    return 10 < len(text) <= LONGEST_SENTENCE


def _limit() -> None:
    ctypes.CDLL(None).mallopt(-8, 1)  # M_ARENA_MAX: else each thread of a decoder reserves 128 MiB, and uses none of it
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + GROWTH,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20,) * 2)


def _how_ended(status: int, errors: Path) -> str:
    said = errors.read_text(errors="replace")[-1500:] if errors.exists() else ""
    return f"its process ended with {signal.Signals(-status).name if status < 0 else status}: {said}"


def tally(outcomes: Sequence[Outcome]) -> Mapping[str, Mapping[str, float]]:
    """Area → how many cases were read, refused and failed, the longest time and the most memory."""
    table: dict[str, dict[str, float]] = {}
    for outcome in outcomes:
        row = table.setdefault(
            outcome.area, {"files": 0, "read": 0, "refused": 0, "failed": 0, "slowest": 0.0, "growth": 0}
        )
        row["files"] += 1
        row[outcome.kind] += 1
        row["slowest"] = max(row["slowest"], outcome.seconds)
        row["growth"] = max(row["growth"], outcome.growth)
    return table
