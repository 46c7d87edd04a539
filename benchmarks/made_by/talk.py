"""One talk, which the tools are given, and what is expected of each file that they make of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from broadmamba.errors import InputError
from broadmamba.media.transcripts import read_transcript


@dataclass(frozen=True)
class Said:
    """What the tools are given, and what is expected back; None where a format cannot hold it."""

    speaker: str | None
    text: str
    start: float | None
    end: float | None


TALK = (
    Said("Anna", 'Well, "nearly" isn’t done; is it?', 0.5, 2.25),
    Said("Ben", "R&D says x < 3 | naïve, about 50 %.", 2.5, 4.12),
    Said("Anna", "No.", 5.0, 6.0),
    Said("Łukasz O'Neill", "Who wrote that? 東京 \N{SLIGHTLY SMILING FACE}", 61.2, 63.75),
    Said("Ben", "I did; see 10,5 and page 12.", 3601.5, 3604.04),
)


@dataclass(frozen=True)
class Made:
    """A file of a tool, and how it is to be read.

    Attributes:
        format: as the tool calls it.
        path: of the file.
        talk: what is expected.
        within: seconds to which the format holds times.
        refused: words of the refusal, where the file is none that can be read.
    """

    format: str
    path: Path
    talk: Sequence[Said] = TALK
    within: float = 0.0006
    refused: str = ""

    def trouble(self) -> str:
        """What is wrong with what is read; nothing if it is right."""
        try:
            read = [Said(u.speaker, u.text, u.start, u.end) for u in read_transcript(self.path)]
        except InputError as error:
            return "" if self.refused and self.refused in str(error) else f"refused: {error}"
        if self.refused:
            return f"expected to be refused, read {read[:2]}"
        if len(read) != len(self.talk):
            return f"{len(read)} utterances of {len(self.talk)}: {read[:3]}"
        for found, said in zip(read, self.talk, strict=True):
            near = all(
                a == b or (a is not None and b is not None and abs(a - b) <= self.within)
                for a, b in ((found.start, said.start), (found.end, said.end))
            )
            if not near or (found.speaker, found.text) != (said.speaker, said.text):
                return f"read {found} instead of {said}"
        return ""


class Checked(Protocol):
    """A file whose reading can be judged: `Made`, a recording, a corpus."""

    format: str
    path: Path
    refused: str

    def trouble(self) -> str:
        """As of `Made`."""


Maker = Callable[[Path], Iterator[Checked]]
TOOLS: dict[str, tuple[str, Maker]] = {}
"""Name → command that prints its version, or nothing for a Python package of that name; what makes its files."""


def tool(name: str, command: str = "") -> Callable[[Maker], Maker]:
    """Enter what makes the files of a tool."""

    def enter(maker: Maker) -> Maker:
        TOOLS[name] = (command, maker)
        return maker

    return enter


def run(*command: object, given: str | None = None) -> bytes:
    """What a program prints; an error if it fails."""
    asked = None if given is None else given.encode()
    return subprocess.run([str(part) for part in command], input=asked, check=True, capture_output=True).stdout


def clock(seconds: float, point: str = ".") -> str:
    """`HH:MM:SS.mmm`."""
    return f"{int(seconds // 3600):02}:{int(seconds // 60 % 60):02}:{seconds % 60:06.3f}".replace(".", point)


def speakers(talk: Sequence[Said] = TALK) -> dict[str, list[Said]]:
    """Who says what, in the order in which they first speak."""
    return {name: [s for s in talk if s.speaker == name] for name in dict.fromkeys(s.speaker for s in talk)}


def plain(talk: Iterable[Said] = TALK) -> list[Said]:
    """Without signs that mark something up or part cells, for tools that write them as they are."""
    return [replace(said, text=" ".join(re.sub(r"[<&,]", "", said.text).split())) for said in talk]


def nobody(talk: Iterable[Said] = TALK) -> list[Said]:
    """Without speakers."""
    return [replace(said, speaker=None) for said in talk]


def timeless(talk: Iterable[Said] = TALK) -> list[Said]:
    """Without times."""
    return [replace(said, start=None, end=None) for said in talk]


def one_word_names(talk: Iterable[Said] = TALK) -> list[Said]:
    """For formats that end a name at a blank."""
    return [replace(said, speaker=said.speaker and said.speaker.replace(" ", "_")) for said in talk]


def numbered(form: str = "SPEAKER_{:02}", first: int = 0, talk: Sequence[Said] = TALK) -> list[Said]:
    """Speakers as diarization numbers them."""
    names = list(speakers(talk))
    return [replace(said, speaker=form.format(names.index(said.speaker) + first)) for said in talk]


def words(said: Said) -> list[Said]:
    """The words of an utterance, each as long as the others."""
    parts = said.text.split()
    step = (said.end - said.start) / len(parts)
    return [
        replace(said, text=word, start=round(said.start + n * step, 3), end=round(said.start + (n + 1) * step, 3))
        for n, word in enumerate(parts)
    ]


def whisper_result(talk: Sequence[Said] = TALK) -> dict[str, Any]:
    """What openai-whisper's `transcribe` returns."""
    segments = [
        {"id": n, "seek": 0, "start": said.start, "end": said.end, "text": f" {said.text}", "tokens": [50364],
         "temperature": 0.0, "avg_logprob": -0.2, "compression_ratio": 1.1, "no_speech_prob": 0.01,
         "words": [{"word": f" {w.text}", "start": w.start, "end": w.end, "probability": 0.9} for w in words(said)]}
        for n, said in enumerate(talk)
    ]  # fmt: skip
    return {"text": "".join(segment["text"] for segment in segments), "segments": segments, "language": "en"}


def records(talk: Sequence[Said] = TALK) -> list[dict[str, Any]]:
    """Rows of a table."""
    return [asdict(said) for said in talk]
