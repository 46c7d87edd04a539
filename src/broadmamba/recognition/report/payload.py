"""What the page is given: names once, then one short row an utterance, with rounded numbers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote

from broadmamba.data.conversation import LATEST, Utterance
from broadmamba.errors import InputError
from broadmamba.recognition.palette import colour_of
from broadmamba.recognition.prediction import NOTICE, ConversationPrediction

_SPARE = (
    *filter(None, map(colour_of, ("joy", "surprise", "disgust", "excited", "sadness", "anger", "fear"))),
    "#7a5c3a", "#4d5566", "#8c8a2e", "#7f6fb3", "#2f8f95", "#a14a64",
)  # fmt: skip
"""For labels without a colour of their own: what the others leave, then quieter tones."""
_SOUND = {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma", ".aif", ".aiff"}
_DARK, _LIGHT = "#111216", "#ffffff"


def page_data(prediction: ConversationPrediction, media: str | None) -> dict[str, Any]:
    """The prediction as plain JSON values for the page.

    Times are seconds, rounded to milliseconds; probabilities and weights are thousandths; the weight of a modality
    that an utterance had not is None.

    Args:
        prediction: what was recognised.
        media: path of the recording, relative to the page, or None.

    Raises:
        InputError: `media` is an absolute path or a URL.
    """
    named = dict.fromkeys(name for item in prediction for name in (*item.probabilities, item.label))
    labels = sorted(named, key=lambda name: not _calm(name))  # the calm one first: at the bottom of the chart
    modalities = list(dict.fromkeys(name for item in prediction for name in item.modality_weights))
    speakers = sorted(dict.fromkeys(item.utterance.speaker for item in prediction), key=lambda name: name is None)
    places, placed = _places([item.utterance for item in prediction])
    speaker_of = {name: k for k, name in enumerate(speakers)}
    label_of = {name: k for k, name in enumerate(labels)}
    rows: list[list[Any]] = [
        [
            speaker_of[item.utterance.speaker],
            round(start, 3),
            round(end, 3),
            label_of[item.label],
            item.utterance.text,
            [_thousandths(item.probabilities.get(name, 0.0)) for name in labels],
            [
                _thousandths(item.modality_weights.get(name, 0.0)) if name in item.present else None
                for name in modalities
            ],
        ]
        for item, (start, end) in zip(prediction, places, strict=True)
    ]
    by_speaker: list[list[list[Any]]] = [[] for _ in speakers]
    for row in rows:
        by_speaker[row[0]].append(row)
    return {
        "conversation": prediction.conversation,
        "model": prediction.model,
        "duration": prediction.duration,
        "notice": NOTICE,
        "media": None if media is None else _media(media),
        "timed": placed < len(prediction),
        "placed": placed,
        "labels": [
            {"name": name, "colour": colour, "ink": colour and _ink(colour)}
            for name, colour in zip(labels, label_colours(labels), strict=True)
        ],
        "modalities": modalities,
        "speakers": speakers,
        "facts": [
            [
                "Speakers",
                str(len([name for name in speakers if name is not None])) if speakers != [None] else "unknown",
            ],
            ["Utterances", f"{len(prediction):,}"],
            ["Judged by", _heard(prediction, modalities)],
            ["Model", prediction.model],
        ],
        "counts": [
            *(_count(said, len(labels)) for said in by_speaker),
            _count(rows, len(labels)),
        ],
        "utterances": rows,
    }


def label_colours(labels: Sequence[str]) -> list[str | None]:
    """A colour `#rrggbb` for each label: its own, else one that no other label took; None, a grey, for `neutral`."""
    own = [colour_of(name) for name in labels]
    spare = [colour for colour in _SPARE if colour not in own]
    given: list[str | None] = []
    for name, colour in zip(labels, own, strict=True):
        if not _calm(name) and (colour is None or colour in given):
            colour = spare.pop(0) if spare else _SPARE[len(given) % len(_SPARE)]
        given.append(colour)
    return given


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours `#rrggbb`, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2, "relative luminance")."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _ink(colour: str) -> str:
    """The more readable colour of words on a colour."""
    return max((_DARK, _LIGHT), key=lambda ink: contrast(ink, colour))


def _calm(label: str) -> bool:
    return label.lower() == "neutral"


def _heard(prediction: ConversationPrediction, modalities: Sequence[str]) -> str:
    """The modalities that any utterance had, and those that none had."""
    present = [name for name in modalities if any(name in item.present for item in prediction)]
    absent = [f"no {name}" for name in modalities if name not in present]
    return ", ".join(present or ["nothing"]) + (f" ({', '.join(absent)})" if absent else "")


def _count(rows: Sequence[list[Any]], labels: int) -> dict[str, Any]:
    """Turns, seconds of speech and turns by label."""
    of_label = Counter(row[3] for row in rows)
    return {
        "turns": len(rows),
        "seconds": round(sum(row[2] - row[1] for row in rows), 1),
        "labels": [of_label[k] for k in range(labels)],
    }


def _thousandths(share: float) -> int:
    return round(1000 * share)


def _media(path: str) -> dict[str, str]:
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute() or "://" in path:
        raise InputError(f"the report finds its recording by a path relative to itself, found {path!r}")
    posix = PurePosixPath(path)
    kind = "audio" if posix.suffix.lower() in _SOUND else "video"
    return {"kind": kind, "url": quote(os.fsencode(posix)), "name": posix.name}


def _places(utterances: Sequence[Utterance]) -> tuple[list[tuple[float, float]], int]:
    """Where each utterance stands on the axis, and how many have no time of their own.

    Without any times, utterances stand one unit apart. An utterance without a start takes the end of the one before
    it; one without an end lasts until the next start. A time that no recording can have is none.
    """
    starts = [_known(utterance.start) for utterance in utterances]
    if all(start is None for start in starts):
        return [(float(i), float(i + 1)) for i in range(len(utterances))], len(utterances)
    places: list[tuple[float, float]] = []
    following: float | None = None
    nexts: list[float | None] = []
    for start in reversed(starts):
        nexts.append(following)
        following = start if start is not None else following
    for utterance, start, after in zip(utterances, starts, reversed(nexts), strict=True):
        begin = start if start is not None else (places[-1][1] if places else 0.0)
        end = _known(utterance.end)
        if end is None:
            end = begin if start is None or after is None else after
        places.append((begin, max(begin, end)))
    return places, starts.count(None)


def _known(time: float | None) -> float | None:
    """A time that a recording can have; any other is as good as none, and an axis that it stretched of no use."""
    return time if time is not None and 0 <= time <= LATEST else None
