"""A recording: its sound as mono 16 kHz for any span, its pictures at any times, with flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.media.channels import Survey
from broadmamba.media.container import MAX_SECONDS, Source, decoding, open_source
from broadmamba.media.pictures import Pictures, upright
from broadmamba.media.sound import SAMPLE_RATE, Sound
from broadmamba.media.tracks import DEFAULT_SOUND, Kind, SoundChoice, listed

__all__ = ["SAMPLE_RATE", "Frame", "Recording"]

_KINDS: tuple[Kind, Kind] = ("audio", "video")


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture of a recording.

    Attributes:
        time: seconds from the start of the recording, as asked for.
        pixels: `(height, width, 3)`, red, green, blue, upright; times that show the same picture share them.
    """

    time: float
    pixels: NDArray[np.uint8]


class Recording:
    """An open audio or video file; a context manager.

    Time is in seconds from the first sample or picture of the recording, whichever comes first. Sound is decoded once,
    forward, and kept (beyond 17 minutes in a temporary file, 230 MB an hour), so that any span of what was passed is
    exact and cheap; a span far ahead costs the decoding of all before it. Not safe for threads: open one for each.

    Sound of several channels is listened to from beginning to end before the first of it is given out: where the
    channels cancel out when they are mixed, one of them is heard instead (`channels`).

    Attributes:
        path: of the file.
        duration: in seconds as the file states it, which may be a little off; None where it states none.
        has_audio: whether there is sound.
        has_video: whether there are moving pictures; the cover picture of a music file is none.
    """

    def __init__(self, path: Path | str, choice: SoundChoice = DEFAULT_SOUND) -> None:
        """As `open`."""
        self.path = Path(path)
        probes = {kind: _probe(self.path, kind, choice.track if kind == "audio" else None) for kind in _KINDS}
        starts = [probe.start for probe in probes.values() if probe.start is not None]
        if not starts:
            reasons = "; ".join(f"{kind}: {probe.trouble}" for kind, probe in probes.items() if probe.trouble)
            raise InputError(
                f"{self.path}: nothing in it can be decoded ({reasons or 'it holds no sound, no pictures'})"
            )
        self._origin = min(starts)
        self.duration = probes["audio"].duration
        self.has_audio, self.has_video = (probes[kind].start is not None for kind in _KINDS)
        self._tracks = {kind: probe.track for kind, probe in probes.items()}
        self._choice = replace(choice, track=self._tracks["audio"])
        self._remarks = [probe.remark for probe in probes.values() if probe.remark]
        self._damaged = dict.fromkeys(_KINDS, 0)
        self._sound: Sound | None = None
        channels = probes["audio"].channels
        if self.has_audio and isinstance(choice.channels, int) and choice.channels > channels:
            number = f"{channels} channel{'' if channels == 1 else 's'}"
            raise InputError(f"{self.path}: its sound has {number}, there is no channel {choice.channels}")
        if self.has_audio and channels == 1:
            self._choice = replace(self._choice, channels="mix")

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded so far: silence, or the picture before, stands in for them."""
        sound = self._sound.damaged if self._sound is not None else 0
        return max(self._damaged["audio"], sound) + self._damaged["video"]

    @classmethod
    def open(cls, path: Path | str, choice: SoundChoice = DEFAULT_SOUND) -> Self:
        """Open a recording.

        Args:
            path: of an mp4, mov, m4a, mkv, webm, avi, wav, flac, mp3, ogg, aac or mpeg-ts file, told by its content.
            choice: which of its tracks and channels is heard.

        Raises:
            InputError: the file is missing, of no known format, beyond the limits, nothing in it can be decoded, or it
                has no such track or channel.
            MissingExtraError: PyAV is not installed.
        """
        return cls(path, choice)

    def close(self) -> None:
        """Close the file."""
        if self._sound is not None:
            self._damaged["audio"] = self._sound.damaged
            self._sound.close()
            self._sound = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def audio(self, start: float = 0.0, end: float | None = None) -> NDArray[np.float32]:
        """Sound of a span, mono at 16 kHz.

        Args:
            start: in seconds.
            end: in seconds; None means to the end of the recording.

        Returns:
            `(samples,)` in -1…1: `round(16000 * (end - start))` samples from sample `round(16000 * start)` on, fewer
            where the recording ends within the span, none beyond its end or without sound.

        Raises:
            InputError: the sound cannot be decoded, or the span is none.
        """
        if not start >= 0 or (end is not None and not end >= start):
            raise InputError(f"{self.path}: expected a span of ascending times from 0 on, found {start} to {end}")
        if not self.has_audio:
            return np.empty(0, dtype=np.float32)
        sound = self._open_sound()
        first = round(min(start, MAX_SECONDS) * SAMPLE_RATE)
        length = round((MAX_SECONDS if end is None else min(end - start, MAX_SECONDS)) * SAMPLE_RATE)
        return sound.read(first, first + length)

    @property
    def heard(self) -> SoundChoice:
        """The track and the channels that are heard, as they were chosen or found.

        Raises:
            InputError: the sound cannot be decoded.
        """
        if self.has_audio:
            self._open_sound()
        return self._choice

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user should know of its tracks and, once sound was given out, of its channels; a few words each."""
        return tuple(self._remarks)

    def length(self) -> float:
        """Seconds until its sound and pictures have ended; the sound is decoded for it, since files state it wrongly.

        Raises:
            InputError: the sound cannot be decoded.
        """
        seen = (self.duration or MAX_SECONDS) if self.has_video else 0.0
        return max(self._open_sound().length / SAMPLE_RATE, seen) if self.has_audio else seen

    def _open_sound(self) -> Sound:
        if self._sound is None:
            self._sound = self._sound_of_choice()
        return self._sound

    def _sound_of_choice(self) -> Sound:
        chosen = self._choice.channels
        if chosen == "mix" or isinstance(chosen, int):
            source = open_source(self.path, "audio", self._choice.track)
            return Sound(source, self._origin, None if chosen == "mix" else int(chosen))
        survey = Survey()
        mix = Sound(open_source(self.path, "audio", self._choice.track), self._origin, survey=survey)
        try:
            mix.length  # noqa: B018 (decodes all of it)
        except BaseException:
            mix.close()
            raise
        found = survey.verdict()
        if chosen is None and found.cancelled:
            self._remarks.append(
                f"its channels cancel out when they are mixed, so channel {found.best} alone is heard"
                if found.by_best
                else "its channels cancel out in part when they are mixed, and are mixed all the same"
            )
        elif chosen is None and found.different:
            self._remarks.append("its two channels hold different sound, such as a speaker each, and are mixed")
        if chosen is None and not found.by_best:
            self._choice = replace(self._choice, channels="mix")
            return mix
        mix.close()
        self._choice = replace(self._choice, channels=found.best)
        return self._sound_of_choice()

    def audio_blocks(self, seconds: float = 30.0) -> Iterator[NDArray[np.float32]]:
        """The whole sound in blocks, one after the other.

        Args:
            seconds: length of a block; the last one is shorter.

        Raises:
            InputError: the sound cannot be decoded.
        """
        if not seconds * SAMPLE_RATE >= 1:
            raise InputError(f"{self.path}: expected blocks of some length, found {seconds} s")
        samples, first = round(seconds * SAMPLE_RATE), 0
        while len(block := self.audio(first / SAMPLE_RATE, (first + samples) / SAMPLE_RATE)):
            yield block
            first += samples

    def frames(self, times: Iterable[float]) -> Iterator[Frame]:
        """The pictures shown at some times.

        Args:
            times: in seconds, ascending.

        Yields:
            A frame for each time at which there is a picture: none before the first one, none after the last one's end.

        Raises:
            InputError: the pictures cannot be decoded, or the times do not ascend.
        """
        if not self.has_video:
            return
        source = open_source(self.path, "video", self._tracks["video"])
        aspect = float(source.stream.sample_aspect_ratio or 1)
        try:
            time, last, pixels = 0.0, None, np.empty((0, 0, 3), dtype=np.uint8)
            shown = Pictures(source, self._origin).at(times)
            while True:
                with decoding(self.path, f"decoding its pictures after {time:.1f} s"):
                    time, picture = next(shown, (time, None))
                    if picture is None:
                        return
                    if picture is not last:
                        last, pixels = picture, upright(picture, aspect)
                yield Frame(time, pixels)
        finally:
            self._damaged["video"] = max(self._damaged["video"], source.damaged)
            source.close()


