"""Which of a recording's tracks and channels is meant: what a user may choose, and what is taken where nobody chose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from broadmamba.errors import InputError

Kind = Literal["audio", "video"]

# of tracks that are made for few, or are a part of another one; each is heard only if nothing else is there
_SPECIAL = (
    *("comment", "lyrics", "karaoke", "hearing_impaired", "visual_impaired", "clean_effects", "descriptions"),
    *("non_diegetic", "dependent", "still_image"),
)
_PICTURES = ("attached_pic", "timed_thumbnails")  # covers and previews are no video


@dataclass(frozen=True, slots=True)
class SoundChoice:
    """Which of a recording's sound is heard.

    Attributes:
        track: of its audio tracks, counted from 1, or the language of one as the file writes it, such as `eng`; None
            takes the one that the file marks as default.
        channels: `mix`, `best` (the one with the clearest sound), or the number of one, counted from 1; None mixes
            them, and takes the best where they cancel out.
    """

    track: int | str | None = None
    channels: int | str | None = None

    @classmethod
    def parse(cls, track: str | None, channels: str | None) -> Self:
        """From what a user wrote.

        Raises:
            InputError: the channels are none of `mix`, `best` and a number, or a number is less than 1.
        """
        chosen = (None if track is None else _numbered(track), None if channels is None else _numbered(channels))
        if isinstance(chosen[0], int) and chosen[0] < 1:
            raise InputError(f"expected an audio track counted from 1, or a language such as eng, found {track!r}")
        if chosen[1] not in (None, "mix", "best") and not (isinstance(chosen[1], int) and chosen[1] >= 1):
            raise InputError(f"expected the channels as mix, best or a number counted from 1, found {channels!r}")
        return cls(*chosen)


DEFAULT_SOUND = SoundChoice()
"""What is heard where nobody chose."""


@dataclass(frozen=True, slots=True)
class Track:
    """One of a recording's tracks of a kind.

    Attributes:
        number: among those of its kind, from 1.
        stream: PyAV's.
        default: whether the file marks it as what is to be played.
        special: such as `comment`; empty for an ordinary one.
        language: as the file writes it, or empty.
    """

    number: int
    stream: Any
    default: bool
    special: str
    language: str

    def __str__(self) -> str:
        said = ", ".join(filter(None, (self.language, "default" if self.default else "", self.special)))
        return f"{self.number} ({said})" if said else str(self.number)


def tracks_of(streams: Iterable[Any], kind: Kind) -> list[Track]:
    """The tracks of a kind in the order of the file, without covers and previews."""
    from av.stream import Disposition

    def marked(stream: Any, names: Sequence[str]) -> str:
        return next((name for name in names if stream.disposition & Disposition[name]), "")

    chosen = [stream for stream in streams if stream.type == kind and not marked(stream, _PICTURES)]
    return [
        Track(
            number,
            stream,
            default=bool(marked(stream, ("default",))),
            special=marked(stream, _SPECIAL).replace("_", " ").replace("comment", "commentary"),
            language="" if stream.language in (None, "und") else stream.language,
        )
        for number, stream in enumerate(chosen, start=1)
    ]


def ranked(tracks: Sequence[Track], wanted: int | str | None = None) -> list[Track]:
    """Those that are meant, best first: default before others, ordinary before special, earlier before later.

    Args:
        tracks: of one kind.
        wanted: see `SoundChoice.track`.

    Raises:
        InputError: no track is as wanted; the message lists those there are.
    """
    if wanted is None:
        meant = list(tracks)
    elif isinstance(wanted, int):
        meant = [track for track in tracks if track.number == wanted]
    else:
        meant = [track for track in tracks if track.language.lower() == wanted.lower()]
    if wanted is not None and not meant:
        raise InputError(f"there is no audio track {wanted!r}; it has {listed(tracks) or 'none'}")
    return sorted(meant, key=lambda track: (not track.default, bool(track.special), track.number))


def listed(tracks: Iterable[Track]) -> str:
    """Their numbers, each with what the file says of it."""
    return ", ".join(map(str, tracks))


def _numbered(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text
