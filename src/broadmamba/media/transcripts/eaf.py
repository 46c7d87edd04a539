"""ELAN's annotation format (EAF), which is XML."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn
from xml.parsers import expat

from broadmamba.errors import InputError
from broadmamba.media.transcripts.rows import Row, Source, check_seconds
from broadmamba.media.transcripts.tiers import Span, Tier, tier_rows

_ROOT = "ANNOTATION_DOCUMENT"
_LOOKED_AT = 4096  # characters in which the root must begin
_DEEPEST = 32  # elements inside each other; EAF needs seven
_LONGEST_TIME = 18  # digits


def is_eaf(source: Source) -> bool:
    """Whether a text begins as XML with ELAN's root element does."""
    content = source.text.lstrip()
    return content.startswith("<") and f"<{_ROOT}" in content[:_LOOKED_AT]


def eaf_rows(source: Source) -> list[Row]:
    """Utterances of an ELAN file, in the order in which they begin; which tiers hold them, says `tiers.tier_rows`.

    A speaker is the tier's participant, else what its name says. An annotation without text is an utterance all the
    same. An annotation that refers to another has the time of the aligned one that it stands below. Where a time slot
    is not aligned, that time is not known, and the annotation comes after the slots before it.

    Raises:
        InputError: it is not well-formed, has a document type or entities of its own (which EAF never needs and
            attacks do), is not ELAN's, a time is damaged, or a tier or annotation refers to none or in a circle; the
            message names the line.
    """
    return tier_rows(source, _Document(source).tiers())


@dataclass(slots=True)
class _Annotation:
    """An annotation with its two slots, or with the one that it refers to and the one before it below the same."""

    tier: int
    line: int
    id: str
    slots: tuple[str, str] | None = None
    refers: str | None = None
    previous: str | None = None
    value: list[str] = field(default_factory=list)


