"""Who spoke when: turns, and how utterances without a speaker get one from them."""

from __future__ import annotations

from dataclasses import dataclass


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
