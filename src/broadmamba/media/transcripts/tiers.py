"""Tiers, as Praat and ELAN have them: which hold utterances, and whose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from broadmamba.errors import InputError
from broadmamba.media.transcripts.rows import Row, Source, listed
from broadmamba.media.transcripts.silence import is_silence
from broadmamba.media.transcripts.words import Word, group_words, with_speakers

EMOTION = "-emotion"
"""What is added to a tier's name for the tier below it that holds the emotions of its utterances."""

UNNAMED = "utterances"
"""Name of the tier of a speaker whom nobody knows."""

_UNNAMED = frozenset(
    ["", "default", "segments", "sentence", "sentences", "speech", "text", "transcript", "transcription", UNNAMED]
)  # fmt: skip
_KINDS = {
    "words": ("word", "words", "wrd", "token", "tokens", "ort-mau"),
    "sounds": ("phone", "phones", "phoneme", "phonemes", "syllable", "syllables", "mau", "kan-mau", "kan"),
    "notes": (
        "emotion", "emotions", "label", "labels", "note", "notes", "comment", "comments", "gesture", "gestures",
        "gaze", "gloss", "glosses", "translation", "translations", "tones", "breaks", "misc",
    ),
}  # fmt: skip
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names}
_SEPARATORS = ("-", "_", ":")


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch of a tier.

    Attributes:
        place: where in the file, such as `line 3`.
        text: the label, without white space around it.
        start: seconds, or None where it is not aligned.
        end: seconds, or None where it is not aligned.
        order: seconds; what spans without a start are sorted by.
    """

    place: str
    text: str
    start: float | None
    end: float | None
    order: float


@dataclass(frozen=True, slots=True)
class Tier:
    """A row of annotations.

    Attributes:
        name: as the file has it.
        speaker: of the tier, where the file says more than its name.
        spans: in the order of the file.
        points: whether they are moments rather than stretches.
        pauses: whether a span without text is a pause, as in Praat, rather than an utterance without words.
    """

    name: str
    speaker: str | None = None
    spans: list[Span] = field(default_factory=list)
    points: bool = False
    pauses: bool = False


def tier_rows(source: Source, tiers: Sequence[Tier]) -> list[Row]:
    """Utterances of all speakers' tiers, in the order in which they begin.

    A tier's speaker is its name (nobody known for names such as `utterances`). Which tiers count is decided by
    their names:

    - A tier with the name of its speaker is that person's, whatever else the name says.
    - `X-emotion`, where there is a tier `X`, holds X's emotions and is passed over. It only tells of a span of `X`
      without text that it is an utterance all the same.
    - `words`, `Anna - words` and the like hold words. They count only if there are no utterances of this speaker,
      and become utterances at pauses (`words.group_words`).
    - `phones`, `syllables` and the like never count.
    - `notes`, `gesture`, `translation` and the like, and tiers of points, count only if there is nothing better.

    Raises:
        InputError: there are only phones or syllables.
    """
    voices = list(_voices(tiers))
    utterances = [voice for voice in voices if voice.kind == "utterances"]
    known = {voice.speaker for voice in utterances}
    words = [
        voice
        for voice in voices
        if voice.kind == "words" and not (known if voice.speaker is None else known & {voice.speaker, None})
    ]
    notes = [voice for voice in voices if voice.kind == "notes"]
    if voices and not (utterances or words or notes):
        names = listed([voice.tier.name for voice in voices])
        raise InputError(f"{source.path}: expected a tier of utterances or words, found only {names}")
    found = [
        (span.order, Row(span.place, span.text, voice.speaker, span.start, span.end))
        for voice in utterances or ([] if words else notes)
        for span in voice.spans
    ]
    found.extend((row.start or 0.0, row) for row in group_words(_words(source, words)))
    return [row for _, row in sorted(found, key=lambda entry: entry[0])]


class _Voice(NamedTuple):
    """A tier, what it holds, whose it is, and its spans without pauses."""

    tier: Tier
    kind: str
    speaker: str | None
    spans: list[Span]


def _voices(tiers: Sequence[Tier]) -> Iterator[_Voice]:
    emotions = _emotion_tiers([tier.name for tier in tiers])
    labelled = {base: index for index, base in emotions.items()}
    for index, tier in enumerate(tiers):
        spans = tier.spans
        if tier.pauses:
            felt = tiers[labelled[index]].spans if index in labelled else []
            wordless = {(span.start, span.end) for span in felt if span.text}
            spans = [span for span in spans if span.text or (span.start, span.end) in wordless]
        if index in emotions or not spans:
            continue
        persons = index in labelled or tier.speaker == tier.name.strip()
        name, kind = (tier.name.strip(), "utterances") if persons else _name_and_kind(tier.name)
        if tier.points and kind == "utterances":
            kind = "notes"
        yield _Voice(tier, kind, tier.speaker or (None if name.lower() in _UNNAMED else name), spans)


def _emotion_tiers(names: Sequence[str]) -> dict[int, int]:
    """Which tiers hold the emotions of which: directly below it as our writers put them, else anywhere."""
    found: dict[int, int] = {}
    for index, (above, name) in enumerate(pairwise(names), start=1):
        if index - 1 not in found and name == above + EMOTION:
            found[index] = index - 1
    bases = set(found.values())
    places = {name: index for index, name in reversed(list(enumerate(names)))}
    for index, name in enumerate(names):
        base = places.get(name.removesuffix(EMOTION)) if name.endswith(EMOTION) else None
        if base is not None and index not in found and index not in bases and base not in bases:
            found[index] = base
            bases.add(base)
    return found


def _name_and_kind(name: str) -> tuple[str, str]:
    """The speaker's name, which may be empty, and what the tier holds: `Anna - words` is Anna's words."""
    name = name.strip()
    if name.lower() in _KIND_OF:
        return "", _KIND_OF[name.lower()]
    for ending, kind in _KIND_OF.items():
        rest = name[: -len(ending)].rstrip()
        if name[-len(ending) :].lower() == ending and rest.endswith(_SEPARATORS):
            return rest[:-1].rstrip(), kind
    return name, "utterances"


def _words(source: Source, voices: Sequence[_Voice]) -> list[Word]:
    words = [
        Word(span.place, span.text, span.start, span.end, voice.speaker)
        for voice in voices
        for span in voice.spans
        if not is_silence(span.text) and span.start is not None and span.end is not None
    ]
    return with_speakers(source, words)
