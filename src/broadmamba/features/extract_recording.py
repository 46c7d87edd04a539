"""The audio or video feature of one conversation, from its recording."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from broadmamba.data.corpus import Feature
from broadmamba.errors import InputError
from broadmamba.features.parts import PartStore
from broadmamba.features.rows import PARTS, RowStore, fingerprint
from broadmamba.features.workers import Job, Load, Trouble
from broadmamba.media.spans import Span
from broadmamba.media.tracks import SoundChoice

_NO_TIME = "no time within the recording"

_SPANS_A_JOB = 16
"""At least; a job opens the recording and reads to its first span."""


def extract_recording(
    spans: Sequence[Span | None],
    recording: Path,
    sound: SoundChoice,
    load: Load,
    folder: Path,
    workers: int = 1,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[Feature, dict[int, str]]:
    """Make a row for each utterance; one without times in the recording has none.

    Args:
        spans: of each utterance, see `spans_of`.
        recording: a file.
        sound: the track and the channels that are heard.
        load: makes the extractor, here for its spec and in each worker; it can be pickled.
        folder: where rows that are done are kept, so that a run that was killed goes on from there; they are the
            caller's to remove (`parts.clear_parts`), once all is done that needs them.
        workers: processes at once; the values do not depend on how many.
        progress: called with (utterances done, all utterances) whenever the first has grown.

    Returns:
        The feature; and for each utterance whose row is missing for another reason than that nothing is to be seen or
        heard, its number and the reason.

    Raises:
        InputError: not one utterance can be used, or a worker cannot start.
    """
    spec = load().spec
    store = PartStore(folder, spec, PARTS)
    state = recording.stat()
    facts = [recording.name, state.st_size, state.st_mtime_ns, sound.track, sound.channels]
    rows = RowStore(store, spec.width, [fingerprint([*facts, span]) for span in spans])
    for row, span in enumerate(spans):
        if span is None:
            rows.settle(row, Trouble(_NO_TIME))
    rows.fill(load, _jobs(spans, recording, sound, rows.undone(), workers), workers, progress)
    reasons = {row: reason for row, reason in rows.reasons.items() if reason != _NO_TIME}
    if reasons and len(rows.reasons) == len(spans):
        store.clear()  # another try shall be one
        raise InputError(f"{recording}: {spec.name} failed for every utterance ({next(iter(reasons.values()))})")
    return Feature(spec, rows.values), reasons


def _jobs(
    spans: Sequence[Span | None], recording: Path, sound: SoundChoice, rows: Sequence[int], workers: int
) -> list[Job]:
    """A stretch of the recording for each worker."""
    timed = sorted(((span, row) for row in rows if (span := spans[row]) is not None), key=lambda one: one[0][0])
    size = max(_SPANS_A_JOB, math.ceil(len(timed) / workers))
    stretches = [timed[first : first + size] for first in range(0, len(timed), size)]
    return [
        Job(recording, tuple(span for span, _ in stretch), tuple(row for _, row in stretch), sound)
        for stretch in stretches
    ]
