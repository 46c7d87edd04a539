"""Who said what, when: the utterance, the conversation, and the fixed order of labels."""

from __future__ import annotations

import difflib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from broadmamba.errors import InputError

MOST_HOURS = 1000
"""Of a recording: six weeks. A later time is a date, a damaged one, or in another unit than seconds."""
LATEST = MOST_HOURS * 3600.0
"""The latest time of an utterance, in seconds."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One turn of one speaker.

    Attributes:
        id: unique in its corpus.
        text: what was said; may be empty.
        speaker: who said it, or None where nobody knows.
        start: seconds from the start of the recording, or None.
        end: seconds from the start of the recording, or None.
        label: the emotion's name, or None where it is not annotated.
    """

    id: str
    text: str = ""
    speaker: str | None = None
    start: float | None = None
    end: float | None = None
    label: str | None = None

    def check(self) -> None:
        """See that each part is of the type that it should be.

        Raises:
            InputError: a part is something else, or not whole Unicode, or a time is no finite number.
        """
        for part, value, optional in (
            ("id", self.id, False),
            ("text", self.text, False),
            ("speaker", self.speaker, True),
            ("label", self.label, True),
        ):
            if not isinstance(value, str) and not (optional and value is None):
                raise InputError(f"utterance {self.id!r:.40}: its {part} is {value!r:.40}, expected a string")
        try:
            "".join((self.id, self.text, self.speaker or "", self.label or "")).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start]
            raise InputError(
                f"utterance {self.id!r}: expected whole Unicode, found half a character {half!r}"
            ) from None
        for part, time in (("start", self.start), ("end", self.end)):
            if time is None:
                continue
            if not isinstance(time, (int, float)) or isinstance(time, bool):
                raise InputError(f"utterance {self.id!r}: its {part} is {time!r:.40}, expected seconds")
            if not abs(time) <= sys.float_info.max:
                found = time if isinstance(time, float) else "a number with hundreds of digits"
                raise InputError(f"utterance {self.id!r}: its {part} is {found}, expected finite seconds")


@dataclass(frozen=True, slots=True)
class Conversation:
    """Utterances in the order in which they were said."""

    id: str
    utterances: tuple[Utterance, ...]

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    def speaker_indices(self) -> list[int]:
        """Speakers numbered from 0 in the order in which they first speak; an unknown speaker is -1."""
        numbers: dict[str, int] = {}
        return [-1 if u.speaker is None else numbers.setdefault(u.speaker, len(numbers)) for u in self.utterances]

    def check(self) -> None:
        """See that everything is of the type that it should be, which Python itself does not.

        Raises:
            InputError: there are no utterances or no tuple of them, an id is given twice, or a part of an utterance is
                something else; the message names the utterance.
        """
        if not isinstance(self.id, str):
            raise InputError(f"conversation {self.id!r:.40}: expected a string as its id")
        if not isinstance(self.utterances, (tuple, list)):  # an iterator would be empty when it is read again
            found = type(self.utterances).__name__
            raise InputError(f"conversation {self.id!r}: expected a tuple of utterances, found {found}")
        if not self.utterances:
            raise InputError(f"conversation {self.id!r} has no utterances")
        seen: set[str] = set()
        for place, utterance in enumerate(self.utterances, start=1):
            if not isinstance(utterance, Utterance):
                raise InputError(f"conversation {self.id!r}, utterance {place}: found {utterance!r:.40}, no Utterance")
            utterance.check()
            if utterance.id in seen:
                raise InputError(f"utterance {utterance.id!r} is there more than once; ids must differ")
            seen.add(utterance.id)

    def check_times(self) -> None:
        """See that every time that is given is one of a recording.

        Raises:
            InputError: a time is negative, NaN or later than `LATEST`, or an utterance ends before it starts.
        """
        for u in self.utterances:
            times = [time for time in (u.start, u.end) if time is not None]
            if not all(0 <= time <= LATEST for time in times) or times != sorted(times):
                raise InputError(
                    f"utterance {u.id!r}: expected times from 0 to {MOST_HOURS} hours, the end not before the start, "
                    f"found {u.start} to {u.end} s"
                )


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Emotion names in a fixed order: position is class index.

    Raises:
        InputError: fewer than two names, an empty one, one given twice, or half a character.
    """

    names: tuple[str, ...]
    _places: dict[str, int] = field(repr=False, compare=False)

    def __init__(self, names: Sequence[str]) -> None:
        if len(names) < 2:
            raise InputError(f"a label set needs at least two labels, found {list(names)}")
        if not all(name.strip() for name in names):
            raise InputError(f"a label needs a name, found {list(names)}")
        try:
            "".join(names).encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"labels are whole Unicode, found half a character {error.object[error.start]!r}"
            ) from None
        repeated = sorted(name for name, count in Counter(names).items() if count > 1)
        if repeated:
            raise InputError(f"labels must differ, found {', '.join(repeated)} more than once")
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "_places", {name: place for place, name in enumerate(names)})

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, index: int) -> str:
        return self.names[index]

    def index(self, name: str) -> int:
        """Class index of a label.

        Raises:
            InputError: the label is not in the set; the message lists those that are.
        """
        try:
            return self._places[name]
        except KeyError:
            raise InputError(
                f"unknown label {name!r}; known are {', '.join(self.names)}{near(name, self.names)}"
            ) from None


def near(word: str, known: Sequence[str]) -> str:
    """` (did you mean X?)` for the known word most like this one, or an empty string."""
    matches = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""
