"""Tiers, as Praat and ELAN have them: which hold utterances, and whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from broadmamba.errors import InputError
from broadmamba.media.transcripts.rows import Row, Source, listed
from broadmamba.media.transcripts.silence import is_silence
from broadmamba.media.transcripts.tier_names import (
    LABELS,
    NOTES,
    REFERENCES,
    SOUNDS,
    STRUCTURE,
    UNSURE,
    UTTERANCES,
    WORDS,
    Named,
    are_references,
    kind_of_type,
    read_name,
)
from broadmamba.media.transcripts.words import Word, group_words, with_speakers

EMOTION = "-emotion"
"""What is added to a tier's name for the tier below it that holds the emotions of its utterances."""

PROBABILITY = "-probability"
"""What is added to a tier's name for the tier that holds how probable these emotions are."""

UNNAMED = "utterances"
"""Name of the tier of a speaker whom nobody knows."""

_ABOUT = (EMOTION, PROBABILITY)
_CHOOSE = "say with --tiers which hold speech"


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch of a tier.

    Attributes:
        place: where in the file, such as `line 3`.
        text: the label, without white space around it.
        start: seconds, or None where it is not aligned.
        end: seconds, or None where it is not aligned.
        order: seconds; what spans without a start are sorted by.
        unit: number of the annotation of the topmost tier that it belongs to, where tiers depend on others.
    """

    place: str
    text: str
    start: float | None
    end: float | None
    order: float
    unit: int = 0


@dataclass(slots=True)
class Tier:
    """A row of annotations.

    Attributes:
        name: as the file has it.
        speaker: of the tier, where the file says more than its name.
        spans: in the order of the file.
        points: whether they are moments rather than stretches.
        pauses: whether a span without text is a pause, as in Praat, rather than an utterance without words.
        type: name of the kind of tier, where the file has kinds.
        parent: number of the tier that it depends on, if it does.
    """

    name: str
    speaker: str | None = None
    spans: list[Span] = field(default_factory=list)
    points: bool = False
    pauses: bool = False
    type: str = ""
    parent: int | None = None


def tier_rows(source: Source, tiers: Sequence[Tier]) -> list[Row]:
    """Utterances of all speakers' tiers, in the order in which they begin.

    A tier's speaker is said by the file or by its name (nobody known for names such as `utterances`). Which tiers
    count is said by `source.tiers`, else found by their names (`tier_names.read_name`), their types, and what stands
    in them:

    - A tier with the name of its speaker is that person's, whatever else the name says.
    - `X-emotion` and `X-probability`, where there is a tier `X`, are about X's utterances and passed over. They only
      tell of a span of `X` without words that it is an utterance all the same.
    - Tiers that depend on others count only where the topmost one holds no speech: nothing but references such as
      `STORY_001`, no text, or one text throughout. Their utterances have the time of what they belong to. One whose
      name does not tell must be the only one, and hold sentences.
    - `words`, `Anna - words` and the like hold words. They count only if there are no utterances of this speaker,
      and become utterances at pauses (`words.group_words`), or as the topmost tier says.
    - `phones`, `gesture`, `translation`, `notes`, `ref` and the like never count; `labels` and tiers of points, only
      if there is nothing better.

    Silence (`silence.is_silence`) is no utterance.

    Raises:
        InputError: no tier plainly holds speech, several hold what one speaker says, or a tier that is asked for is
            not there; the message names those there are.
    """
    voices = _with_speakers(list(_voices(tiers)))
    speech = [_as_words(voice) for voice in (_chosen(source, voices) if source.tiers else _speech(source, voices))]
    utterances = [voice for voice in speech if voice.kind != WORDS]
    words = [voice for voice in speech if voice.kind == WORDS]
    _check_order(source, words)
    found = [
        (span.order, Row(span.place, span.text, voice.speaker, span.start, span.end))
        for voice in utterances
        for span in voice.spans
    ]
    found.extend((span.order, row) for voice in words if voice.tier.parent is not None for span, row in _joined(voice))
    rows = group_words(_words(source, [voice for voice in words if voice.tier.parent is None]))
    found.extend((row.start or 0.0, row) for row in rows)
    return [row for _, row in sorted(found, key=lambda entry: entry[0])]


class _Voice(NamedTuple):
    """A tier, what it holds, whose it is by its name, and its spans that are not silent.

    `named`: its name says what it holds, `exact`: and nothing else; `about`: it is about the utterances of another;
    `labelled`: another is about its utterances.
    """

    number: int
    tier: Tier
    kind: str | None
    speaker: str | None
    spans: list[Span]
    named: bool
    exact: bool
    about: bool
    labelled: bool

    @property
    def texts(self) -> list[str]:
        return [span.text for span in self.spans if span.text]


def _voices(tiers: Sequence[Tier]) -> Iterator[_Voice]:
    about = _about([tier.name for tier in tiers])
    below: dict[int, list[Tier]] = {}
    for index, base in about.items():
        below.setdefault(base, []).append(tiers[index])
    for index, tier in enumerate(tiers):
        felt = {(span.start, span.end) for other in below.get(index, ()) for span in other.spans if span.text}
        spans = [
            span
            for span in tier.spans
            if not is_silence(span.text) or not (span.text or tier.pauses) or (span.start, span.end) in felt
        ]
        name, named, labelled = tier.name.strip(), read_name(tier.name), index in below
        if (labelled and (named.speaker, named.kind) != (None, UTTERANCES)) or tier.speaker == name:
            named = Named(name, None)
        kind = UTTERANCES if labelled else _kind(tier, named.kind, [span.text for span in spans if span.text])
        speaker = name if named.kind in (REFERENCES, UNSURE) and kind is None else named.speaker
        known = named.kind is not None
        yield _Voice(index, tier, kind, speaker, spans, known, named.exact, index in about, labelled)


def _with_speakers(voices: Sequence[_Voice]) -> list[_Voice]:
    """The voices with whom the file names for a tier or one that it depends on, else whom their names do."""
    below = _below(voices)
    speakers: dict[int, str | None] = {}
    waiting: list[tuple[_Voice, str | None, str | None]] = [(top, None, None) for top in below.get(None, ())]
    while waiting:
        voice, participant, named = waiting.pop()
        participant = voice.tier.speaker or participant
        if voice.named or voice.tier.parent is None:
            named = voice.speaker or named
        speakers[voice.number] = participant or named or voice.speaker
        waiting.extend((child, participant, named) for child in below.get(voice.number, ()))
    return [voice._replace(speaker=speakers[voice.number]) for voice in voices]


def _below(voices: Iterable[_Voice]) -> dict[int | None, list[_Voice]]:
    """Those that depend on each, and under None those that depend on none."""
    below: dict[int | None, list[_Voice]] = {}
    for voice in voices:
        below.setdefault(voice.tier.parent, []).append(voice)
    return below


def _kind(tier: Tier, named: str | None, texts: Sequence[str]) -> str | None:
    """What a tier holds, by its name, its type and its texts."""
    kind = named or kind_of_type(tier.type)
    sentences = _are_sentences(texts)
    if kind == WORDS and sentences:
        kind = UTTERANCES  # whatever it is called
    if kind == UNSURE:
        kind = None if sentences else NOTES
    if kind == REFERENCES and 2 * sum(any(map(str.isdigit, text)) for text in texts) < len(texts):
        kind = None  # `Ref` may be a referee
    if kind in (UTTERANCES, WORDS, None) and are_references(texts, words=kind == WORDS):
        return REFERENCES
    return LABELS if tier.points and kind in (UTTERANCES, WORDS, None) else kind


def _as_words(voice: _Voice) -> _Voice:
    """The voice; one whose annotations are parts of those above, without times of their own, holds words."""
    places = {(span.unit, span.start, span.end) for span in voice.spans}
    divides = voice.tier.parent is not None and len(places) < len(voice.spans)
    return voice._replace(kind=WORDS) if divides and not _are_sentences(voice.texts) else voice


def _are_sentences(texts: Sequence[str]) -> bool:
    return 2 * sum(" " in text for text in texts) > len(texts)


def _about(names: Sequence[str]) -> dict[int, int]:
    """Which tiers are about which: below it, as our writers put them, else anywhere."""
    found: dict[int, int] = {}
    taken: set[tuple[int, str]] = set()
    base = 0
    for index in range(1, len(names)):
        base = index - 1 if index - 1 not in found else base
        suffix = names[index].removeprefix(names[base])
        if suffix in _ABOUT and names[index] == names[base] + suffix and (base, suffix) not in taken:
            found[index] = base
            taken.add((base, suffix))
    bases = set(found.values())
    places = {name: index for index, name in reversed(list(enumerate(names)))}
    for suffix in _ABOUT:
        for index, name in enumerate(names):
            place = places.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
            if place is None or place in found or index in found or index in bases or (place, suffix) in taken:
                continue
            found[index] = place
            bases.add(place)
            taken.add((place, suffix))
    return found


def _chosen(source: Source, voices: Sequence[_Voice]) -> list[_Voice]:
    """The tiers that were asked for; a name may hold a comma, or commas may part several."""
    names = {voice.tier.name.strip() for voice in voices}
    wanted: set[str] = set()
    for given in source.tiers:
        for name in [given] if given.strip() in names else given.split(","):
            if name.strip() not in names:
                there = listed(voice.tier.name for voice in voices) or "none"
                raise InputError(f"{source.path}: expected a tier {name.strip()[:40]!r}, found {there}")
            wanted.add(name.strip())
    return [
        voice._replace(kind=WORDS if voice.kind == WORDS else UTTERANCES)
        for voice in voices
        if voice.tier.name.strip() in wanted
    ]


def _speech(source: Source, voices: Sequence[_Voice]) -> list[_Voice]:
    """The tiers that hold speech."""
    below = _below(voice for voice in voices if not voice.about)
    found = [voice for top in below.get(None, ()) for voice in _of_tree(source, top, below) if voice.spans]
    utterances = [voice for voice in found if voice.kind in (UTTERANCES, None)]
    _refuse_doubles(source, utterances)
    _refuse_codes(source, utterances)
    known = {voice.speaker for voice in utterances}
    words = [
        voice
        for voice in found
        if voice.kind == WORDS and not (known if voice.speaker is None else known & {voice.speaker, None})
    ]
    labels = [voice for voice in found if voice.kind == LABELS]
    if not (utterances or words or labels) and any(voice.spans for voice in voices):
        names = listed(voice.tier.name for voice in voices)
        raise InputError(f"{source.path}: expected a tier of utterances or words, found only {names}; {_CHOOSE}")
    return utterances + words if utterances or words else labels


def _of_tree(source: Source, top: _Voice, below: Mapping[int | None, Sequence[_Voice]]) -> list[_Voice]:
    """The tiers that hold speech among a topmost one and those that depend on it."""
    levels = [[top]]
    while levels[-1]:
        levels.append([child for voice in levels[-1] for child in below.get(voice.number, ())])
    dependent = [voice for level in levels[1:] for voice in level if voice.texts]
    for kind in _kinds_below(top):
        by_speaker: dict[str | None, list[_Voice]] = {}
        for voice in dependent:
            if voice.kind == kind:
                by_speaker.setdefault(voice.speaker, []).append(voice)
        if kind is None and any(not _are_sentences(voice.texts) for voices in by_speaker.values() for voice in voices):
            _refuse_several(source, [voice for voices in by_speaker.values() for voice in voices])
        if by_speaker:
            return [_one(source, candidates) for candidates in by_speaker.values()]
    return [top]


def _kinds_below(top: _Voice) -> tuple[str | None, ...]:
    """What may hold speech below a topmost tier that holds none itself."""
    if top.kind in (NOTES, SOUNDS):
        return UTTERANCES, WORDS
    if top.kind in (REFERENCES, STRUCTURE) or not (top.labelled or any(span.text for span in top.tier.spans)):
        return UTTERANCES, WORDS, None
    only_divides = len(top.texts) > 1 and len(set(top.texts)) == 1  # the same text throughout
    return (UTTERANCES,) if only_divides and not top.labelled else ()


def _one(source: Source, candidates: Sequence[_Voice]) -> _Voice:
    """The tier that holds what a speaker says."""
    exact = [voice for voice in candidates if voice.exact] or candidates
    if len(exact) > 1:
        _refuse_several(source, exact)
    return exact[0]


def _refuse_doubles(source: Source, voices: Sequence[_Voice]) -> None:
    """Two tiers with what one speaker says, as their names tell, hold it twice if they are divided alike."""
    by_speaker: dict[str | None, list[_Voice]] = {}
    for voice in voices:
        by_speaker.setdefault(voice.speaker, []).append(voice)
    for own in by_speaker.values():
        counts = Counter(span for voice in own for span in {(span.start, span.end) for span in voice.spans})
        doubled = [v for v in own if 2 * sum(counts[s.start, s.end] > 1 for s in v.spans) > len(v.spans)]
        if len(doubled) > 1 and any(voice.named for voice in doubled):
            _refuse_several(source, doubled)


def _refuse_codes(source: Source, voices: Sequence[_Voice]) -> None:
    """Beside a tier called `text` or the like, one of unknown kind with single small words may hold codes."""
    codes = [v for v in voices if v.kind is None and not v.labelled and v.tier.speaker is None and _are_codes(v.texts)]
    if codes and any(voice.kind == UTTERANCES and voice.named for voice in voices):
        names = listed(voice.tier.name for voice in voices)
        found = listed(voice.tier.name for voice in codes)
        raise InputError(
            f"{source.path}: expected tiers of speech, found {names}, of which {found} may hold codes; {_CHOOSE}"
        )


def _are_codes(texts: Sequence[str]) -> bool:
    return bool(texts) and all(text.islower() and text.isalpha() for text in texts)


def _refuse_several(source: Source, voices: Sequence[_Voice]) -> None:
    names = listed(voice.tier.name for voice in voices)
    who = f"of {voices[0].speaker[:40]}" if voices[0].speaker else "of one speaker"
    raise InputError(
        f"{source.path}: expected one tier that plainly holds the utterances {who}, found {names}; {_CHOOSE}"
    )


def _joined(voice: _Voice) -> Iterator[tuple[Span, Row]]:
    """An utterance for all words that belong to one annotation of the topmost tier."""
    units: dict[int, list[Span]] = {}
    for span in voice.spans:
        if span.text:
            units.setdefault(span.unit, []).append(span)
    for said in units.values():
        start = next((word.start for word in said if word.start is not None), None)
        end = max((word.end for word in said if word.end is not None), default=None)
        yield said[0], Row(said[0].place, " ".join(word.text for word in said), voice.speaker, start, end)


def _check_order(source: Source, voices: Iterable[_Voice]) -> None:
    for voice in voices:
        for span in voice.spans:
            if span.start is not None and span.end is not None and span.start > span.end:
                raise InputError(
                    f"{source.path}, {span.place}: expected an end at {span.start} s or later, found {span.end} s"
                )


def _words(source: Source, voices: Iterable[_Voice]) -> list[Word]:
    words = [
        Word(span.place, span.text, span.start, span.end, voice.speaker)
        for voice in voices
        for span in voice.spans
        if not is_silence(span.text) and span.start is not None and span.end is not None
    ]
    return with_speakers(source, words)
