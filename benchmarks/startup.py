"""What the first label costs: seconds of computing and memory of new processes, and the size of what is installed.

    python benchmarks/startup.py                     in a new environment, made by `pip install .` and removed
    python benchmarks/startup.py PYTHON PYTHON …     in environments that there are, such as one of an older version
    python benchmarks/startup.py --demo              `make demo` in a clean clone of what is committed, too

Processes of all kinds and environments take turns. Computing is user and system time of a process with its children;
memory is its largest resident size. Beside what Python itself takes there is nothing to take away from the figures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KITCHEN = str(ROOT / "examples" / "kitchen.vtt")
LOAD = "import broadmamba; broadmamba.Recognizer.from_pretrained()"
TASKS = {
    "python": ["-c", "pass"],
    "import broadmamba": ["-c", "import broadmamba"],
    "Recognizer.from_pretrained()": ["-c", LOAD],
    "broadmamba predict kitchen.vtt": ["-c", "from broadmamba.cli.main import run; run()", "predict", KITCHEN],
}
MODULES = "; import sys; print(*sorted(name for name in sys.modules if name.startswith('broadmamba.')))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--demo", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pythons = options.pythons or [install(folder)]
        for python in pythons:
            print(f"{python}: {megabytes(python):.0f} MB in site-packages")
        measure(pythons, options.rounds)
        for python in pythons:
            ended = subprocess.run([python, "-c", LOAD + MODULES], capture_output=True, text=True, check=True)
            names = ended.stdout.split()
            rooms = sorted({name.split(".")[1] for name in names})
            print(f"{python}: Recognizer loads {len(names)} own modules, of {', '.join(rooms)}")
            print(*(f"    {name}" for name in names), sep="\n")
        if options.demo:
            demo(folder)


def install(folder: Path) -> str:
    """A new environment with what `pip install .` installs."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run(["git", "clone", "--quiet", ROOT, folder / "source"], check=True)  # builds leave nothing in ours
    subprocess.run([python, "-m", "pip", "install", "--quiet", folder / "source"], check=True)
    return python


def megabytes(python: str) -> float:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    folder = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 2**20


def measure(pythons: list[str], rounds: int) -> None:
    figures: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(rounds + 1):
        for task, arguments in TASKS.items():
            for python in pythons:
                found = run([python, *arguments])
                if number:  # the first round compiles modules and fills the disk's cache
                    figures.setdefault((task, python), []).append(found)
    for (task, python), runs in figures.items():
        seconds, memory = zip(*runs, strict=True)
        print(
            f"{task:32} {statistics.median(seconds):6.2f} s of computing (least {min(seconds):.2f}), "
            f"{statistics.median(memory):4.0f} MB   {python if len(pythons) > 1 else ''}"
        )


def run(command: list[str]) -> tuple[float, float]:
    """Seconds of computing and largest resident size, in MB, of a process."""
    with Path(os.devnull).open("w") as nowhere:
        process = subprocess.Popen(command, stdout=nowhere, stderr=nowhere)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: ended with {os.waitstatus_to_exitcode(status)}")
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return used.ru_utime + used.ru_stime, used.ru_maxrss / scale


def demo(folder: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", ROOT, folder / "clone"], check=True)
    begun = time.perf_counter()
    subprocess.run(["make", "demo"], cwd=folder / "clone", check=True)
    print(f"make demo in a clean clone: {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()
