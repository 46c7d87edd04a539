"""ELAN's EAF and Praat's TextGrid: a tier for each speaker, and one with the emotions below it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from broadmamba.errors import InputError
from broadmamba.media.transcripts.tiers import EMOTION, UNNAMED
from broadmamba.recognition.prediction import NOTICE, ConversationPrediction
from broadmamba.recognition.timing import one_line, timed

_BETWEEN = " / "  # texts, and emotions, that share an interval
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_DATE = "1970-01-01T00:00:00+00:00"  # EAF must have one; always the same, so that equal predictions are equal files
_MIME_TYPES = {
    ".avi": "video/x-msvideo", ".m4v": "video/mp4", ".mkv": "video/x-matroska", ".mov": "video/quicktime",
    ".mp4": "video/mp4", ".webm": "video/webm",
    ".flac": "audio/flac", ".m4a": "audio/mp4", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".wav": "audio/x-wav",
}  # fmt: skip
_CONSTRAINTS = {
    "Time_Subdivision": "Time subdivision of parent annotation's time interval, no time gaps allowed within this"
    " interval",
    "Symbolic_Subdivision": "Symbolic subdivision of a parent annotation. Annotations refering to the same parent are"
    " ordered",
    "Symbolic_Association": "1-1 association with a parent annotation",
    "Included_In": "Time alignable annotations within the parent annotation's time interval, gaps are allowed",
}


@dataclass(slots=True)
class _Interval:
    """Milliseconds in which one speaker says something, and its emotion; mostly one text and one label."""

    start: int
    end: int
    texts: list[str]
    labels: list[str]

    @property
    def text(self) -> str:
        return _BETWEEN.join(filter(None, self.texts))

    @property
    def label(self) -> str:
        return _BETWEEN.join(dict.fromkeys(self.labels))


def textgrid_text(prediction: ConversationPrediction) -> str:
    """A TextGrid in the long form: for each speaker an interval tier `Name`, and below it `Name-emotion`.

    Intervals of a tier may not overlap, so an utterance ends where the next one of its speaker begins; two that begin
    in the same millisecond share an interval, their texts (and labels) joined by ` / `. An utterance of no length
    gets a millisecond. Pauses are empty intervals. The tier of a speaker whom nobody knows is `utterances`.
    Utterances without times are left out. `read_transcript` gives the same speakers, texts and times again.

    Raises:
        InputError: no utterance has times, which a TextGrid cannot do without.
    """
    speakers = _intervals_by_speaker(prediction, "a TextGrid")
    end = max(interval.end for intervals in speakers.values() for interval in intervals)
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_seconds(end)}",
        "tiers? <exists>",
        f"size = {2 * len(speakers)}",
        "item []:",
    ]
    number = 0
    for speaker, intervals in speakers.items():
        name = speaker or UNNAMED
        for tier, labels in (
            (name, [interval.text for interval in intervals]),
            (name + EMOTION, [interval.label for interval in intervals]),
        ):
            number += 1
            lines.extend(_textgrid_tier(number, tier, list(zip(intervals, labels, strict=True)), end))
    return "\n".join(lines) + "\n"


def _textgrid_tier(number: int, name: str, labelled: list[tuple[_Interval, str]], end: int) -> Iterator[str]:
    filled: list[tuple[int, int, str]] = []
    position = 0
    for interval, label in labelled:
        if interval.start > position:
            filled.append((position, interval.start, ""))
        filled.append((interval.start, interval.end, label))
        position = interval.end
    if position < end:
        filled.append((position, end, ""))
    yield f"    item [{number}]:"
    yield '        class = "IntervalTier"'
    yield f"        name = {_quoted(name)}"
    yield "        xmin = 0"
    yield f"        xmax = {_seconds(end)}"
    yield f"        intervals: size = {len(filled)}"
    for index, (start, stop, label) in enumerate(filled, start=1):
        yield f"        intervals [{index}]:"
        yield f"            xmin = {_seconds(start)}"
        yield f"            xmax = {_seconds(stop)}"
        yield f"            text = {_quoted(label)}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _intervals_by_speaker(prediction: ConversationPrediction, format: str) -> dict[str, list[_Interval]]:
    """What each speaker says (`""` is nobody known), in the order in which they first speak, without overlaps."""
    speakers: dict[str, list[_Interval]] = {}
    for start, end, item in timed(prediction):
        said = speakers.setdefault(one_line(item.utterance.speaker), [])
        if said and said[-1].start < start:
            said[-1].end = min(said[-1].end, start)
        if not said or said[-1].start < start:
            said.append(_Interval(start, end, [], []))
        said[-1].end = max(said[-1].end, end)
        said[-1].texts.append(one_line(item.utterance.text))
        said[-1].labels.append(one_line(item.label))
    if not speakers:
        raise InputError(f"{prediction.conversation}: expected utterances with times, which {format} needs, found none")
    return speakers


def eaf_text(prediction: ConversationPrediction, media: Path | None = None) -> str:
    """An ELAN file (EAF 3.0): for each speaker a tier, and below it `Name-emotion`, whose values are labels.

    The emotion tier depends on the speaker's (Symbolic_Association), with the labels as a controlled vocabulary, so
    that ELAN offers them when one is corrected. Overlaps and missing times are handled as in `textgrid_text`.
    `read_transcript` gives the same speakers, texts and times again.

    Args:
        prediction: to be written.
        media: the recording, absolute or relative to the folder in which the file will stand.

    Raises:
        InputError: no utterance has times, which ELAN cannot do without.
    """
    speakers = _intervals_by_speaker(prediction, "ELAN")
    labels = list(dict.fromkeys(one_line(label) for item in prediction for label in (*item.probabilities, item.label)))
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "broadmamba",
            "DATE": _DATE,
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{_XSI}}}noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
        },
    )
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if media is not None:
        header.append(_media_descriptor(media))
    properties = {
        "model": one_line(prediction.model),
        "notice": NOTICE,
        "utterancesWithoutTimes": str(len(prediction) - len(timed(prediction))),
        "lastUsedAnnotationId": str(2 * sum(map(len, speakers.values()))),
    }
    for name, value in properties.items():
        ElementTree.SubElement(header, "PROPERTY", NAME=name).text = value
    _add_tiers(root, speakers, labels)
    _add_types(root, labels)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _media_descriptor(media: Path) -> ElementTree.Element:
    relative = quote(os.fsencode(media.name if media.is_absolute() else media.as_posix()))
    relative = relative if relative.startswith("../") else f"./{relative}"
    return ElementTree.Element(
        "MEDIA_DESCRIPTOR",
        MEDIA_URL=media.as_uri() if media.is_absolute() else relative,
        MIME_TYPE=_MIME_TYPES.get(media.suffix.lower(), "unknown"),
        RELATIVE_MEDIA_URL=relative,
    )


def _add_tiers(root: ElementTree.Element, speakers: dict[str, list[_Interval]], labels: list[str]) -> None:
    """Time slots by their time, then for each speaker both tiers, whose annotations are numbered in pairs."""
    intervals = [interval for said in speakers.values() for interval in said]
    edges = sorted((time, 2 * i + side) for i, a in enumerate(intervals) for side, time in enumerate((a.start, a.end)))
    order = ElementTree.SubElement(root, "TIME_ORDER")
    for time, slot in edges:
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{slot}", TIME_VALUE=str(time))
    index = 0
    for speaker, name in zip(speakers, _tier_names(speakers), strict=True):
        participant = {"PARTICIPANT": speaker} if speaker else {}
        said = ElementTree.SubElement(
            root, "TIER", {"LINGUISTIC_TYPE_REF": "utterance", "TIER_ID": name, **participant}
        )
        felt = ElementTree.SubElement(
            root,
            "TIER",
            {"LINGUISTIC_TYPE_REF": "emotion", "PARENT_REF": name, "TIER_ID": name + EMOTION, **participant},
        )
        for interval in speakers[speaker]:
            slots = {"TIME_SLOT_REF1": f"ts{2 * index}", "TIME_SLOT_REF2": f"ts{2 * index + 1}"}
            first, second = f"a{2 * index + 1}", f"a{2 * index + 2}"
            _annotate(said, "ALIGNABLE_ANNOTATION", {"ANNOTATION_ID": first, **slots}, interval.text)
            entry = {"CVE_REF": f"cve{labels.index(interval.label)}"} if interval.label in labels else {}
            references = {"ANNOTATION_ID": second, "ANNOTATION_REF": first, **entry}
            _annotate(felt, "REF_ANNOTATION", references, interval.label)
            index += 1


def _annotate(tier: ElementTree.Element, kind: str, attributes: dict[str, str], value: str) -> None:
    annotation = ElementTree.SubElement(ElementTree.SubElement(tier, "ANNOTATION"), kind, attributes)
    ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = value


def _tier_names(speakers: Iterable[str]) -> list[str]:
    """A name for each speaker's tier that is unique, as that of its emotion tier then is too."""
    names = {"": UNNAMED}
    taken = {UNNAMED, UNNAMED + EMOTION}
    for speaker in filter(None, speakers):
        numbered = (speaker if number == 1 else f"{speaker} ({number})" for number in count(1))
        name = next(name for name in numbered if name not in taken and name + EMOTION not in taken)
        names[speaker] = name
        taken |= {name, name + EMOTION}
    return [names[speaker] for speaker in speakers]


