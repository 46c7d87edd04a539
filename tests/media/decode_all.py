"""Decode the files named in a list, one after the other, under limits of memory and time; run as a child process.

Each file is announced before it begins and reported when it is done, so that whatever ends this process, a crash or
the alarm of a hang, is known by its file.
"""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import numpy as np

from broadmamba.errors import InputError
from broadmamba.media.recording import Recording

SECONDS = 8


def decode(path: Path) -> str:
    try:
        with Recording.open(path) as recording:
            heard = sum(len(block) for block, _ in zip(recording.audio_blocks(), range(20), strict=False))
            seen = sum(1 for _ in recording.frames(np.arange(0, 20, 0.1)))
            return f"gave {heard} samples and {seen} pictures, {recording.damaged} damaged"
    except InputError as refusal:
        return f"refused {refusal}".replace("\n", "\\n")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in Path(sys.argv[1]).read_text().splitlines()[int(sys.argv[2]) :]:
        signal.alarm(SECONDS)
        print("begin", name, flush=True)
        print(decode(Path(name)), flush=True)
