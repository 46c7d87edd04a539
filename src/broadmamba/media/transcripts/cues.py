"""SRT and WebVTT: a cue is a time span with text, and holds one turn, or one for each voice, dash or name."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from broadmamba.errors import InputError
from broadmamba.media.transcripts.names import Names
from broadmamba.media.transcripts.rows import Row, Source, parse_time

_CLOCK = r"([-+0-9.,]*:[-+0-9:.,]*?)"
_TIMING = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_BROKEN_TIMING = re.compile(r"\s*[0-9][0-9:.,]*\s*(?:->|[–—]>|→)\s*[0-9][0-9:.,]*\s*")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?(?:\s([^<>]*))?>|</v>")
_EMOTION = re.compile(r"<c\.emotion(?:\.[^<>]*)?>[^<>]*</c>")  # written by recognition/captions.py, and not said
_TAG = re.compile(r"</?(?:[A-Za-z][^<>]*)?>|<[0-9:.]+>|\{\\[^{}]*\}")
_ENDLESS_REFERENCE = re.compile(r"&#(?:[0-9]{9,}+|[xX][0-9a-fA-F]{9,}+);?")
_Part = tuple[str | None, str]  # of a cue: a voice, and its text
_BLOCK_KEYWORDS = ("NOTE", "STYLE", "REGION")
# a dash opens a turn, but neither `-5 degrees` nor `--and so` does
_DASH = re.compile(r"\s*(?:[-‐–—](?:\s+|(?=[^\W\d]|[\"'“‘¡¿\[(♪]))|>>+\s*)")


def has_timing(text: str) -> bool:
    """Whether any line is a cue's time span."""
    return any("-->" in line and _TIMING.fullmatch(line) for line in text.split("\n"))


def webvtt_rows(source: Source) -> Iterator[Row]:
    """Utterances of a WebVTT file; notes, styles, regions and identifiers are passed over.

    Raises:
        InputError: a cue's times cannot be read; the message names the line.
    """
    return _cue_rows(source, ends_at_blank=True)


def srt_rows(source: Source) -> Iterator[Row]:
    """Utterances of an SRT file, whose cues may hold empty lines and whose times may have a point.

    Raises:
        InputError: a cue's times cannot be read, or there is none; the message names the line.
    """
    if not has_timing(source.text):
        raise InputError(f"{source.path}: expected cues with a line HH:MM:SS,mmm --> HH:MM:SS,mmm, found none")
    for line, text in enumerate(source.text.split("\n"), start=1):
        if _TIMING.fullmatch(text):
            break
        if text.strip() and not text.strip().isdigit():
            raise InputError(f"{source.where(line)}: expected the first cue, found {text.strip()[:60]!r}")
    return _cue_rows(source, ends_at_blank=False)


def _cue_rows(source: Source, *, ends_at_blank: bool) -> Iterator[Row]:
    cues = list(_cues(source, ends_at_blank))
    # the names of a conversation show in all its cues together
    names = Names(line for *_, parts in cues for voice, text in parts if voice is None for line in _openings(text))
    for line, start, end, parts in cues:
        for speaker, text in _turns(parts, names):
            yield Row(f"line {line + 1}", text, speaker, start, end)


def _cues(source: Source, ends_at_blank: bool) -> Iterator[tuple[int, float, float, list[_Part]]]:
    """Index of its line of times, start, end and parts of every cue."""
    lines = source.text.split("\n")
    timings = list(_timing_lines(source, lines))
    for position, (line, start, end) in enumerate(timings):
        last = position + 1 == len(timings)
        following = len(lines) if last else timings[position + 1][0]
        payload = lines[line + 1 : following]
        if ends_at_blank:
            payload = payload[: next((i for i, text in enumerate(payload) if not text.strip()), len(payload))]
        elif not last and payload and payload[-1].strip().isdigit():
            payload.pop()  # the number of the next cue
        voices = _voices(_EMOTION.sub("", "\n".join(payload)))
        yield line, start, end, [(voice, _unescape(_TAG.sub("", part))) for voice, part in voices]


def _timing_lines(source: Source, lines: list[str]) -> Iterator[tuple[int, float, float]]:
    """Index, start and end of every time span."""
    for index, line in enumerate(lines):
        timing = _TIMING.fullmatch(line) if "-->" in line else None
        if timing:
            where = source.where(index + 1)
            yield index, parse_time(timing.group(1), where), parse_time(timing.group(2), where)
        elif ("-->" in line or _BROKEN_TIMING.fullmatch(line)) and _opens_block(lines, index):
            raise InputError(
                f"{source.where(index + 1)}: expected HH:MM:SS.mmm --> HH:MM:SS.mmm, found {line.strip()[:60]!r}"
            )


def _opens_block(lines: list[str], index: int) -> bool:
    """Whether a line comes first in its block, or after a cue's number or name: a time stands there."""
    if lines[index].startswith(_BLOCK_KEYWORDS):
        return False
    if index and lines[index - 1].strip() and "-->" not in lines[index - 1]:
        index -= 1
    return index == 0 or not lines[index - 1].strip()


def _turns(parts: Sequence[_Part], names: Names) -> list[tuple[str | None, str]]:
    """Speaker and text of each turn of a cue; a cue without text is one empty turn."""
    turns: list[tuple[str | None, list[str]]] = []
    for voice, text in parts:
        if voice is not None and turns and turns[-1][0] == voice:
            turns[-1][1].extend(text.split())
        elif voice is not None:
            turns.append((voice, text.split()))
        elif text.strip():
            turns.extend((speaker, [said]) for speaker, said in _unvoiced_turns(text, names))
    return [(speaker, " ".join(said)) for speaker, said in turns] or [(None, "")]


def _unescape(text: str) -> str:
    """`html.unescape`, which fails on numbers that are too long; no character has one."""
    return html.unescape(_ENDLESS_REFERENCE.sub("\ufffd", text))


def _voices(payload: str) -> Iterator[tuple[str | None, str]]:
    """Split a cue at `<v Name>` and `</v>`."""
    voice: str | None = None
    begin = 0
    for tag in _VOICE.finditer(payload):
        if voice is not None or tag.start() > begin:
            yield voice, payload[begin : tag.start()]
        voice = " ".join(_unescape(tag.group(1) or "").split()) or None
        begin = tag.end()
    if voice is not None or begin < len(payload):
        yield voice, payload[begin:]


def _openings(text: str) -> Iterator[str]:
    """The lines of a text without voices that open a turn for sure: the first, and those with a dash."""
    for number, line in enumerate(text.strip().split("\n")):
        dash = _DASH.match(line)
        if dash or number == 0:
            yield line[dash.end() :] if dash else line


def _unvoiced_turns(text: str, names: Names) -> Iterator[tuple[str | None, str]]:
    """Turns of a text without voices: a dash opens one, and so does a name if the text begins with a name."""
    speaker: str | None = None
    words: list[str] = []
    named = False
    opened = False
    for line in text.strip().split("\n"):
        dash = _DASH.match(line)
        rest = line[dash.end() :] if dash else line
        found = names.split(rest)
        if opened and not dash and not (named and found):
            words.extend(line.split())
            continue
        if opened:
            yield speaker, " ".join(words)
        named = named or (found is not None and not opened)
        opened = True
        speaker, words = (found.speaker, found.text.split()) if found else (None, rest.split())
    yield speaker, " ".join(words)
