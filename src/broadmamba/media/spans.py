"""Where in its recording each utterance is, by the times of a transcript that may be of another recording."""

from __future__ import annotations

import logging
from bisect import bisect_right

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.recording import Recording

Span = tuple[float, float]
"""Start and end in seconds from the start of the recording."""

LONGEST_GUESS = 20.0
"""Seconds that an utterance without an end lasts at the most."""

_CLOSE = 1.0  # seconds after the recording's end at which an utterance may end without a word about it
_HOUR = 3600

_log = logging.getLogger(__name__)


def spans_of(conversation: Conversation, recording: Recording) -> list[Span | None]:
    """The span of each utterance, cut to the recording's length; None without a start, and beyond the recording's end.

    An utterance without an end lasts until the next one starts, 20 s at the most. What lies outside of the recording
    is told in a warning.

    Args:
        conversation: with times.
        recording: open; its sound is decoded to the end where the length that it states would not do.

    Raises:
        InputError: utterances have times, and none of them lies within the recording.
    """
    starts = sorted(u.start for u in conversation if u.start is not None)
    spans: list[Span | None] = []
    for u in conversation:
        if u.start is None:
            spans.append(None)
        elif u.end is not None:
            spans.append((u.start, max(u.start, u.end)))
        else:
            following = bisect_right(starts, u.start)
            latest = u.start + LONGEST_GUESS
            spans.append((u.start, min(latest, starts[following]) if following < len(starts) else latest))
    latest = max((span[1] for span in spans if span is not None), default=0.0)
    if recording.duration is not None and latest <= recording.duration:
        return spans
    length = recording.length()
    within = [None if span is None or span[0] >= length else (span[0], min(span[1], length)) for span in spans]
    inside = sum(span is not None for span in within)
    if starts and not inside:
        raise InputError(
            f"none of the {len(starts)} utterances with times lies within the {length:.1f} s of {recording.path}: the "
            f"first begins at {_clock(starts[0])}{_advice(starts, length)}"
        )
    if outside := len(starts) - inside:
        doubt = _advice(starts, length) if inside < outside else ""
        _log.warning(
            "%d of the %d utterances with times begin after the end of the recording at %.1f s, and have neither sound "
            "nor pictures%s",
            outside,
            len(starts),
            length,
            doubt,
        )
    ends = [u.end for u, span in zip(conversation, within, strict=True) if span is not None and u.end is not None]
    if late := [end for end in ends if end > length + _CLOSE]:
        _log.warning(
            "%d of the %d utterances with times end after the end of the recording at %.1f s, and are cut there",
            len(late),
            len(starts),
            length,
        )
    return within


def _advice(starts: list[float], length: float) -> str:
    hours = int(starts[0] // _HOUR)
    if hours and starts[0] - hours * _HOUR < length:
        return f"; timecodes often count from an hour: take {hours} h off all times"
    return "; it may be the transcript of another recording"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:02d}:{minutes:02d}:{rest:06.3f}"
