"""An audio extractor that does what the loudness of a clip tells it: measure, crash, hang or fail."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.features.extractor import Span
from broadmamba.media.recording import Recording

LOUDNESS = {"crash": 0.2, "exit": 0.3, "hang": 0.4, "refuse": 0.5, "infinite": 0.6}
"""What a clip whose samples peak there makes the extractor do; quieter ones are measured."""


@dataclass(frozen=True)
class Unruly:
    spec: FeatureSpec
    trace: Path | None

    def extract(self, recording: Recording, spans: Sequence[Span]) -> Iterator[NDArray[np.float32]]:
        """Number of samples and mean loudness; NaN in silence. Each row is noted in the trace."""
        for start, end in spans:
            samples = recording.audio(start, end)
            peak = float(np.abs(samples).max(initial=0))
            wanted = [what for what, loud in LOUDNESS.items() if abs(peak - loud) < 0.03]
            if self.trace:
                with self.trace.open("a") as file:
                    file.write(f"{os.getpid()} {recording.path.name} {start} {end}\n")
            if "crash" in wanted:
                os.kill(os.getpid(), signal.SIGSEGV)
            if "exit" in wanted:
                os._exit(3)
            if "hang" in wanted:
                time.sleep(600)
            if "refuse" in wanted:
                raise ZeroDivisionError("no such number")
            if not peak:
                yield np.full(2, np.nan, dtype=np.float32)
            else:
                yield np.array([len(samples), np.inf if wanted else np.abs(samples).mean()], dtype=np.float32)


def load_unruly(trace: Path | None = None) -> Unruly:
    """The extractor; it writes a line a row into the trace."""
    return Unruly(FeatureSpec("unruly", "audio", 2, version="1"), trace)


def load_never() -> Unruly:
    """As an extractor whose parts are broken, but in a worker alone."""
    import multiprocessing

    if multiprocessing.parent_process():
        raise ValueError("no such weights")
    return load_unruly()
