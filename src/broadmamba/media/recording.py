"""A recording: its sound as mono 16 kHz for any span, its pictures at any times, with flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.media.container import MAX_SECONDS, Kind, decoding, open_source
from broadmamba.media.sound import SAMPLE_RATE, Sound

__all__ = ["SAMPLE_RATE", "Frame", "Recording"]


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture of a recording.

    Attributes:
        time: seconds from the start of the recording, as asked for.
        pixels: `(height, width, 3)`, red, green, blue, upright.
    """

    time: float
    pixels: NDArray[np.uint8]


class Recording:
    """An open audio or video file; a context manager.

    Time is in seconds from the first sample or picture of the recording, whichever comes first.

    Attributes:
        path: of the file.
        duration: in seconds as the file states it, or None where it does not.
        has_audio: whether there is sound.
        has_video: whether there are moving pictures; the cover picture of a music file is none.
    """

    def __init__(self, path: Path | str) -> None:
        """As `open`."""
        self.path = Path(path)
        starts = {kind: self._first_time(kind) for kind in ("audio", "video")}
        self.has_audio, self.has_video = starts["audio"] is not None, starts["video"] is not None
        known = [start for start in starts.values() if start is not None]
        if not known:
            raise InputError(f"{self.path}: it holds neither sound nor pictures that can be decoded")
        self._origin = min(known)
        self._sound: Sound | None = None
        self.duration = self._stated_duration()

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
        number = 0
        while len(block := self.audio(number * seconds, (number + 1) * seconds)):
            yield block
            number += 1

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
        try:
            wanted = iter(times)
            time = next(wanted, None)
            shown: Any = None
            for picture in source.frames():
                at = float(picture.pts * picture.time_base) - self._origin
                while time is not None and shown is not None and time < at:
                    yield self._frame(time, shown)
                    time = next(wanted, None)
                if time is None:
                    return
                shown = picture
            while time is not None and shown is not None:
                end = float((shown.pts + (shown.duration or 0)) * shown.time_base) - self._origin
                if time >= end:
                    return
                yield self._frame(time, shown)
                time = next(wanted, None)
        finally:
            source.close()

    def _frame(self, time: float, picture: Any) -> Frame:
        with decoding(self.path, f"showing its picture at {time:.1f} s"):
            return Frame(time, picture.to_ndarray(format="rgb24"))

    def _first_time(self, kind: Kind) -> float | None:
        source = open_source(self.path, kind)
        try:
            if source.stream is None:
                return None
            frame = next(source.frames(), None)
            return None if frame is None or frame.pts is None else float(frame.pts * frame.time_base)
        finally:
            source.close()

    def _stated_duration(self) -> float | None:
        source = open_source(self.path, "audio" if self.has_audio else "video")
        try:
            stated = source.container.duration
        finally:
            source.close()
        return stated / 1e6 if stated and 0 < stated / 1e6 <= MAX_SECONDS else None
