"""Karaoke: a cue for each word, all of the same text, in which the word that is being said is marked.

So do openai-whisper and whisperX with `--highlight_words`, and stable-ts. What is said once becomes once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from broadmamba.media.transcripts.rolling import AT_ONCE, Cue

_MARK = re.compile(
    r"<(?P<tag>[a-z]++)[^<>/]*+>[^<>]*</(?P=tag)>|\{\\[^{}]*\}[^{}]+\{\\[^{}]*\}",
    re.IGNORECASE,
)
_LEAST = 2  # times that a mark moves on
_SHARE = 0.25  # of the cues that go on with the one before, in a file that marks words


def without_highlights(cues: Sequence[Cue], plain: Callable[[str], str]) -> Sequence[Cue]:
    """The cues, those of one text in which a mark moves forwards as one, if the file marks words; else as they are.

    Args:
        cues: in the order of the file.
        plain: a text as it is read, without marks.
    """
    marked = [_marked("\n".join(cue.payload), plain) for cue in cues]
    if len(marked) - marked.count(None) < _LEAST:
        return cues
    shown = [" ".join(plain("\n".join(cue.payload)).split()) for cue in cues]
    joins = [False]
    place = marked[0]
    moved = 0
    for (above, cue), (before, text), mark in zip(pairwise(cues), pairwise(shown), marked[1:], strict=True):
        near = above.start <= cue.start <= above.end + AT_ONCE
        goes_on = near and before == text != "" and place is not None and (mark is None or mark > place)
        joins.append(goes_on)
        moved += goes_on and mark is not None
        place = mark if mark is not None or not goes_on else place
    if moved < _LEAST or moved < _SHARE * len(cues):
        return cues
    said: list[Cue] = []
    for cue, joined in zip(cues, joins, strict=True):
        if joined:
            said[-1] = replace(said[-1], end=max(said[-1].end, cue.end))
        else:
            said.append(cue)
    return said


def _marked(payload: str, plain: Callable[[str], str]) -> int | None:
    """How many characters stand before the one marked part of a text; None where it has none, or is marked whole."""
    found = list(_MARK.finditer(payload))
    if len(found) != 1:
        return None
    before, after = plain(payload[: found[0].start()]), plain(payload[found[0].end() :])
    return len(before) if before.strip() or after.strip() else None