def _add_types(root: ElementTree.Element, labels: list[str]) -> None:
    """The two kinds of tiers, the language, the constraints as ELAN describes them, and the labels."""
    ElementTree.SubElement(
        root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID="utterance", TIME_ALIGNABLE="true"
    )
    ElementTree.SubElement(
        root,
        "LINGUISTIC_TYPE",
        CONSTRAINTS="Symbolic_Association",
        CONTROLLED_VOCABULARY_REF="emotion",
        GRAPHIC_REFERENCES="false",
        LINGUISTIC_TYPE_ID="emotion",
        TIME_ALIGNABLE="false",
    )
    ElementTree.SubElement(
        root,
        "LANGUAGE",
        LANG_DEF="http://cdb.iso.org/lg/CDB-00130975-001",
        LANG_ID="und",
        LANG_LABEL="undetermined (und)",
    )
    for stereotype, description in _CONSTRAINTS.items():
        ElementTree.SubElement(root, "CONSTRAINT", DESCRIPTION=description, STEREOTYPE=stereotype)
    vocabulary = ElementTree.SubElement(root, "CONTROLLED_VOCABULARY", CV_ID="emotion")
    ElementTree.SubElement(vocabulary, "DESCRIPTION", LANG_REF="und").text = "The labels of the model"
    for number, label in enumerate(labels):
        entry = ElementTree.SubElement(vocabulary, "CV_ENTRY_ML", CVE_ID=f"cve{number}")
        ElementTree.SubElement(entry, "CVE_VALUE", LANG_REF="und").text = label
