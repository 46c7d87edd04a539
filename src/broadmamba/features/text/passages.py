"""What a text encoder reads in one go: one turn, or a stretch of a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Passage:
    """Turns that are read together.

    Attributes:
        turns: their texts, in order.
        scored: how many of them, the last ones, get a row; those before are only context.
    """

    turns: tuple[str, ...]
    scored: int


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a conversation is read with an utterance.

    Attributes:
        context: previous turns that are read with an utterance where there are so many; 0 reads each alone. So as
            not to read a turn `context` times, stretches of as many turns are read together after their context,
            and a turn sees those after it in its stretch.
        speakers: whether a turn begins with the letter of its speaker: A speaks first in the conversation, then B.
    """

    context: int = 0
    speakers: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.context, int) or isinstance(self.context, bool) or not 0 <= self.context <= 64:
            raise InputError(f"context: expected 0 to 64 turns, found {self.context!r}")
        if not isinstance(self.speakers, bool):
            raise InputError(f"speakers: expected true or false, found {self.speakers!r}")

    def turns(self, conversation: Conversation) -> list[str]:
        """The text of each turn as it is read."""
        if not self.speakers:
            return [utterance.text for utterance in conversation]
        return [
            f"{_LETTERS[speaker % len(_LETTERS)] if speaker >= 0 else '?'}: {utterance.text}"
            for utterance, speaker in zip(conversation, conversation.speaker_indices(), strict=True)
        ]

    def passages(self, conversation: Conversation) -> list[Passage]:
        """The passages whose scored turns are the conversation's, in order."""
        turns = self.turns(conversation)
        if not self.context:
            return [Passage((turn,), 1) for turn in turns]
        first = 2 * self.context  # nothing comes before the first passage: it is as long as the others
        passages = [Passage(tuple(turns[:first]), len(turns[:first]))]
        for start in range(first, len(turns), self.context):
            stretch = turns[start : start + self.context]
            passages.append(Passage(tuple(turns[start - self.context : start] + stretch), len(stretch)))
        return passages

    def training_passages(self, conversation: Conversation, shifted: bool) -> list[tuple[int, Passage]]:
        """Passages without overlap, every turn scored.

        Args:
            conversation: what is cut.
            shifted: whether the first passage of a conversation that has to be cut is half as long, so that all the
                others begin elsewhere.

        Returns:
            The index of its first turn, and the passage.
        """
        turns = self.turns(conversation)
        longest = 2 * self.context or 1
        first = max(1, longest // 2) if shifted and len(turns) > longest else longest
        starts = [0, *range(first, len(turns), longest)]
        ends = [*starts[1:], len(turns)]
        return [(a, Passage(tuple(turns[a:b]), b - a)) for a, b in zip(starts, ends, strict=True) if b > a]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reading:
        """From what `to_dict` gave.

        Raises:
            InputError: a field is unknown or of the wrong kind.
        """
        if not isinstance(values, Mapping) or set(values) - {"context", "speakers"}:
            raise InputError(f"a reading has context and speakers, found {values!r:.60}")
        return cls(**values)
