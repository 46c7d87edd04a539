"""ELAN's annotation format (EAF), which is XML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from xml.parsers import expat

from broadmamba.errors import InputError
from broadmamba.media.transcripts.rows import Row, Source, check_seconds
from broadmamba.media.transcripts.tiers import Span, Tier, tier_rows

_ROOT = "ANNOTATION_DOCUMENT"
_LOOKED_AT = 4096  # characters in which the root must begin
_DEEPEST = 32  # elements inside each other; EAF needs seven
_LONGEST_TIME = 18  # digits


def is_eaf(content: str) -> bool:
    """Whether a text begins as XML with ELAN's root element does."""
    return content.startswith("<") and f"<{_ROOT}" in content[:_LOOKED_AT]


def eaf_rows(source: Source) -> list[Row]:
    """Utterances of an ELAN file, in the order in which they begin.

    They are the annotations of tiers that depend on no other; which of these count says `tiers.tier_rows`. The
    speaker is the tier's participant, else its name. An annotation without text is an utterance all the same.
    Where a time slot is not aligned, that time is not known, and the annotation comes after the slots before it.

    Raises:
        InputError: it is not well-formed, has a document type or entities of its own (which EAF never needs and
            attacks do), is not ELAN's, or a time is damaged; the message names the line.
    """
    return tier_rows(source, _Document(source).tiers())


class _Annotation(NamedTuple):
    tier: Tier
    line: int
    slots: tuple[str, str]
    value: list[str]


class _Document:
    """What expat tells about a file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._depth = 0
        self._aligned = 0.0
        self._slots: dict[str, tuple[float | None, float]] = {}  # time, and time of the last aligned slot
        self._tiers: list[Tier] = []  # those that depend on no other
        self._annotations: list[_Annotation] = []  # theirs
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
        """The tiers that depend on no other, with their annotations."""
        for tier, line, slots, value in self._annotations:
            for slot in slots:
                if slot not in self._slots:
                    raise InputError(f"{self._source.where(line)}: expected a known time slot, found {slot[:40]!r}")
            (start, order), (end, _) = (self._slots[slot] for slot in slots)
            tier.spans.append(Span(f"line {line}", "".join(value).strip(), start, end, order))
        return self._tiers

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
            self._in_tier = "PARENT_REF" not in attributes
            if self._in_tier:
                speaker = attributes.get("PARTICIPANT", "").strip() or None
                self._tiers.append(Tier(attributes.get("TIER_ID", ""), speaker))
        elif name == "ALIGNABLE_ANNOTATION" and self._in_tier:
            slots = (self._attribute(attributes, "TIME_SLOT_REF1"), self._attribute(attributes, "TIME_SLOT_REF2"))
            self._annotations.append(_Annotation(self._tiers[-1], self._parser.CurrentLineNumber, slots, []))
            self._in_annotation = True

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == "TIER":
            self._in_tier = False
        elif name == "ALIGNABLE_ANNOTATION":
            self._in_annotation = False

    def _text(self, text: str) -> None:
        if self._in_annotation:
            self._annotations[-1].value.append(text)

    def _attribute(self, attributes: Mapping[str, str], name: str) -> str:
        if name not in attributes:
            raise InputError(f"{self._where}: expected an attribute {name}, found none")
        return attributes[name]

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
