"""What the field takes for granted: label orders, feature names, and texts in mixed-up encodings."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import LabelSet
from broadmamba.data.corpus import Feature
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError

IEMOCAP_LABELS = LabelSet(["happy", "sad", "neutral", "angry", "excited", "frustrated"])
"""Class order of the six-way IEMOCAP task in the literature."""

MELD_LABELS = LabelSet(["neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"])
"""Class order of MELD in the literature."""

_HINTS = {
    "text": ("text", "minilm", "mpnet", "roberta", "bert"),
    "audio": ("audio", "gemaps", "egemaps", "prosody", "is10", "compare", "opensmile", "mfcc"),
    "video": ("video", "visual", "densenet", "expression", "face"),
}
_NON_ASCII = re.compile(r"[^\x00-\x7f]+")
_C1_CONTROL = re.compile(r"[\x80-\x9f]")


def order_labels(found: Collection[str]) -> LabelSet:
    """The labels in the field's order where they are a known set, else sorted by name."""
    for known in (IEMOCAP_LABELS, MELD_LABELS):
        if set(found) == set(known):
            return known
    return LabelSet(sorted(set(found)))


def modality_of(feature: str, stated: Mapping[str, str]) -> str:
    """The modality of a feature: as stated, else from its name.

    Args:
        feature: its name.
        stated: feature name → modality.

    Raises:
        InputError: it is not stated and the name says nothing, or two things.
    """
    if feature in stated:
        return stated[feature]
    words = re.split(r"[^a-z0-9]+", feature.lower())
    hinted = [kind for kind, hints in _HINTS.items() if any(word.startswith(hints) for word in words)]
    if len(hinted) != 1:
        raise InputError(
            f"feature {feature!r}: its name does not tell its modality; say it with "
            f"--modality {feature}=text, =audio or =video"
        )
    return hinted[0]


def make_feature(name: str, modality: str, values: NDArray[np.float32], columns: tuple[str, ...] = ()) -> Feature:
    """A feature of unknown origin; gaps in rows are allowed if it has some and is measured, not encoded."""
    spec = FeatureSpec(name, modality, values.shape[1], columns=columns)
    if modality == "text" or not Feature(spec, values).incomplete().any():
        return Feature(spec, values)
    return Feature(FeatureSpec(name, modality, values.shape[1], columns=columns, gaps=True), values)


def decode(content: bytes) -> str:
    """Decode UTF-8 or, line by line where that fails, cp1252; repair what was decoded wrongly before."""
    try:
        return repair(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "\n".join(_decode_line(line) for line in content.split(b"\n"))


def repair(text: str) -> str:
    """Undo two common faults: UTF-8 that was read as cp1252 (`â€™`), and cp1252 read as Latin-1 (U+0092)."""
    if text.isascii():
        return text
    text = _NON_ASCII.sub(lambda run: _undo_mojibake(run[0]), text)
    return _C1_CONTROL.sub(lambda control: _cp1252(control[0].encode("latin-1")), text)


def _decode_line(line: bytes) -> str:
    try:
        return repair(line.decode("utf-8"))
    except UnicodeDecodeError:
        return repair(_cp1252(line))


def _undo_mojibake(run: str) -> str:
    """The run decoded anew if that gives Western signs, which `é——` (as bytes a Chinese sign) does not."""
    try:
        undone = b"".join(_cp1252_byte(character) for character in run).decode("utf-8")
        undone.encode("cp1252")
    except UnicodeError:
        return run
    return undone


def _cp1252_byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")  # the five bytes that cp1252 leaves undefined


def _cp1252(content: bytes) -> str:
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        return "".join(bytes([byte]).decode("cp1252", errors="replace") for byte in content)
