"""What formats that follow the recording have in common: whole milliseconds, one line a text, in order."""

from __future__ import annotations

import re
from typing import NamedTuple

from broadmamba.data.conversation import LATEST
from broadmamba.recognition.prediction import ConversationPrediction, UtterancePrediction

UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Control characters, halves of characters and what XML allows in no form."""


class Timed(NamedTuple):
    """A prediction whose times are known, in milliseconds; `end` is later than `start`."""

    start: int
    end: int
    item: UtterancePrediction


def timed(prediction: ConversationPrediction) -> list[Timed]:
    """The predictions that have times, by their start; of no length, they get a millisecond.

    Times that are missing, negative, infinite, NaN, reversed or beyond 1000 hours are not known.
    """
    found = []
    for item in prediction:
        start, end = item.utterance.start, item.utterance.end
        if start is not None and end is not None and 0 <= start <= end <= LATEST:
            first = round(start * 1000)
            found.append(Timed(first, max(round(end * 1000), first + 1), item))
    return sorted(found, key=lambda entry: entry.start)


def one_line(text: str | None) -> str:
    """A text without line breaks, characters that cannot be written, and double white space."""
    return " ".join(UNWRITABLE.sub(" ", text or "").split())
