"""Plain text: a line an utterance, `Name: text` where the speaker is known."""

from __future__ import annotations

from collections.abc import Iterator

from broadmamba.media.transcripts.names import split_speaker
from broadmamba.media.transcripts.rows import Row, Source


def plain_rows(source: Source) -> Iterator[Row]:
    """Utterances of a plain text.

    Where any line names a speaker, a line without a name directly below a turn goes on with it (a wrapped
    paragraph, or a name on a line of its own); after an empty line it is a turn of nobody known. In a text
    without any name, each line is an utterance. What counts as a name is said in `names.split_speaker`.
    """
    turns = [(number, *split_speaker(line)) for number, line in enumerate(source.text.split("\n"), start=1)]
    named = any(speaker is not None for _, speaker, _ in turns)
    opened: tuple[int, str | None] | None = None
    texts: list[str] = []
    for number, speaker, text in turns:
        if named and opened and speaker is None and text:
            texts.append(text)
            continue
        if opened:
            yield _row(opened, texts)
        opened = (number, speaker) if speaker is not None or text else None
        texts = [text]
    if opened:
        yield _row(opened, texts)


def _row(opened: tuple[int, str | None], texts: list[str]) -> Row:
    number, speaker = opened
    return Row(f"line {number}", " ".join(filter(None, texts)), speaker)
