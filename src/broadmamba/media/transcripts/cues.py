"""SRT and WebVTT: a cue is a time span with text, and holds one turn, or one for each voice, dash or name."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from broadmamba.errors import InputError
from broadmamba.media.transcripts.highlighting import without_highlights
from broadmamba.media.transcripts.names import Names, are_names_alone
from broadmamba.media.transcripts.rolling import Cue, unrolled
from broadmamba.media.transcripts.rows import Row, Source, carries_milliseconds, parse_time, plain_digits

_WEBVTT = re.compile(r"WEBVTT(?=\s|$)")
_CLOCK = r"([-+0-9.,]*:[-+0-9:.,]*?)"
_TIMING = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_BROKEN_TIMING = re.compile(r"\s*[0-9][0-9:.,]*\s*(?:->|[–—]>|→)\s*[0-9][0-9:.,]*\s*")
_MARKUP = re.compile(r"[<{]")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?(?:\s([^<>]*))?>|</v>")
_EMOTION = re.compile(r"<c\.emotion(?:\.[^<>]*)?>[^<>]*</c>")  # written by recognition/captions.py, and not said
_TAG = re.compile(r"</?(?:[A-Za-z][^<>]*)?>|<[0-9:.]+>|\{\\[^{}]*\}")
_ENDLESS_REFERENCE = re.compile(r"&#(?:[0-9]{9,}+|[xX][0-9a-fA-F]{9,}+);?")
_Part = tuple[str | None, str]  # of a cue: a voice, and its text
_MAP = re.compile(r"^X-TIMESTAMP-MAP\b.*$", re.MULTILINE)  # of pieces of HLS streams
_MPEGTS = re.compile(r"MPEGTS:([0-9]{1,15})(?![0-9])")
_LOCAL = re.compile(r"LOCAL:([0-9:.]{1,30})")
_A_SECOND = 90_000  # of MPEG's clock
_COUNT = re.compile(r"[0-9]{1,9}")
_MOST_BLANKS = 4  # lines between a cue's number and its time
_BLOCK_KEYWORDS = ("NOTE", "STYLE", "REGION")
# a dash opens a turn, but neither `-5 degrees` nor `--and so` does
_DASH = re.compile(r"\s*(?:[-‐–—](?:\s+|(?=[^\W\d]|[\"'“‘¡¿\[(♪]))|>>+\s*)")


def is_webvtt(source: Source) -> bool:
    """Whether a text begins as WebVTT does."""
    return _WEBVTT.match(source.text.lstrip()) is not None


def is_srt(source: Source) -> bool:
    """Whether any line is a cue's time span, or that of the first cue is one with another arrow than `-->`."""
    number, _, rest = source.text.lstrip().partition("\n")
    first = rest.lstrip("\n").partition("\n")[0]
    broken = _COUNT.fullmatch(number.strip()) and _BROKEN_TIMING.fullmatch(first)
    return broken is not None or any(map(_timing, source.text.split("\n")))


def _timing(line: str) -> re.Match[str] | None:
    return _TIMING.fullmatch(plain_digits(line)) if "-->" in line else None


def webvtt_rows(source: Source) -> Iterator[Row]:
    """Utterances of a WebVTT file; notes, styles, regions and identifiers are passed over.

    What rolls over several cues is said once (`rolling.unrolled`).

    Raises:
        InputError: it does not begin with a line WEBVTT, or a cue's times cannot be read or belong to a piece of a
            stream; the message names the line.
    """
    if not is_webvtt(source):
        first = source.text.lstrip().split("\n", 1)[0]
        raise InputError(f"{source.path}: expected WebVTT, which begins with a line WEBVTT, found {first[:30]!r}")
    _check_map(source)
    return _cue_rows(source, ends_at_blank=True)


def srt_rows(source: Source) -> Iterator[Row]:
    """Utterances of an SRT file, whose cues may hold empty lines and whose times may have a point.

    What rolls over several cues is said once (`rolling.unrolled`).

    Raises:
        InputError: a cue's times cannot be read, or there is none; the message names the line.
    """
    if not any(map(_timing, source.text.split("\n"))):
        raise InputError(f"{source.path}: expected cues with a line HH:MM:SS,mmm --> HH:MM:SS,mmm, found none")
    for line, text in enumerate(source.text.split("\n"), start=1):
        if _timing(text):
            break
        if text.strip() and not text.strip().isdigit():
            raise InputError(f"{source.where(line)}: expected the first cue, found {text.strip()[:60]!r}")
    return _cue_rows(source, ends_at_blank=False)


def _cue_rows(source: Source, *, ends_at_blank: bool) -> Iterator[Row]:
    written = without_highlights(list(_cues(source, ends_at_blank)), _plain_line)
    read = unrolled(written, _plain_line)
    first = [_first_of_several(cue.payload) for cue in read]
    numbered = ends_at_blank or not _timing(source.text.split("\n", 1)[0])
    # as Teams writes it, without numbers; in subtitles, two lines of a text may look like that
    if are_names_alone(first) and not (numbered and len(set(first)) == len(first)):
        for cue in read:
            name, *said = filter(str.strip, cue.payload)
            yield Row(f"line {cue.line + 1}", " ".join(_plain_line("\n".join(said)).split()), name, cue.start, cue.end)
        return
    cues = [(cue, _parts("\n".join(cue.payload))) for cue in read]
    # the names of a conversation show in all its cues together
    names = Names(line for _, parts in cues for voice, text in parts if voice is None for line in _openings(text))
    for cue, parts in cues:
        for speaker, text in _turns(parts, names):
            yield Row(f"line {cue.line + 1}", text, speaker, cue.start, cue.end)