class _Document:
    """What expat tells about a file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._depth = 0
        self._aligned = 0.0
        self._slots: dict[str, tuple[float | None, float]] = {}  # time, and time of the last aligned slot
        self._tiers: list[Tier] = []
        self._parents: list[tuple[int, str | None]] = []  # of each tier the line, and the name of its parent
        self._annotations: list[_Annotation] = []
        self._in_tier = False
        self._in_annotation = False
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        try:
            self._parser.Parse(source.text, True)
        except expat.ExpatError as error:
            raise InputError(
                f"{source.where(error.lineno)}: expected well-formed XML, found {expat.ErrorString(error.code)}"
            ) from None

    def tiers(self) -> list[Tier]:
        """All tiers with their annotations, those that depend on others too."""
        tops = self._link_tiers()
        aligned, places = self._link_annotations()
        starts: dict[int, list[tuple[float, int]]] = {tier: [] for tier in tops}  # of the annotations of each top tier
        spans: list[list[tuple[float, int, Span]]] = [[] for _ in self._tiers]
        for number, annotation in enumerate(self._annotations):
            start, end, order = self._times(self._annotations[aligned[number]])
            if annotation.tier == tops[annotation.tier]:
                starts[annotation.tier].append((order, number))
            text = "".join(annotation.value).strip()
            span = Span(f"line {annotation.line}", text, start, end, order, number)
            spans[annotation.tier].append((order, places[number], span))
        for tops_starts in starts.values():
            tops_starts.sort()
        for index, found in enumerate(spans):
            if index == tops[index]:
                self._tiers[index].spans.extend(span for _, _, span in found)
                continue
            found.sort(key=lambda entry: entry[:2])
            above = starts[tops[index]]
            for order, _, span in found:
                own = aligned[span.unit]
                if self._annotations[own].tier == tops[index]:
                    unit = own
                else:  # it is within the time of one
                    unit = above[max(bisect_right(above, (order, len(self._annotations))) - 1, 0)][1] if above else own
                self._tiers[index].spans.append(replace(span, unit=unit))
        return self._tiers

    def _link_tiers(self) -> list[int]:
        """Give each tier its parent.

        Returns:
            Of each tier the topmost one that it stands below.
        """
        places = {tier.name: index for index, tier in reversed(list(enumerate(self._tiers)))}
        parents: dict[int, int] = {}
        for index, (line, name) in enumerate(self._parents):
            if name is None:
                continue
            if name not in places:
                self._refuse(line, "a known parent tier", name)
            parents[index] = places[name]
            self._tiers[index].parent = places[name]
        ends, circle = _ends(parents, len(self._tiers))
        if circle is not None:
            self._refuse(self._parents[circle][0], "a tier that does not depend on itself", self._tiers[circle].name)
        return [end for end, _ in ends]

    def _link_annotations(self) -> tuple[list[int], list[int]]:
        """The aligned annotation that each one stands below, and its place among those below the same."""
        numbers = {a.id: number for number, a in reversed(list(enumerate(self._annotations)))}
        found = []
        for name in ("refers", "previous"):
            links: dict[int, int] = {}
            for number, annotation in enumerate(self._annotations):
                other = annotation.refers if name == "refers" else annotation.previous
                if other is None:
                    continue
                if other not in numbers:
                    self._refuse(annotation.line, "a known annotation", other)
                links[number] = numbers[other]
            ends, circle = _ends(links, len(self._annotations))
            if circle is not None:
                line, identifier = self._annotations[circle].line, self._annotations[circle].id
                self._refuse(line, "an annotation that does not refer to itself", identifier)
            found.append(ends)
        return [end for end, _ in found[0]], [depth for _, depth in found[1]]

    def _times(self, annotation: _Annotation) -> tuple[float | None, float | None, float]:
        """Start, end, and what it is sorted by."""
        assert annotation.slots is not None
        for slot in annotation.slots:
            if slot not in self._slots:
                self._refuse(annotation.line, "a known time slot", slot)
        (start, order), (end, _) = (self._slots[slot] for slot in annotation.slots)
        return start, end, order

    def _refuse(self, line: int, expected: str, found: str) -> NoReturn:
        raise InputError(f"{self._source.where(line)}: expected {expected}, found {found[:40]!r}")

    @property
    def _where(self) -> str:
        return self._source.where(self._parser.CurrentLineNumber)

    def _refuse_doctype(self, *_: object) -> None:
        raise InputError(
            f"{self._where}: expected an ELAN file, found XML with a document type, which may hide an attack"
        )

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth == 1 and name != _ROOT:
            raise InputError(f"{self._where}: expected an ELAN file with the root {_ROOT}, found {name[:40]}")
        if self._depth > _DEEPEST:
            raise InputError(f"{self._where}: expected an ELAN file, found XML more than {_DEEPEST} elements deep")
        if name == "HEADER" and attributes.get("TIME_UNITS", "milliseconds") != "milliseconds":
            raise InputError(f"{self._where}: expected times in milliseconds, found {attributes['TIME_UNITS'][:40]!r}")
        if name == "TIME_SLOT":
            self._add_slot(attributes)
        elif name == "TIER":
            self._in_tier = True
            speaker = attributes.get("PARTICIPANT", "").strip() or None
            self._tiers.append(
                Tier(attributes.get("TIER_ID", ""), speaker, type=attributes.get("LINGUISTIC_TYPE_REF", ""))
            )
            self._parents.append((self._parser.CurrentLineNumber, attributes.get("PARENT_REF")))
        elif name in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION") and self._in_tier:
            self._add_annotation(name, attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == "TIER":
            self._in_tier = False
        elif name in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
            self._in_annotation = False

    def _text(self, text: str) -> None:
        if self._in_annotation:
            self._annotations[-1].value.append(text)

    def _attribute(self, attributes: Mapping[str, str], name: str) -> str:
        if name not in attributes:
            raise InputError(f"{self._where}: expected an attribute {name}, found none")
        return attributes[name]

    def _add_annotation(self, kind: str, attributes: Mapping[str, str]) -> None:
        line = self._parser.CurrentLineNumber
        annotation = _Annotation(len(self._tiers) - 1, line, attributes.get("ANNOTATION_ID", ""))
        if kind == "REF_ANNOTATION":
            annotation.refers = self._attribute(attributes, "ANNOTATION_REF")
            annotation.previous = attributes.get("PREVIOUS_ANNOTATION")
        else:
            annotation.slots = (
                self._attribute(attributes, "TIME_SLOT_REF1"),
                self._attribute(attributes, "TIME_SLOT_REF2"),
            )
        self._annotations.append(annotation)
        self._in_annotation = True

    def _add_slot(self, attributes: Mapping[str, str]) -> None:
        written = attributes.get("TIME_VALUE", "").strip()
        if not written:
            time = None
        elif written.isdecimal() and len(written) <= _LONGEST_TIME:
            time = check_seconds(int(written) / 1000, self._where)
            self._aligned = time
        else:
            raise InputError(
                f"{self._where}: expected a time in whole milliseconds, 0 or later, found {written[:40]!r}"
            )
        self._slots[self._attribute(attributes, "TIME_SLOT_ID")] = (time, self._aligned)


def _ends(links: Mapping[int, int], count: int) -> tuple[list[tuple[int, int]], int | None]:
    """Follow each of `count` things to the end of its chain.

    Returns:
        For each the last of its chain and how many steps that is away; and one that is in a circle, if there is one.
    """
    found: dict[int, tuple[int, int]] = {}
    for first in range(count):
        path: dict[int, None] = {}
        at = first
        while at in links and at not in found:
            if at in path:
                return [], at
            path[at] = None
            at = links[at]
        end, steps = found.get(at, (at, 0))
        found[at] = (end, steps)
        for number in reversed(path):
            steps += 1
            found[number] = (end, steps)
    return [found[number] for number in range(count)], None
