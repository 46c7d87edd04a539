"""Rolled captions say every line several times, while it moves up the screen: what was said once becomes once.

So do the captions that YouTube makes and roll-up captions of television (two or three lines, or painted word by word),
also after programs have written them as SRT without their marks. Real repetitions in ordinary subtitles stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

AT_ONCE = 0.05
"""Seconds between two cues of a file that rolls; ordinary subtitles are further apart, or as near."""
_SOON = 1.0  # seconds in which a line that is shown again has not been said again, once a file is known to roll
_SHARE = 0.25  # of the cues with something new that go on from the one before, or of cues too short to be read
_MOST_ROWS = 15  # of a screen, as television has them
_MOST_WORDS = 100  # on it
_LEAST_WORDS = 3  # that two cues share in the middle of lines, to be the same words


@dataclass(frozen=True, slots=True)
class Cue:
    """A cue of subtitles.

    Attributes:
        line: index of the line with its times.
        start: seconds.
        end: seconds.
        payload: its lines as they are written.
    """

    line: int
    start: float
    end: float
    payload: tuple[str, ...]


class _Shared(NamedTuple):
    """What a cue has of the one before: lines, of which the last may be longer now, or words of its first line."""

    lines: int
    words: int = 0
    grows: bool = False


def unrolled(cues: Sequence[Cue], plain: Callable[[str], str]) -> Sequence[Cue]:
    """The cues, each line once and when it first came, if the file rolls; else the cues as they are.

    Args:
        cues: in the order of the file.
        plain: a line as it is read, without marks.
    """
    shown = [[text for line in cue.payload if (text := " ".join(plain(line).split()))] for cue in cues]
    if not _rolls(cues, shown):
        return cues
    said: list[Cue] = []
    before: list[str] = []
    end = 0.0
    for cue, texts in zip(cues, shown, strict=True):
        if not texts:
            continue
        anew = len(texts) == 1 and len(cue.payload) > 1 and not plain(cue.payload[0]).strip()
        shared = _Shared(0) if anew or not before or cue.start > end + _SOON else _shared(before, texts)
        before, end = texts, cue.end
        written = [line for line in cue.payload if plain(line).strip()]
        if shared.grows and said:
            grown = (*said[-1].payload[:-1], written[shared.lines - 1])
            said[-1] = replace(said[-1], payload=grown, end=max(said[-1].end, cue.end))
        new = written[shared.lines :]
        if shared.words:
            new = [" ".join(texts[0].split()[shared.words :]), *written[1:]]
        if any(map(str.strip, new)):
            said.append(replace(cue, payload=tuple(new)))
    return said


def _rolls(cues: Sequence[Cue], shown: Sequence[list[str]]) -> bool:
    going_on = others = flashes = 0
    seen = [(cue, texts) for cue, texts in zip(cues, shown, strict=True) if texts]
    for (above, before), (cue, texts) in pairwise(seen):
        shared = _shared(before, texts)
        near = above.start < cue.start <= above.end + AT_ONCE
        if shared.lines == len(texts) and not shared.grows:  # nothing new: the line again, or said again
            flashes += near and _is_flash(cue) and not _is_flash(above) and cue.start >= above.end - AT_ONCE
        elif near and (shared.words or (shared.lines and _says_much(" ".join(before[-shared.lines :])))):
            going_on += 1
        else:
            others += 1
    if flashes >= max(1, _SHARE * len(seen)):
        return True
    return going_on > 1 and going_on >= _SHARE * (going_on + others)


def _is_flash(cue: Cue) -> bool:
    """Whether a cue is too short to be read, as one is that shows a line again where it moves up."""
    return cue.end - cue.start <= AT_ONCE


def _shared(before: Sequence[str], texts: Sequence[str]) -> _Shared:
    """What a cue has of the one before at its start."""
    for lines in range(min(len(before), len(texts), _MOST_ROWS), 0, -1):
        *above, last = before[-lines:]
        if list(texts[: lines - 1]) == above and _begins(texts[lines - 1], last):
            return _Shared(lines, grows=texts[lines - 1] != last)
    old, new = " ".join(before).split()[-_MOST_WORDS:], texts[0].split()[:_MOST_WORDS]
    for words in range(min(len(old), len(new)), _LEAST_WORDS - 1, -1):
        if old[-words:] == new[:words]:
            return _Shared(0, words)
    return _Shared(0)


def _begins(text: str, beginning: str) -> bool:
    return text.startswith(beginning) and (text[len(beginning) :][:1] in ("", " ") or _says_much(beginning))


def _says_much(text: str) -> bool:
    """Whether a text is more than an exclamation, which people repeat."""
    return len(text.split()) > 1 or (not text.isascii() and len(text) > 3)
