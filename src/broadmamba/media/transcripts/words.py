"""Words with times become utterances: at pauses, and where the speaker changes; and how words are joined."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from broadmamba.errors import InputError
from broadmamba.media.transcripts.rows import Row, Source
from broadmamba.media.turns import speakers_of

PAUSE = 0.5
"""Silence of one speaker, in seconds, that ends an utterance if it is longer."""

_MOST_WORDS = 500_000
_WITHOUT_BLANKS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff00-\uffef\U00020000-\U0003ffff]"
)
_DECIMALS = 6  # of a second; a start and a duration that were added are off by less


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was spoken.

    Attributes:
        place: where in the file, such as `line 3`.
        text: without white space around it.
        start: seconds.
        end: seconds.
        speaker: None where nobody knows.
        before: what parts it from the word before, where the file says so; None leaves that to `join_words`.
    """

    place: str
    text: str
    start: float
    end: float
    speaker: str | None = None
    before: str | None = None


def join_words(words: Iterable[tuple[str, str | None]]) -> str:
    """The text of words, each with what parts it from the one before.

    None is a blank, but nothing between two characters of scripts that are written without blanks (Chinese, Japanese,
    Thai, Lao, Khmer and Burmese).
    """
    joined: list[str] = []
    last = ""
    for word, before in words:
        if joined:
            together = _WITHOUT_BLANKS.fullmatch(last) and _WITHOUT_BLANKS.match(word)
            joined.append(before if before is not None else "" if together else " ")
        joined.append(word)
        last = word[-1:] or last
    return "".join(joined).strip()


def with_speakers(source: Source, words: Sequence[Word]) -> list[Word]:
    """The words, those of nobody known with the speaker whom the source's turns give them.

    Raises:
        InputError: there are more than 500 000 words, which is days of talk.
    """
    if len(words) > _MOST_WORDS:
        raise InputError(f"{source.path}: expected at most {_MOST_WORDS} words, found {len(words)}")
    if not source.turns:
        return list(words)
    lacking = [index for index, word in enumerate(words) if word.speaker is None]
    found = speakers_of([(words[index].start, words[index].end) for index in lacking], source.turns)
    given = list(words)
    for index, speaker in zip(lacking, found, strict=True):
        given[index] = replace(words[index], speaker=speaker)
    return given


def group_words(words: Iterable[Word]) -> list[Row]:
    """Utterances in the order in which they begin.

    A word goes on with the last utterance of its speaker, unless the pause before it is longer than `PAUSE`
    or somebody else says a whole word in it. So a reply ends an utterance, and one that is spoken over it
    (as `uh-huh` often is) does not.
    """
    utterances: list[list[Word]] = []
    open_utterance: dict[str | None, list[Word]] = {}
    said = _Said()
    for word in sorted(words, key=lambda word: (word.start, word.end)):
        said.until(word.start)
        current = open_utterance.get(word.speaker)
        if current is None or _interrupted(current, word, said):
            current = open_utterance[word.speaker] = []
            utterances.append(current)
        current.append(word)
        said.begin(word)
    return [_row(utterance) for utterance in utterances]


def _interrupted(current: list[Word], word: Word, said: _Said) -> bool:
    end = current[-1].end
    return round(word.start - end, _DECIMALS) > PAUSE or said.latest_start_besides(word.speaker) >= end


def _row(words: list[Word]) -> Row:
    return Row(
        words[0].place,
        join_words((word.text, word.before) for word in words),
        words[0].speaker,
        words[0].start,
        max(word.end for word in words),
    )


class _Said:
    """Words that are over: when the latest began, of each of the two speakers who began one last."""

    def __init__(self) -> None:
        self._unfinished: list[tuple[float, int, float, str | None]] = []
        self._number = 0  # so that the heap never compares speakers
        self._latest: list[tuple[float, str | None]] = []

    def begin(self, word: Word) -> None:
        self._number += 1
        heapq.heappush(self._unfinished, (word.end, self._number, word.start, word.speaker))

    def until(self, time: float) -> None:
        """Move on to a time: words that end by then are over."""
        while self._unfinished and self._unfinished[0][0] <= time:
            _, _, start, speaker = heapq.heappop(self._unfinished)
            own = [start, *(began for began, name in self._latest if name == speaker)]
            others = [entry for entry in self._latest if entry[1] != speaker]
            self._latest = sorted([*others, (max(own), speaker)], key=lambda entry: -entry[0])[:2]

    def latest_start_besides(self, speaker: str | None) -> float:
        """When the latest word of anybody else began, minus infinity if there is none."""
        return max((began for began, name in self._latest if name != speaker), default=float("-inf"))
