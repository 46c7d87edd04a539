"""Who spoke when: turns, and how utterances without a speaker get one from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import Conversation

_Seconds = NDArray[np.float64]

WITHIN = 0.5
"""How far from a speaker's nearest turn, in seconds, an utterance may lie and still be theirs."""

_DECIMALS = 6  # of a second; finer differences between two speakers are rounding


@dataclass(frozen=True, slots=True)
class Turn:
    """A span of time in which one speaker speaks.

    Attributes:
        start: seconds from the start of the recording.
        end: seconds from the start of the recording, `start` or later.
        speaker: who speaks; a name, or a number that stands for one.
    """

    start: float
    end: float
    speaker: str


def assign_speakers(conversation: Conversation, turns: Iterable[Turn], within: float = WITHIN) -> Conversation:
    """Give every utterance that has times and no speaker the speaker of `speakers_of`.

    Args:
        conversation: speakers that it names already are kept; an utterance without any time is left as it is.
        turns: in any order; those of several speakers may overlap.
        within: seconds, see `speakers_of`.
    """
    lacking = [
        (index, span)
        for index, u in enumerate(conversation)
        if u.speaker is None and (span := _span(u.start, u.end)) is not None
    ]
    found = speakers_of([span for _, span in lacking], turns, within)
    utterances = list(conversation)
    for (index, _), speaker in zip(lacking, found, strict=True):
        utterances[index] = replace(utterances[index], speaker=speaker)
    return Conversation(conversation.id, tuple(utterances))


def _span(start: float | None, end: float | None) -> tuple[float, float] | None:
    known = [time for time in (start, end) if time is not None]
    return (known[0], known[-1]) if known else None


def speakers_of(
    spans: Sequence[tuple[float, float]], turns: Iterable[Turn], within: float = WITHIN
) -> list[str | None]:
    """Who speaks in each span: whose turns overlap it longest, else whose turn is nearest, else None.

    Of two speakers with the same claim, the one who spoke first in the recording is taken. A span of no length
    belongs to the turn around it.

    Args:
        spans: start and end in seconds.
        turns: in any order; those of several speakers may overlap.
        within: the nearest turn counts up to this many seconds away.
    """
    by_speaker: dict[str, list[Turn]] = {}
    for turn in sorted(turns, key=lambda turn: turn.start):
        by_speaker.setdefault(turn.speaker, []).append(turn)
    speakers = list(by_speaker)
    starts = np.array([start for start, _ in spans], dtype=np.float64)
    ends = np.array([end for _, end in spans], dtype=np.float64)
    chosen = np.full(len(spans), -1)
    longest = np.zeros(len(spans))
    nearest = np.full(len(spans), np.inf)
    for number, speaker in enumerate(speakers):
        knots = _merge(by_speaker[speaker])
        overlap, distance = _overlap(starts, ends, knots), _distance(starts, ends, knots)
        better = (overlap > longest) | ((longest == 0) & (distance < nearest) & (distance <= within))
        chosen[better] = number
        longest[better] = overlap[better]
        nearest[better] = distance[better]
    return [speakers[number] if number >= 0 else None for number in chosen]


def _merge(turns: Sequence[Turn]) -> tuple[_Seconds, _Seconds]:
    """Starts and ends of one speaker's speech, ascending and apart, from turns sorted by their start."""
    starts: list[float] = []
    ends: list[float] = []
    for turn in turns:
        if ends and turn.start <= ends[-1]:
            ends[-1] = max(ends[-1], turn.end)
        else:
            starts.append(turn.start)
            ends.append(turn.end)
    return np.array(starts), np.array(ends)


def _overlap(starts: _Seconds, ends: _Seconds, speech: tuple[_Seconds, _Seconds]) -> _Seconds:
    """Seconds that each span shares with the speech: what was spoken by its end less what was by its start."""
    times = np.column_stack(speech).ravel()
    spoken = np.repeat(np.cumsum(np.subtract(*reversed(speech))), 2)
    spoken[::2] = np.concatenate([[0.0], spoken[1:-1:2]])
    shared: _Seconds = np.interp(ends, times, spoken) - np.interp(starts, times, spoken)
    return shared.round(_DECIMALS)


def _distance(starts: _Seconds, ends: _Seconds, speech: tuple[_Seconds, _Seconds]) -> _Seconds:
    """Seconds between each span and the nearest speech, 0 where they touch."""
    begun = np.searchsorted(speech[0], ends, side="right")  # how many stretches of speech begin by the span's end
    before = np.concatenate([[-np.inf], speech[1]])[begun]
    after = np.concatenate([speech[0], [np.inf]])[begun]
    gap: _Seconds = np.maximum(np.minimum(starts - before, after - ends), 0.0)
    return gap.round(_DECIMALS)
