"""ELAN's EAF and Praat's TextGrid: a tier for each speaker, and below it the emotions and how probable they are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from broadmamba.errors import InputError
from broadmamba.media.transcripts.tiers import EMOTION, PROBABILITY, UNNAMED
from broadmamba.recognition.prediction import NOTICE, ConversationPrediction
from broadmamba.recognition.timing import UNWRITABLE, one_line, timed

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
    """Milliseconds in which one speaker says something, its emotion and how probable that is; mostly one of each."""

    start: int
    end: int
    texts: list[str] = field(default_factory=list)
    labels: dict[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return _BETWEEN.join(filter(None, self.texts))

    @property
    def label(self) -> str:
        return _BETWEEN.join(self.labels)

    @property
    def probability(self) -> str:
        return _BETWEEN.join(f"{probability:.2f}" for probability in self.labels.values())


def textgrid_text(prediction: ConversationPrediction) -> str:
    """A TextGrid in the long form: a tier for each speaker, and below it `Name-emotion` and `Name-probability`.

    Intervals of a tier may not overlap, so an utterance ends where the next one of its speaker begins; two that begin
    in the same millisecond share an interval, their texts (and labels) joined by ` / `; of one label that both have,
    the higher probability stands. An utterance of no length gets a millisecond. Pauses are empty intervals. The tier
    of a speaker whom nobody knows is `utterances`. Utterances without times are left out. It ends with the recording,
    so that Praat opens both together. `read_transcript` gives the same speakers, texts and times again.

    Raises:
        InputError: no utterance has times, which a TextGrid cannot do without.
    """
    speakers = _intervals_by_speaker(prediction, "a TextGrid")
    ends = [interval.end for intervals in speakers.values() for interval in intervals]
    if prediction.duration is not None:
        ends.append(round(prediction.duration * 1000))
    end = max(ends)
    tiers: list[tuple[str, list[_Interval], list[str]]] = []
    for speaker, intervals in speakers.items():
        name = speaker or UNNAMED
        tiers.append((name, intervals, [interval.text for interval in intervals]))
        tiers.append((name + EMOTION, intervals, [interval.label for interval in intervals]))
        tiers.append((name + PROBABILITY, intervals, [interval.probability for interval in intervals]))
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_seconds(end)}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (name, intervals, labels) in enumerate(tiers, start=1):
        lines.extend(_textgrid_tier(number, name, list(zip(intervals, labels, strict=True)), end))
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
            said.append(_Interval(start, end))
        said[-1].end = max(said[-1].end, end)
        said[-1].texts.append(one_line(item.utterance.text))
        label = one_line(item.label)
        said[-1].labels[label] = max(item.probability, said[-1].labels.get(label, 0.0))
    if not speakers:
        raise InputError(f"{prediction.conversation}: expected utterances with times, which {format} needs, found none")
    return speakers


def eaf_text(prediction: ConversationPrediction, media: Path | None = None) -> str:
    """An ELAN file (EAF 3.0): for each speaker a tier, below it `Name-emotion`, and below that `Name-probability`.

    The tiers below depend on the speaker's (Symbolic_Association). The labels are a controlled vocabulary, so that
    ELAN offers them when one is corrected. Overlaps and missing times are handled as in `textgrid_text`. ELAN looks for
    the recording where it was, by an absolute URL, and then relative to the file, by a path as it is.
    `read_transcript` gives the same speakers, texts and times again.

    Args:
        prediction: to be written.
        media: the recording, absolute or relative to the folder in which the file will stand.

    Raises:
        InputError: no utterance has times, which ELAN cannot do without.
    """
    speakers = _intervals_by_speaker(prediction, "ELAN")
    labels = dict.fromkeys(label for item in prediction for label in (*item.probabilities, item.label))
    entries = {label: f"cve{number}" for number, label in enumerate(dict.fromkeys(map(one_line, labels)))}
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
    if (found := media or prediction.recording) is not None:
        header.append(_media_descriptor(found, prediction.recording))
    properties = {
        "model": one_line(prediction.model),
        "notice": NOTICE,
        "utterancesWithoutTimes": str(len(prediction) - sum(len(a.texts) for said in speakers.values() for a in said)),
        "lastUsedAnnotationId": str(3 * sum(map(len, speakers.values()))),
    }
    for name, value in properties.items():
        ElementTree.SubElement(header, "PROPERTY", NAME=name).text = value
    _add_tiers(root, speakers, entries)
    _add_types(root, entries)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _media_descriptor(media: Path, recording: Path | None) -> ElementTree.Element:
    """Where ELAN finds the recording: an escaped URL, absolute if that is known, and a relative path as it is."""
    path = media.name if media.is_absolute() else media.as_posix()
    path = path if path.startswith("../") else f"./{path}"
    escaped = quote(os.fsencode(path))
    absolute = media if media.is_absolute() else recording
    return ElementTree.Element(
        "MEDIA_DESCRIPTOR",
        MEDIA_URL=escaped if absolute is None else absolute.as_uri(),
        MIME_TYPE=_MIME_TYPES.get(media.suffix.lower(), "unknown"),
        RELATIVE_MEDIA_URL=escaped if UNWRITABLE.search(path) else path,
    )


def _add_tiers(root: ElementTree.Element, speakers: dict[str, list[_Interval]], entries: dict[str, str]) -> None:
    """Time slots by their time, then for each speaker three tiers, whose annotations are numbered in threes."""
    intervals = [interval for said in speakers.values() for interval in said]
    edges = sorted((time, 2 * i + side) for i, a in enumerate(intervals) for side, time in enumerate((a.start, a.end)))
    order = ElementTree.SubElement(root, "TIME_ORDER")
    for time, slot in edges:
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{slot}", TIME_VALUE=str(time))
    index = 0
    for speaker, name in zip(speakers, _tier_names(speakers), strict=True):
        participant = {"PARTICIPANT": speaker} if speaker else {}
        said, felt, sure = (
            ElementTree.SubElement(
                root, "TIER", {"LINGUISTIC_TYPE_REF": kind, **parent, "TIER_ID": name + suffix, **participant}
            )
            for kind, suffix, parent in (
                ("utterance", "", {}),
                ("emotion", EMOTION, {"PARENT_REF": name}),
                ("probability", PROBABILITY, {"PARENT_REF": name + EMOTION}),
            )
        )
        for interval in speakers[speaker]:
            slots = {"TIME_SLOT_REF1": f"ts{2 * index}", "TIME_SLOT_REF2": f"ts{2 * index + 1}"}
            first, second, third = (f"a{3 * index + number}" for number in (1, 2, 3))
            entry = {"CVE_REF": entries[interval.label]} if interval.label in entries else {}
            _annotate(said, "ALIGNABLE_ANNOTATION", {"ANNOTATION_ID": first, **slots}, interval.text)
            label = {"ANNOTATION_ID": second, "ANNOTATION_REF": first, **entry}
            _annotate(felt, "REF_ANNOTATION", label, interval.label)
            probability = {"ANNOTATION_ID": third, "ANNOTATION_REF": second}
            _annotate(sure, "REF_ANNOTATION", probability, interval.probability)
            index += 1


def _annotate(tier: ElementTree.Element, kind: str, attributes: dict[str, str], value: str) -> None:
    annotation = ElementTree.SubElement(ElementTree.SubElement(tier, "ANNOTATION"), kind, attributes)
    ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = value


def _tier_names(speakers: Iterable[str]) -> list[str]:
    """A name for each speaker's tier that is unique, as those of the tiers below it then are too."""
    names = {"": UNNAMED}
    taken = _three(UNNAMED)
    for speaker in filter(None, speakers):
        numbered = (speaker if number == 1 else f"{speaker} ({number})" for number in count(1))
        names[speaker] = next(name for name in numbered if not _three(name) & taken)
        taken |= _three(names[speaker])
    return [names[speaker] for speaker in speakers]


def _three(name: str) -> set[str]:
    return {name, name + EMOTION, name + PROBABILITY}


def _add_types(root: ElementTree.Element, entries: dict[str, str]) -> None:
    """The three kinds of tiers, the language, the constraints as ELAN describes them, and the labels."""
    ElementTree.SubElement(
        root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID="utterance", TIME_ALIGNABLE="true"
    )
    for kind, vocabulary_of in (("emotion", {"CONTROLLED_VOCABULARY_REF": "emotion"}), ("probability", {})):
        ElementTree.SubElement(
            root,
            "LINGUISTIC_TYPE",
            {
                "CONSTRAINTS": "Symbolic_Association",
                **vocabulary_of,
                "GRAPHIC_REFERENCES": "false",
                "LINGUISTIC_TYPE_ID": kind,
                "TIME_ALIGNABLE": "false",
            },
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
    for label, identifier in entries.items():
        entry = ElementTree.SubElement(vocabulary, "CV_ENTRY_ML", CVE_ID=identifier)
        ElementTree.SubElement(entry, "CVE_VALUE", LANG_REF="und").text = label
