"""What is to be recognised: which file is what, and whether it can be read, found out before any work begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError
from broadmamba.media.kind import is_recording
from broadmamba.media.recording import Recording
from broadmamba.media.tracks import SoundChoice
from broadmamba.media.transcripts import read_transcript
from broadmamba.storage import is_stream

Source = str | Path | Conversation
"""The path of a recording or a transcript, `-` for a transcript on the standard input; or a conversation."""


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """What is to be recognised.

    Attributes:
        recording: a file that can be decoded; None where there are words only.
        conversation: what is said; None where a recording is to be transcribed.
        source: the file, by its absolute path; None of a pipe, and of a conversation that was made in Python.
        transcript: the file with what is said in the recording, by its absolute path, if one was read.
    """

    recording: Path | None
    conversation: Conversation | None
    source: Path | None
    transcript: Path | None


def open_source(
    source: Source,
    transcript: Source | None,
    sound: SoundChoice,
    *,
    encoding: str | None = None,
    tiers: Sequence[str] = (),
) -> OpenedSource:
    """Read the words that are written down, and see that the recording is one.

    Args:
        source: a recording, a transcript, or a conversation.
        transcript: what is said in the recording, if that is known.
        sound: which of the recording's tracks and channels is heard.
        encoding: of the transcript; see `read_transcript`.
        tiers: of the transcript; see `read_transcript`.

    Raises:
        InputError: it cannot be read, or a transcript, tiers or an encoding are given that nothing here has.
        MissingExtraError: a recording needs the extra `recording`.
    """
    path, conversation = _path_or_conversation(source, "a recording or a transcript")
    recording = path if path is not None and is_recording(path) else None
    if transcript is not None and recording is None:
        raise InputError(
            f"{name_of_source(source)}: expected a recording, since a transcript was given too, found something else"
        )
    words, said = (path, conversation) if recording is None else (None, None)
    if transcript is not None:
        words, said = _path_or_conversation(transcript, "a transcript")
    for given, named in ((tiers, "tiers of one were named"), (encoding, "its encoding was said")):
        if given and words is None:
            only = "a conversation that is read already" if said else "only a recording"
            expected = "the file of a transcript" if said else "a transcript too"
            raise InputError(f"{name_of_source(source)}: expected {expected}, since {named}, found {only}")
    if recording is not None:
        Recording.open(recording, sound).close()
    if words is not None:
        said = read_transcript(words, tiers=tiers, encoding=encoding)
    return OpenedSource(recording, said, _kept(path), _kept(words) if recording else None)


def name_of_source(source: object) -> str:
    """What a source is called in messages, also what is none."""
    if isinstance(source, Conversation):
        return f"conversation {source.id!r:.100}"
    return str(source) if isinstance(source, (str, Path)) else f"{source!r:.40}"


def _path_or_conversation(given: object, expected: str) -> tuple[Path | None, Conversation | None]:
    if isinstance(given, Conversation):
        return None, given
    if isinstance(given, (str, Path)):
        return Path(given), None
    raise InputError(f"expected {expected} by its path, or a Conversation, found {type(given).__name__}")


def _kept(path: Path | None) -> Path | None:
    """The absolute path of a file that can be read again."""
    return None if path is None or str(path) == "-" or is_stream(path) else path.absolute()
