"""A colour for each emotion, from Okabe and Ito's set, which the colour-blind can tell apart.

Wherever a colour is shown, the label stands beside it in words.
"""

from __future__ import annotations

_ORANGE, _SKY, _GREEN, _YELLOW, _BLUE, _RED, _PURPLE = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7",
)  # fmt: skip
_COLOURS = {
    "joy": _ORANGE, "happy": _ORANGE, "happiness": _ORANGE, "positive": _ORANGE,
    "surprise": _SKY,
    "disgust": _GREEN, "frustrated": _GREEN, "frustration": _GREEN,
    "excited": _YELLOW, "excitement": _YELLOW,
    "sadness": _BLUE, "sad": _BLUE,
    "anger": _RED, "angry": _RED, "negative": _RED,
    "fear": _PURPLE,
}  # fmt: skip


def colour_of(label: str) -> str | None:
    """The colour of an emotion as `#rrggbb`, or None for neutral ones and those that are not known."""
    return _COLOURS.get(label.lower())
