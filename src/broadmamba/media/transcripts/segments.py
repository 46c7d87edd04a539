"""Segments and words as speech to text gives them become utterances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import NamedTuple

from broadmamba.errors import InputError
from broadmamba.media.transcripts.names import Names
from broadmamba.media.transcripts.rows import Row, Source, with_ends
from broadmamba.media.transcripts.silence import is_silence
from broadmamba.media.transcripts.words import Word, group_words, join_words, with_speakers
from broadmamba.media.turns import Turn, speakers_of

_NEARLY_ALL = 0.8


class Spoken(NamedTuple):
    """A segment, a word, or a mark of punctuation.

    Attributes:
        place: where in the file, such as `segment 3`.
        text: without white space around it.
        start: seconds, or None.
        end: seconds, or None.
        speaker: None where nobody is known.
        before: as in `words.Word`.
        words: of a segment, those that are known.
    """

    place: str
    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    before: str | None = None
    words: Sequence[Spoken] = ()


def segment_rows(source: Source, segments: Iterable[Spoken]) -> list[Row]:
    """Utterances of segments.

    A segment whose words change speaker is split there; words without a speaker belong to the one before them. Where
    there are no speakers, the source's turns give them to the words. Where nobody has a speaker and nearly every
    text begins with a name and a colon, that is the speaker. A missing end is the next start (`rows.with_ends`).
    """
    parts = [part for segment in segments for part in _split(segment, source.turns)]
    if not any(part.speaker for part in parts):
        parts = _named(parts)
    return with_ends(Row(part.place, part.text, part.speaker, part.start, part.end) for part in parts)


def word_rows(source: Source, words: Sequence[Spoken]) -> list[Row]:
    """Utterances of words without segments (`words.group_words`).

    What has no times of its own, such as punctuation, belongs to the word before it, or else to the one after.

    Raises:
        InputError: no word has times, or one ends before it starts.
    """
    timed: list[Word] = []
    pending: list[tuple[str, str | None]] = []  # without times, before the first word that has some
    for word in words:
        if is_silence(word.text):
            continue
        if word.start is None:
            if timed:
                joined = join_words([(timed[-1].text, None), (word.text, word.before)])
                timed[-1] = replace(timed[-1], text=joined)
            else:
                pending.append((word.text, word.before))
            continue
        end = word.start if word.end is None else word.end
        if end < word.start:
            raise InputError(
                f"{source.path}, {word.place}: expected an end at {word.start} s or later, found {word.end} s"
            )
        text = join_words([*pending, (word.text, word.before)])
        timed.append(Word(word.place, text, word.start, end, word.speaker, word.before))
        pending = []
    if pending:
        raise InputError(f"{source.path}: expected words with times, found words without any")
    return group_words(with_speakers(source, timed))


def result_rows(source: Source, results: Sequence[Sequence[Spoken]]) -> list[Row]:
    """Utterances of words in results, each of a stretch of speech: it ends one, unless speakers say where one ends.

    Raises:
        InputError: as for `word_rows`.
    """
    words = [word for result in results for word in result]
    if source.turns or any(word.speaker for word in words):
        return word_rows(source, words)
    return [row for result in results for row in word_rows(source, result)]


def cut_at_next(captions: Sequence[Spoken]) -> list[Spoken]:
    """Captions that are still shown while the next one comes, each with an end no later than the next start."""
    cut = list(captions)
    for index, (caption, following) in enumerate(pairwise(captions)):
        if caption.start is None or caption.end is None or following.start is None:
            continue
        if caption.start <= following.start < caption.end:
            cut[index] = caption._replace(end=following.start)
    return cut


def with_own_blanks(words: Sequence[Spoken]) -> list[Spoken]:
    """Words whose texts carry the blanks between them, as Whisper's tokens do, each with what parts it from the last.

    If none of them carries any, the blanks are left to `words.join_words`.
    """
    carried = [word.text[:1].isspace() or above.text[-1:].isspace() for above, word in pairwise(words)]
    if not any(carried):
        return [word._replace(text=word.text.strip()) for word in words]
    parted = [None, *(" " if blank else "" for blank in carried)]
    return [
        word._replace(text=word.text.strip(), before=before)
        for word, before in zip(words, parted, strict=False)
        if word.text.strip()
    ]


def _named(parts: Sequence[Spoken]) -> list[Spoken]:
    names = Names(part.text for part in parts)
    if names.share < _NEARLY_ALL or len(parts) < 2:
        return list(parts)
    found = [names.split(part.text) for part in parts]
    return [
        part._replace(speaker=said.speaker, text=said.text) if said else part
        for part, said in zip(parts, found, strict=True)
    ]


def _split(whole: Spoken, turns: Iterable[Turn]) -> list[Spoken]:
    """The segment, or a part for each run of words of one speaker."""
    words = whole.words
    speakers = _word_speakers(whole, turns)
    runs = [[index for index, _ in run] for _, run in groupby(enumerate(speakers), key=lambda entry: entry[1])]
    if len(runs) < 2:
        return [whole._replace(speaker=next(iter(speakers), whole.speaker))]
    texts = _split_text(whole.text, words, [run[0] for run in runs])
    parts = []
    for run, text in zip(runs, texts, strict=True):
        own = [words[index] for index in run]
        start = min((word.start for word in own if word.start is not None), default=None)
        end = max((word.end for word in own if word.end is not None), default=None)
        parts.append(Spoken(whole.place, text, start, end, speakers[run[0]]))
    return parts


def _word_speakers(whole: Spoken, turns: Iterable[Turn]) -> list[str | None]:
    """A speaker for each word, or nothing where the words do not tell."""
    words = whole.words
    speakers = [word.speaker for word in words]
    if whole.speaker is None and not any(speakers):
        timed = [index for index, word in enumerate(words) if word.start is not None and word.end is not None]
        spans = [(words[index].start or 0.0, words[index].end or 0.0) for index in timed]
        for index, speaker in zip(timed, speakers_of(spans, turns), strict=True):
            speakers[index] = speaker
    current = next((speaker for speaker in speakers if speaker is not None), None)
    if current is None:
        return []
    filled: list[str | None] = []
    for speaker in speakers:
        current = speaker or current
        filled.append(current)
    return filled


def _split_text(text: str, words: Sequence[Spoken], firsts: Sequence[int]) -> list[str]:
    """The text cut before each of the words `firsts`; the words alone where they do not make up the text."""
    cuts: dict[int, int] = {}
    position = 0
    for index, word in enumerate(words):
        found = text.find(word.text, position)
        if found < 0:
            bounds = [*firsts, len(words)]
            return [join_words((word.text, word.before) for word in words[a:b]) for a, b in pairwise(bounds)]
        cuts[index] = found
        position = found + len(word.text)
    edges = [0, *(cuts[index] for index in firsts[1:]), len(text)]
    return [text[begin:end].strip() for begin, end in pairwise(edges)]