@dataclass(frozen=True, slots=True)
class _Probe:
    """The track that is taken, and when the first thing in it begins by the file's own timestamps."""

    track: int | None
    start: float | None
    channels: int
    duration: float | None
    trouble: str
    remark: str


def _probe(path: Path, kind: Kind, wanted: int | str | None) -> _Probe:
    """Find the first track of those wanted of which something can be decoded."""
    tried: list[int] = []
    troubles: list[str] = []
    while True:
        source = open_source(path, kind, wanted, tried)
        try:
            frame = next(source.frames(), None) if source.track is not None else None
            if frame is None and source.track is not None:
                tried.append(source.track.number)
                troubles.append(source.trouble or "nothing in it can be decoded")
                if wanted is not None:
                    raise InputError(f"{path}: audio track {source.track} cannot be used: {troubles[0]}")
                continue
            if frame is None or source.track is None:
                return _Probe(None, None, 0, source.duration, troubles[0] if troubles else "", "")
            channels = len(frame.layout.channels) if kind == "audio" else 0
            start = float(frame.time or 0.0)
            return _Probe(source.track.number, start, channels, source.duration, "", _remark(source, kind, wanted))
        finally:
            source.close()


def _remark(source: Source, kind: Kind, wanted: int | str | None) -> str:
    """Which of several tracks was taken, where the user did not say."""
    if source.track is None or wanted is not None or len(source.tracks) < 2:
        return ""
    taken = "heard" if kind == "audio" else "seen"
    skipped = [track for track in source.tracks if track.default and not source.track.default]
    lost = f", since the default one, {skipped[0].number}, cannot be decoded" if skipped else ""
    return f"it has the {kind} tracks {listed(source.tracks)}; number {source.track.number} is {taken}{lost}"
