"""Which pictures of a recording the spans look at, and one pass over the recording for all of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.features.extractor import Span
from broadmamba.media.recording import Recording

PICTURES_A_SECOND = 2.5
"""How often a span is looked at: often enough for an expression, and ten minutes take 20 s of a processor core."""

MOST_PICTURES = 64
"""Of one span: a span of more than 26 s is looked at half as often, one of more than 51 s a quarter as often, …"""

Seen = TypeVar("Seen")
Row = NDArray[np.float32]


def sample_times(start: float, end: float) -> list[float]:
    """Times in seconds at which a span is looked at.

    They lie on a grid of the recording, so that spans which overlap share them; a span too short to hold a point of
    the grid is looked at in its middle.

    Args:
        start: of the span in seconds.
        end: of the span in seconds.
    """
    first, last = (math.ceil(time * PICTURES_A_SECOND - 0.5) for time in (start, end))
    step = 1
    while last - first > MOST_PICTURES * step:
        step *= 2
    points = range(math.ceil(first / step) * step, last, step)
    return [(point + 0.5) / PICTURES_A_SECOND for point in points] or [(start + end) / 2]


def rows_of_spans(
    recording: Recording,
    spans: Sequence[Span],
    look: Callable[[NDArray[np.uint8]], Seen],
    row: Callable[[list[Seen]], Row],
) -> Iterator[Row]:
    """One row a span, from one pass over the recording.

    Of each picture only what `look` gave is kept, and only until the last span that needs it is done.

    Args:
        recording: open.
        spans: in any order, though rows come soonest where the starts ascend.
        look: from a picture `(height, width, 3)` to what matters of it.
        row: from what was seen at the times of a span, in order, to its row; of nothing where no picture is shown.

    Yields:
        The rows in the order of the spans.

    Raises:
        InputError: a span is none, or the pictures cannot be decoded.
    """
    times = [sample_times(*bounds) for bounds in _bounds(recording, spans)]
    users = Counter(time for of_span in times for time in of_span)
    frames = recording.frames(sorted(users))
    seen: dict[float, Seen] = {}
    rows: dict[int, Row] = {}
    following, reached = 0, -math.inf
    for span in sorted(range(len(spans)), key=lambda number: times[number][-1]):
        while reached < times[span][-1]:
            frame = next(frames, None)
            reached = math.inf if frame is None else frame.time
            if frame is not None:
                seen[frame.time] = look(frame.pixels)
        rows[span] = row([seen[time] for time in times[span] if time in seen])
        for time in times[span]:
            users[time] -= 1
            if not users[time]:
                seen.pop(time, None)
        while following in rows:
            yield rows.pop(following)
            following += 1


def _bounds(recording: Recording, spans: Sequence[Span]) -> list[tuple[float, float]]:
    """Start and end of each span in seconds."""
    length = _length(recording) if any(end is None for _, end in spans) else 0.0
    bounds = [(start, max(start, length) if end is None else end) for start, end in spans]
    for start, end in bounds:
        if not 0 <= start <= end < math.inf:
            raise InputError(f"{recording.path}: expected a span of ascending times from 0 on, found {start} to {end}")
    return bounds


def _length(recording: Recording) -> float:
    """As the file states it, or else until its last picture, which takes a pass over the recording."""
    if recording.duration is not None:
        return recording.duration
    end = 0.0
    for frame in recording.frames(second + 0.5 for second in count()):
        end = frame.time + 0.5
    return end
