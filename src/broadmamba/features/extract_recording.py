"""The audio or video feature of one conversation, from its recording."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from broadmamba.data.conversation import Conversation
from broadmamba.data.corpus import Feature
from broadmamba.errors import InputError
from broadmamba.features.parts import PartStore
from broadmamba.features.rows import RowStore, fingerprint
from broadmamba.features.workers import Job, Load

_SPANS_A_JOB = 16
"""At least; a job opens the recording and reads to its first span."""


def extract_recording(
    conversation: Conversation,
    recording: Path,
    load: Load,
    folder: Path,
    workers: int = 1,
    progress: Callable[[int, int], object] | None = None,
) -> Feature:
    """Make a row for each utterance; one without times has none.

    Args:
        conversation: with times in seconds from the start of the recording.
        recording: a file.
        load: makes the extractor, here for its spec and in each worker; it can be pickled.
        folder: where rows that are done are kept, so that a run that was killed goes on from there; they are the
            caller's to remove (`parts.clear_parts`), once all is done that needs them.
        workers: processes at once; the values do not depend on how many.
        progress: called with (utterances done, all utterances) whenever the first has grown.

    Raises:
        InputError: a time is none of a recording, not one utterance can be used, or a worker cannot start.
    """
    conversation.check_times()
    spec = load().spec
    store = PartStore(folder, spec)
    state = recording.stat()
    facts = [recording.name, state.st_size, state.st_mtime_ns]
    rows = RowStore(store, spec.width, [fingerprint([*facts, u.start, u.end]) for u in conversation])
    for row, utterance in enumerate(conversation):
        if utterance.start is None:
            rows.settle(row, "no time")
    rows.fill(load, _jobs(conversation, recording, rows.undone(), workers), workers, progress)
    reasons = {row: reason for row, reason in rows.reasons.items() if reason != "no time"}
    if reasons and len(rows.reasons) == len(conversation):
        raise InputError(f"{recording}: {spec.name} failed for every utterance ({next(iter(reasons.values()))})")
    return Feature(spec, rows.values)


def _jobs(conversation: Conversation, recording: Path, rows: Sequence[int], workers: int) -> list[Job]:
    """A stretch of the recording for each worker."""
    timed = [(u.start, u.end, row) for row in rows if (u := conversation.utterances[row]).start is not None]
    spans = sorted(timed, key=lambda span: span[0])
    size = max(_SPANS_A_JOB, math.ceil(len(spans) / workers))
    stretches = [spans[first : first + size] for first in range(0, len(spans), size)]
    return [
        Job(recording, tuple((start, end) for start, end, _ in stretch), tuple(row for *_, row in stretch))
        for stretch in stretches
    ]
