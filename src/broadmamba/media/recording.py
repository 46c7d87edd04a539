"""A recording: its sound as mono 16 kHz for any span, its pictures at any times, with flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.media.container import MAX_SECONDS, Kind, decoding, open_source
from broadmamba.media.pictures import Pictures, upright
from broadmamba.media.sound import SAMPLE_RATE, Sound

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

    Attributes:
        path: of the file.
        duration: in seconds as the file states it, which may be a little off; None where it states none.
        has_audio: whether there is sound.
        has_video: whether there are moving pictures; the cover picture of a music file is none.
    """

    def __init__(self, path: Path | str) -> None:
        """As `open`."""
        self.path = Path(path)
        probes = {kind: _probe(self.path, kind) for kind in _KINDS}
        starts = [probe.start for probe in probes.values() if probe.start is not None]
        if not starts:
            reasons = "; ".join(f"{kind}: {probe.trouble}" for kind, probe in probes.items() if probe.trouble)
            raise InputError(
                f"{self.path}: nothing in it can be decoded ({reasons or 'it holds no sound, no pictures'})"
            )
        self._origin = min(starts)
        self.duration = probes["audio"].duration
        self.has_audio, self.has_video = (probes[kind].start is not None for kind in _KINDS)
        self._damaged = dict.fromkeys(_KINDS, 0)
        self._sound: Sound | None = None

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded so far: silence, or the picture before, stands in for them."""
        sound = self._sound.damaged if self._sound is not None else 0
        return max(self._damaged["audio"], sound) + self._damaged["video"]

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a recording.

        Args:
            path: of an mp4, mov, m4a, mkv, webm, avi, wav, flac, mp3, ogg, aac or mpeg-ts file, told by its content.

        Raises:
            InputError: the file is missing, of no known format, beyond the limits, or nothing in it can be decoded.
            MissingExtraError: PyAV is not installed.
        """
        return cls(path)

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
        if self._sound is None:
            self._sound = Sound(open_source(self.path, "audio"), self._origin)
        first = round(min(start, MAX_SECONDS) * SAMPLE_RATE)
        length = round((MAX_SECONDS if end is None else min(end - start, MAX_SECONDS)) * SAMPLE_RATE)
        return self._sound.read(first, first + length)

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
        source = open_source(self.path, "video")
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
    start: float | None
    duration: float | None
    trouble: str


def _probe(path: Path, kind: Kind) -> _Probe:
    """When the first thing of a kind that can be decoded begins, by the file's own timestamps."""
    source = open_source(path, kind)
    try:
        frame = next(source.frames(), None) if source.stream is not None else None
        start = None if frame is None else float(frame.time or 0.0)
        return _Probe(start, source.duration, source.trouble)
    finally:
        source.close()
