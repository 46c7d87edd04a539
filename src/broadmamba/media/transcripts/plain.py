"""Plain text: a line an utterance, `Name: text` where the speaker is known."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from broadmamba.media.transcripts.names import Names
from broadmamba.media.transcripts.rows import Row, Source


def plain_rows(source: Source) -> Iterator[Row]:
    """Utterances of a plain text.

    Where any line names a speaker, a line without a name directly below a turn goes on with it (a wrapped
    paragraph, or a name on a line of its own); after an empty line it is a turn of nobody known. In a text
    without any name, each line is an utterance. What counts as a name is said in `names.Names`.
    """
    lines = source.text.split("\n")
    names = max(Names(lines), Names(_openings(lines)), key=lambda names: names.share)
    turns = [(number, names.split(line), line.strip()) for number, line in enumerate(lines, start=1)]
    named = any(said is not None for _, said, _ in turns)
    opened: tuple[int, str | None] | None = None
    texts: list[str] = []
    for number, said, line in turns:
        if named and opened and said is None and line:
            texts.append(line)
            continue
        if opened:
            yield _row(opened, texts)
        opened = (number, said.speaker if said else None) if said or line else None
        texts = [said.text if said else line]
    if opened:
        yield _row(opened, texts)


def _openings(lines: list[str]) -> list[str]:
    """The first line of each paragraph: in a text whose lines are wrapped, turns open there."""
    return [line for above, line in pairwise(["", *lines]) if line.strip() and not above.strip()]


def _row(opened: tuple[int, str | None], texts: list[str]) -> Row:
    number, speaker = opened
    return Row(f"line {number}", " ".join(filter(None, texts)), speaker)