def _cues(source: Source, ends_at_blank: bool) -> Iterator[Cue]:
    lines = source.text.split("\n")
    timings = list(_timing_lines(source, lines))
    written = [time for _, *times in timings for time in times]
    carries = carries_milliseconds(written)
    _check_fractions(source, timings, carries)
    for position, (line, *times) in enumerate(timings):
        last = position + 1 == len(timings)
        following = len(lines) if last else timings[position + 1][0]
        payload = lines[line + 1 : following]
        if ends_at_blank and "" in payload:  # a line with a space alone does not end a cue
            begin = 1 if _lost_its_space(payload) else 0
            payload = payload[begin : payload.index("", begin)]
        elif ends_at_blank and not last and len(payload) > 1 and not payload[-2].strip():
            payload.pop()  # the name of the next cue
        elif not ends_at_blank and not last and (at := _number_of_next(lines, line, payload)) is not None:
            payload = payload[:at]
        where = source.where(line + 1)
        start, end = (parse_time(time, where, carries=carries) for time in times)
        yield Cue(line, start, end, tuple(payload))


def _lost_its_space(payload: Sequence[str]) -> bool:
    """Whether a cue's text stands below an empty line, from which an editor took YouTube's space.

    What stands there could be a note too, or, with no empty line below it, the name of the next cue.
    """
    return (
        len(payload) > 2
        and payload[0] == ""
        and payload[1] != ""
        and "" in payload[2:]
        and not payload[1].startswith(_BLOCK_KEYWORDS)
    )


def _number_of_next(lines: Sequence[str], line: int, payload: Sequence[str]) -> int | None:
    """Where in a cue's lines the number of the next one stands.

    Empty lines may be between it and the next time only if it counts on from the cue's own: it could be said.
    """
    if payload and payload[-1].strip().isdigit():
        return len(payload) - 1
    own = next((above.strip() for above in lines[max(0, line - _MOST_BLANKS) : line][::-1] if above.strip()), "")
    at = next((index for index in reversed(range(len(payload))) if payload[index].strip()), None)
    if at is None or not _COUNT.fullmatch(own) or not _COUNT.fullmatch(payload[at].strip()):
        return None
    return at if int(payload[at]) == int(own) + 1 else None


def _timing_lines(source: Source, lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """Index, start and end of every time span, as they are written."""
    for index, line in enumerate(lines):
        timing = _timing(line)
        if timing:
            yield index, timing[1], timing[2]
        elif ("-->" in line or _BROKEN_TIMING.fullmatch(line)) and _opens_block(lines, index):
            raise InputError(
                f"{source.where(index + 1)}: expected HH:MM:SS.mmm --> HH:MM:SS.mmm, found {line.strip()[:60]!r}"
            )


def _check_fractions(source: Source, timings: list[tuple[int, str, str]], carries: bool) -> None:
    """See that no fraction has four digits among those of milliseconds, unless it is 1000."""
    fractions = [(line, re.split("[.,]", time)[-1]) for line, *times in timings for time in times]
    if any(len(fraction) == 3 for _, fraction in fractions):
        for line, fraction in fractions:
            if len(fraction) == 4 and fraction.isdigit() and not carries:
                raise InputError(f"{source.where(line + 1)}: expected milliseconds of three digits, found {fraction!r}")


def _check_map(source: Source) -> None:
    """See that times are the recording's, not those of a piece of a stream, which begins at a time of the stream."""
    found = _MAP.search(source.text.split("\n\n", 1)[0])
    if found:
        line = source.text.count("\n", 0, found.start()) + 1
        counts, local = _MPEGTS.search(found[0]), _LOCAL.search(found[0])
        begins = None if counts is None else int(counts[1]) / _A_SECOND
        if begins is None or local is None or parse_time(local[1], source.where(line)) != begins:
            raise InputError(
                f"{source.where(line)}: expected times of the whole recording, found a piece of a stream whose times "
                f"are moved ({found[0][:60]})"
            )


def _plain_line(line: str) -> str:
    return _unescape(_TAG.sub("", _VOICE.sub("", _EMOTION.sub("", line))) if _MARKUP.search(line) else line)


def _first_of_several(payload: Sequence[str]) -> str:
    """The first line of a cue with more than one; nothing of another."""
    lines = [line.strip() for line in payload if line.strip()]
    return lines[0] if len(lines) > 1 else ""


def _parts(payload: str) -> list[_Part]:
    if not _MARKUP.search(payload):
        return [(None, _unescape(payload))]
    return [(voice, _unescape(_TAG.sub("", part))) for voice, part in _voices(_EMOTION.sub("", payload))]


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
    if "&" not in text:
        return text
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
        below = opened and not dash
        found = None if below and not named else names.split(rest)
        if below and not found:
            words.extend(line.split())
            continue
        if opened:
            yield speaker, " ".join(words)
        named = named or (found is not None and not opened)
        opened = True
        speaker, words = (found.speaker, found.text.split()) if found else (None, rest.split())
    yield speaker, " ".join(words)
