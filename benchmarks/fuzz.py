"""Damaged files by the thousand: read, or refused in a sentence, and nothing else.

    python benchmarks/fuzz.py [--seed 0] [--count 5000] [--area NAME]... [--log FILE]
    python benchmarks/fuzz.py --replay AREA:SEED:NUMBER [--keep FOLDER]

Every case is a whole subject (a transcript, a recording, a corpus, a model …) of which one or two files are damaged in
the ways of their formats. It is read in a child process that may take 20 s and 1 GiB more than it has at its start. A
case fails where anything but a result or a `BroadMambaError` comes of it, where what was read is not sound or not the
same after it was written, or where temporary files are left. With --log, a run that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums come in one order, and a process with threads cannot fork
_TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "media"), str(_TESTS / "features")]

import torch  # noqa: E402

from fuzzing.harness import Fuzzer, Outcome, tally  # noqa: E402
from fuzzing.subjects import AREAS  # noqa: E402

# Share of the cases; text is read fastest, and has the most formats.
SHARES = {
    "transcripts": 0.24, "media": 0.12, "corpora": 0.1, "converted": 0.1, "models": 0.06, "bundles": 0.06,
    "graphs": 0.06, "encoders": 0.04, "exported": 0.04, "runs": 0.06, "records": 0.04, "unfinished": 0.04,
    "packages": 0.04,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=5000, help="cases, over all areas")
    parser.add_argument("--area", action="append", choices=list(AREAS), help="only this one; repeatable")
    parser.add_argument("--log", type=Path, help="where outcomes are kept, a line each")
    parser.add_argument("--replay", metavar="AREA:SEED:NUMBER", help="one case again")
    parser.add_argument("--keep", type=Path, help="where the files of that case are put")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        if options.replay:
            area, seed, number = options.replay.split(":")
            fuzzer = Fuzzer(Path(folder), [area])
            if options.keep:
                fuzzer.make(area, int(seed), int(number), options.keep)
            print(json.dumps(next(fuzzer.run(area, int(seed), [int(number)])).to_dict(), indent=2))
            return
        areas = options.area or list(AREAS)
        whole = sum(SHARES[area] for area in areas)
        outcomes = _kept(options.log, options.seed)
        done = {(outcome.area, outcome.number) for outcome in outcomes}
        fuzzer = Fuzzer(Path(folder), areas)
        for area in areas:
            count = max(round(options.count * SHARES[area] / whole), fuzzer.whole(area))
            numbers = [number for number in range(count) if (area, number) not in done]
            for outcome in fuzzer.run(area, options.seed, numbers):
                outcomes.append(outcome)
                if options.log:
                    with options.log.open("a") as file:
                        file.write(json.dumps(outcome.to_dict()) + "\n")
    _print([outcome for outcome in outcomes if outcome.area in areas])


def _kept(log: Path | None, seed: int) -> list[Outcome]:
    if log is None or not log.exists():
        return []
    found = [Outcome(**json.loads(line)) for line in log.read_text().splitlines()]
    return [outcome for outcome in found if outcome.seed == seed]


def _print(outcomes: Sequence[Outcome]) -> None:
    print("| area | files | read | refused in a sentence | failed | slowest | memory |")
    print("|---|---|---|---|---|---|---|")
    for area, row in tally(outcomes).items():
        counts = " | ".join(str(int(row[kind])) for kind in ("files", "read", "refused", "failed"))
        print(f"| {area} | {counts} | {row['slowest']:.1f} s | {int(row['growth'])} MiB |")
    for outcome in outcomes:
        if outcome.kind == "failed":
            print(f"\n{outcome.name} ({outcome.subject}, {outcome.seconds} s): {outcome.detail}", file=sys.stderr)
    sys.exit(any(outcome.kind == "failed" for outcome in outcomes))


if __name__ == "__main__":
    main()
