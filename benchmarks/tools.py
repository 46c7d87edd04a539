"""Files that other programs make of one talk, each read and compared with the talk: right or not, a row a file.

    python -m venv tools
    tools/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu
    tools/bin/pip install -e '.[recording]' -r benchmarks/tools.txt
    tools/bin/pip install --no-deps -r benchmarks/tools-alone.txt
    apt-get install ffmpeg flite jq libsox-fmt-all miller mkvtoolnix praat r-base-core sox sqlite3
    tools/bin/python benchmarks/tools.py

A tool that is not installed is named and passed over. No network is used. The exit status is 1 if a file is read
wrongly, or if one that is broken is not refused.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import shutil
import subprocess
import sys
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from made_by import corpora, recordings, services, speech, subtitles, tables, tiers  # noqa: F401 (they enter their tools)
from made_by.talk import TOOLS


def version_of(name: str, command: str) -> str | None:
    """The version of a tool, or None where it is not installed."""
    if not command:
        try:
            return version(name.split(",")[0])
        except PackageNotFoundError:
            return None
    if shutil.which(command.split()[0]) is None:
        return None
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    said = (done.stdout or done.stderr).replace("\n", " ").split()
    return next((part.lstrip("vjq-").rstrip(",") for part in said if any(map(str.isdigit, part))), "?")


def main() -> int:
    """Make every file, read it, print a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="these alone")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the files stay")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("broadmamba").setLevel(logging.ERROR)
    right = wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        for name, (command, maker) in TOOLS.items():
            found = version_of(name, command)
            if arguments.tools and name not in arguments.tools:
                continue
            if found is None:
                print(f"{name:24}not installed")
                continue
            folder = (arguments.keep or Path(temporary)) / name.replace(", ", "-").replace(" ", "-")
            folder.mkdir(parents=True, exist_ok=True)
            files = maker(folder)
            while True:
                try:
                    with contextlib.redirect_stdout(io.StringIO()):  # some tools tell of each file
                        made = next(files, None)
                except (ImportError, FileNotFoundError) as error:  # flite for faster-whisper, ffmpeg for mkvmerge
                    print(f"{name:24}{found[:16]:17}not all that it needs is installed ({error})")
                    break
                if made is None:
                    break
                trouble = made.trouble()
                verdict = f"WRONG: {trouble}" if trouble else "refused, as it should be" if made.refused else "right"
                right, wrong = (right, wrong + 1) if trouble else (right + 1, wrong)
                print(f"{name:24}{found[:16]:17}{made.format:40}{verdict}", flush=True)
    print(f"{right} right, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
