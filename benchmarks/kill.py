"""Commands killed with SIGKILL just before an act on a file, and run again: the result is that of an unbroken run.

    python benchmarks/kill.py [--seed 0] [--count 60]

Each command is killed before acts drawn by chance (opening a file for writing, renaming, removing), then given again:
it must succeed, leave the very files of an unbroken run, and none that is hidden.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "media"), str(_TESTS / "features")]
os.environ.update(OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join(filter(None, sys.path)))

from recordings import chirps, numbered, write  # noqa: E402
from tiny_encoders import build_encoder  # noqa: E402

from corpora import make_corpus  # noqa: E402

_TINY = ("epochs=2", "batch_size=4", *(f"model.{name}" for name in ("d_model=8", "d_state=4", "n=2", "m=2", "d_z=3")))
COMMANDS = {
    "predict to a folder": ["predict", "talk.csv", "--out", "out"],
    "predict to a file": ["predict", "talk.csv", "--out", "out.eaf"],
    "predict a recording": ["predict", "talk.mp4", "--transcript", "talk.csv", "--out", "out", "--workers", "1"],
    "convert": ["convert", "table", "--out", "out"],
    "extract text": ["extract", "corpus", "--text", "encoder"],
    "extract audio": ["extract", "clips", "--audio", "logmel", "--media", "media", "--workers", "1"],
    "train": ["train", "corpus", "--out", "out", *(a for s in _TINY for a in ("--set", s))],
    "finetune-text": ["finetune-text", "corpus", "--encoder", "encoder", "--epochs", "1", "--out", "out"],
}
_PATHS = ("talk.csv", "talk.mp4", "out", "out.eaf", "table", "corpus", "clips", "media", "encoder")


class Commands:
    """Runs commands in children of a process that has loaded all they need; see `tests/training/interrupted.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, arguments: Sequence[str], folder: Path, kill_at: int = 0, count: bool = False) -> int:
        """The exit code, negative for a signal; or how many acts the command has."""
        absolute = [str(folder / a) if a in _PATHS else a for a in arguments]
        order = {"arguments": absolute, "under": str(folder), "kill_at": kill_at, "count": count}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def commands() -> Iterator[Commands]:
    script = [sys.executable, str(_TESTS / "training" / "interrupted.py")]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Commands(process)
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=60, help="kills, over all commands")
    options = parser.parse_args()
    chance, failed = random.Random(options.seed), 0
    print("| command | acts | killed | gone on to the end |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="kill-") as place, commands() as running:
        given = Path(place) / "given"
        make_inputs(given)
        for name, arguments in COMMANDS.items():
            whole = _fresh(given, Path(place) / "whole")
            assert running.run(arguments, whole) == 0, name
            acts = running.run(arguments, _fresh(given, Path(place) / "counted"), count=True)
            chosen = chance.sample(range(1, acts + 1), min(acts, max(1, options.count // len(COMMANDS))))
            right = 0
            for act in sorted(chosen):
                folder = _fresh(given, Path(place) / "killed")
                ended = running.run(arguments, folder, act)
                again = running.run(arguments, folder)
                if ended == -9 and again == 0 and _files(folder) == _files(whole):
                    right += 1
                else:
                    odd = sorted(_files(folder) ^ _files(whole))
                    print(f"{name}, act {act}: ended with {ended}, then {again}; differs in {odd}", file=sys.stderr)
            failed += len(chosen) - right
            print(f"| {name} | {acts} | {len(chosen)} | {right} |", flush=True)
    sys.exit(failed > 0)


def make_inputs(folder: Path) -> None:
    """What the commands read."""
    (folder / "table").mkdir(parents=True)
    (folder / "media").mkdir()
    said = [
        {
            "dialogue": "talk",
            "utterance": f"u{i}",
            "text": "w1 w2",
            "start": i * 0.5,
            "end": i * 0.5 + 0.4,
            "emotion": label,
        }
        for i, label in enumerate(["calm", "glad"])
    ]
    (folder / "table" / "utterances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    rows = [f"{row['text']},{row['start']},{row['end']}\n" for row in said]
    (folder / "talk.csv").write_text("text,start,end\n" + "".join(rows))
    write(folder / "talk.mp4", chirps(1.2), pictures=numbered(30))
    shutil.copy(folder / "talk.mp4", folder / "media")
    build_encoder("bert", folder / "encoder")
    make_corpus(5, noise=1.5, sizes={"train": 3, "dev": 2, "test": 2}).save(folder / "corpus")
    from broadmamba.data.readers import read_corpus

    read_corpus(folder / "table").save(folder / "clips")


def _fresh(given: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return shutil.copytree(given, folder)


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


if __name__ == "__main__":
    main()
