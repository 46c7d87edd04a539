"""From words and turns to a conversation: one utterance is what one speaker says in one go."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.errors import InputError
from broadmamba.media.recording import Recording
from broadmamba.media.speech import SpeechBlock, Word
from broadmamba.media.turns import Turn

_PAUSE = 1.0  # seconds of silence that end an utterance
_LONGEST = 20.0  # seconds, after which an utterance is divided where its middle allows it best
_NEAR = 0.8  # seconds: how far off the moment may be at which the voice is found to change
_BREATH = 0.25  # seconds of silence that may part two speakers
_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！", "۔", "؟", "।")


def spoken_conversation(
    recording: Recording, blocks: Iterable[SpeechBlock], turns: Sequence[Turn] = ()
) -> Conversation:
    """Put what was heard together as utterances.

    An utterance ends where the speaker changes and where nobody speaks for a second; one of more than 20 s is
    divided, at the end of a sentence if there is one.

    Args:
        recording: its file name without suffix is the conversation's id, and begins each utterance's.
        blocks: of the whole recording.
        turns: who speaks when, from `find_turns`; without them, no utterance has a speaker.

    Raises:
        InputError: nobody says a word.
    """
    words = [word for block in blocks for word in block.words]
    if not words:
        raise InputError(f"{recording.path}: expected speech, found no word in it")
    stem = recording.path.stem.encode("utf-8", "replace").decode()
    speakers = _snap_to_pauses(words, _speakers(words, turns))
    utterances = [
        Utterance(
            id=f"{stem}_{number}",
            text=" ".join("".join(words[i].text for i in range(first, last)).split()),
            speaker=speakers[first],
            start=words[first].start,
            end=max(words[i].end for i in range(first, last)),
        )
        for number, (first, last) in enumerate(_stretches(words, speakers), start=1)
    ]
    return Conversation(stem, tuple(utterances))


def _speakers(words: Sequence[Word], turns: Sequence[Turn]) -> list[str | None]:
    """Of each word the speaker of the turn that it is in, or of the nearest one."""
    if not turns:
        return [None] * len(words)
    ordered = sorted(turns, key=lambda turn: turn.start)
    starts = [turn.start for turn in ordered]

    def nearest(word: Word) -> str:
        middle = (word.start + word.end) / 2
        after = bisect_right(starts, middle)
        beside = ordered[max(0, after - 1) : after + 1]
        return min(beside, key=lambda turn: max(turn.start - middle, middle - turn.end, 0)).speaker

    return [nearest(word) for word in words]


def _snap_to_pauses(words: Sequence[Word], speakers: list[str | None]) -> list[str | None]:
    """Move each change of speaker to a pause or the end of a sentence nearby: voices tell it to half a second only."""
    changes = [i for i in range(1, len(words)) if speakers[i] != speakers[i - 1]]
    snapped = list(speakers)
    for number, change in enumerate(changes):
        least = changes[number - 1] if number else 0
        most = changes[number + 1] if number + 1 < len(changes) else len(words)
        close = [i for i in range(least + 1, most) if abs(words[i].start - words[change].start) <= _NEAR]
        parting = [i for i in close if _parting(words, i)]
        if parting:
            best = max(parting, key=lambda i: (_parting(words, i), _gap(words, i), -abs(i - change)))
            moved = range(min(best, change), max(best, change))
            for i in moved:
                snapped[i] = speakers[change - 1] if best > change else speakers[change]
    return snapped


def _stretches(words: Sequence[Word], speakers: Sequence[str | None]) -> Iterator[tuple[int, int]]:
    """First word and the one after the last of each utterance."""
    ends = [i for i in range(1, len(words)) if speakers[i] != speakers[i - 1] or _gap(words, i) >= _PAUSE]
    for first, last in pairwise([0, *ends, len(words)]):
        yield from _divided(words, first, last)


def _divided(words: Sequence[Word], first: int, last: int) -> Iterator[tuple[int, int]]:
    """A stretch that is too long as shorter ones, cut near its middle: after a sentence, else at its longest pause."""
    start, end = words[first].start, words[last - 1].end
    quarter = (end - start) / 4
    inner = [i for i in range(first + 1, last) if start + quarter <= words[i].start <= end - quarter]
    if end - start <= _LONGEST or not inner:
        yield first, last
        return
    cut = max(inner, key=lambda i: (_ends_sentence(words[i - 1]), _gap(words, i)))
    yield from _divided(words, first, cut)
    yield from _divided(words, cut, last)


def _gap(words: Sequence[Word], i: int) -> float:
    """Silence before a word, in seconds."""
    return words[i].start - words[i - 1].end


def _parting(words: Sequence[Word], i: int) -> int:
    """How many signs there are before a word that somebody has finished: a sentence's end, a pause."""
    return _ends_sentence(words[i - 1]) + (_gap(words, i) >= _BREATH)


def _ends_sentence(word: Word) -> bool:
    return word.text.rstrip("\"'”’)»] ").endswith(_SENTENCE_ENDS)
