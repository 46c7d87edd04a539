"""An audio extractor that fails for reasons that pass: the name of a clip says for which, and how many times."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.features.extractor import Span
from broadmamba.media.recording import Recording


@dataclass(frozen=True)
class Frail:
    spec: FeatureSpec
    trace: Path

    def extract(self, recording: Recording, spans: Sequence[Span]) -> Iterator[NDArray[np.float32]]:
        """Loudness; each try is noted. `kill2` fails at its first two tries, `remove` removes its folder."""
        for start, end in spans:
            name = recording.path.stem
            with self.trace.open("a") as file:
                file.write(f"{name}\n")
            samples = recording.audio(start, end)
            if name == "remove":
                shutil.rmtree(recording.path.parent)
            why, times = name[:-1], int(name[-1]) if name[-1].isdigit() else 0
            if tries(self.trace)[name] <= times:
                if why == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                if why == "memory":
                    raise MemoryError
                if why == "disk":
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if why == "wrong":
                    raise ValueError("no such thing")
            yield np.array([np.abs(samples).mean()], dtype=np.float32)


def tries(trace: Path) -> dict[str, int]:
    """How often each clip was tried."""
    names = trace.read_text().split()
    return {name: names.count(name) for name in names}


def load_frail(trace: Path) -> Frail:
    """The extractor; it writes a line a try into the trace."""
    return Frail(FeatureSpec("frail", "audio", 1, version="1"), trace)
