"""WebVTT: captions that say who speaks and with which emotion, for any player and browser."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from broadmamba.recognition.palette import colour_of
from broadmamba.recognition.prediction import NOTICE, ConversationPrediction
from broadmamba.recognition.timing import Timed, one_line, timed

_NOT_IN_CLASS = re.compile(r"[^0-9A-Za-z_-]+")


def webvtt_text(prediction: ConversationPrediction, *, speakers: bool = False) -> str:
    """A cue for each utterance whose times are known, in the order in which they begin.

    `<v Name><c.emotion.joy>[joy 83%]</c> What was said`: the voice is the speaker, and the emotion stands in words and
    as a class, whose colour (Okabe and Ito's) a style block gives. `read_transcript` passes over the emotion. Text
    and names are one line each, and escaped. An utterance of no length is shown for a millisecond. Utterances
    without times are left out, and a note counts them.

    Args:
        prediction: what was recognised.
        speakers: say in words who speaks, `Name: [joy 83%] …`, since most players do not show voices.
    """
    cues = timed(prediction)
    left_out = len(prediction) - len(cues)
    blocks = ["WEBVTT", f"NOTE {NOTICE}", *_style(cue.item.label for cue in cues)]
    if left_out:
        blocks.append(f"NOTE {left_out} of {len(prediction)} utterances have no times and are left out.")
    blocks.extend(_cue(number, cue, speakers) for number, cue in enumerate(cues, start=1))
    return "\n\n".join(blocks) + "\n"


def _style(labels: Iterable[str]) -> list[str]:
    rules = {
        f"::cue(.{_class_of(label)}) {{ color: {colour}; }}": None
        for label in labels
        if (colour := colour_of(label)) is not None
    }
    return ["\n".join(["STYLE", "::cue(.emotion) { font-weight: bold; }", *rules])] if rules else []


def _cue(number: int, cue: Timed, speakers: bool) -> str:
    said = cue.item.utterance
    speaker = one_line(said.speaker)
    emotion = f"[{one_line(cue.item.label)} {cue.item.probability:.0%}]"
    if speakers and speaker:
        emotion = f"{speaker}: {emotion}"
    payload = [
        f"<v {_escape(speaker)}>" if speaker else "",
        f"<c.emotion.{_class_of(cue.item.label)}>{_escape(emotion)}</c>",
        f" {_escape(text)}" if (text := one_line(said.text)) else "",
    ]
    return f"{number}\n{_clock(cue.start)} --> {_clock(cue.end)}\n{''.join(payload)}"


def _escape(text: str) -> str:
    return html.escape(text, quote=False)  # `>` too, so that no arrow stands in a text


def _class_of(label: str) -> str:
    name = _NOT_IN_CLASS.sub("-", label.lower()).strip("-")
    return name if name[:1].isalpha() else f"label-{name}"


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"
