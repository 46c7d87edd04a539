"""A part of the fuzzing that `benchmarks/fuzz.py` does at length, and that it sees what it is there to see."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from broadmamba.errors import InputError
from fuzzing import harness
from fuzzing.harness import AREAS, Fuzzer, Outcome
from fuzzing.subjects import Area

COMMAND = [sys.executable, str(Path(__file__).parents[2] / "benchmarks" / "fuzz.py")]


def test_hundreds_of_damaged_files_are_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    environment = {
        **os.environ, "TMPDIR": str(tmp_path / "tmp"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "torch")
    }  # fmt: skip
    ended = subprocess.run(
        [*COMMAND, "--seed", "1", "--count", "300"], env=environment, capture_output=True, timeout=500, check=False
    )
    told, failures = ended.stdout.decode(), ended.stderr.decode()
    assert ended.returncode == 0, told + failures[-5000:]
    rows = [line.strip("| ").split(" | ") for line in told.splitlines()[2:]]
    assert [row[0] for row in rows] == list(AREAS)
    assert all(int(row[2]) > 0 and int(row[3]) > 0 for row in rows), told  # damage of both degrees was tried
    assert sum(int(row[1]) for row in rows) >= 290
    assert list((tmp_path / "tmp").iterdir()) == []


class Trap(Area):
    """Does what a reader must not do, by what the damaged file says."""

    def prepare(self) -> None:
        (self.subjects / "a").mkdir()
        (self.subjects / "a" / "a.txt").write_text("a")

    def read(self, case: Path, subject: str) -> None:
        BAD[self.kind]()

    kind = ""


def _refuse(text: str) -> Callable[[], None]:
    def refuse() -> None:
        raise InputError(text)

    return refuse


BAD: dict[str, Callable[[], object]] = {
    "KeyError": lambda: {}["a"],
    "AssertionError": lambda: np.testing.assert_array_equal([1], [2]),
    "took": lambda: time.sleep(1.2),
    "said nothing": lambda: time.sleep(60),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "MemoryError": lambda: np.ones(160 << 20),
    "left behind": lambda: Path(tempfile.mkdtemp()).joinpath("x").touch(),
    "no sentence": _refuse("what?"),
    "SystemExit": lambda: sys.exit(3),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_must_not_be_is_seen(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "SECONDS", 1.0)
    monkeypatch.setattr(harness, "PATIENCE", 1.0)
    monkeypatch.setitem(AREAS, "trap", type("TrapOf", (Trap,), {"kind": kind}))
    outcomes = list(Fuzzer(tmp_path, ["trap"]).run("trap", 0, [5, 6] if kind != "said nothing" else [5]))
    assert [outcome.kind for outcome in outcomes] == ["failed"] * len(outcomes)
    assert all(kind in outcome.detail for outcome in outcomes), outcomes
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_a_case_can_be_made_again(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Fuzzer(tmp_path / name, ["transcripts"]).make("transcripts", 3, 77, tmp_path / name / "case")
    one, two = (sorted((tmp_path / name / "case").iterdir()) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    command = [*COMMAND, "--replay", "packages:0:3", "--keep", str(tmp_path / "kept")]
    printed = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode()
    assert '"kind": "refused"' in printed
    assert (tmp_path / "kept" / "p.tgz").is_file()


def test_outcomes_are_told_by_area() -> None:
    outcomes = [Outcome("a", 0, n, "x", kind, "", float(n), n) for n, kind in enumerate(["read", "refused", "failed"])]
    assert dict(harness.tally(outcomes)["a"]) == {
        "files": 3, "read": 1, "refused": 1, "failed": 1, "slowest": 2.0, "growth": 2
    }  # fmt: skip
