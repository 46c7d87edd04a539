"""The pictures of a recording at given times: one pass forward that decodes no more than it must."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.media.container import MAX_PIXELS, MAX_SECONDS, Clock, Source

if TYPE_CHECKING:
    from av import VideoFrame

_REORDER = 32  # packets; at most 16 pictures of H.264 and HEVC are decoded before one that is shown earlier
_SEEK_AHEAD = 12.0  # seconds; encoders rarely put more than 10 s between the pictures that decoding can start from
_SEEK_MARGIN = 1.0  # seconds; containers seek by decoding time, which is earlier than the time shown


class Wanted:
    """Ascending times that are taken from an iterable no further than need be."""

    def __init__(self, times: Iterable[float], path: Path) -> None:
        """Begin before the first; `path` is for messages."""
        self._path = path
        self._times = iter(times)
        self._known: deque[float] = deque()
        self._last = 0.0

    def any_between(self, first: float, last: float) -> bool:
        """Whether a time lies in `first` ≤ time < `last`."""
        while (not self._known or self._known[-1] < last) and self._take():
            pass
        return any(first <= time < last for time in self._known)

    def peek(self) -> float | None:
        """The next time, or None where there is none."""
        return self._known[0] if self._known or self._take() else None

    def before(self, end: float) -> Iterator[float]:
        """Take the times before `end`."""
        while (time := self.peek()) is not None and time < end:
            yield self._known.popleft()

    def _take(self) -> bool:
        time = next(self._times, None)
        if time is None:
            return False
        if not self._last <= time < float("inf"):
            raise InputError(f"{self._path}: the times of pictures must ascend from 0, found {time} after {self._last}")
        self._known.append(time)
        self._last = time
        return True


class Pictures:
    """One pass over the pictures of a recording."""

    def __init__(self, source: Source, origin: float) -> None:
        """Start at the beginning.

        Args:
            source: of a video stream, which the caller closes.
            origin: the timestamp in seconds that counts as zero.
        """
        self._source = source
        self._clock = Clock(origin)
        # Only these keep both the order of decoding and the time shown of every picture, and an index to seek by.
        self._exact = source.container.format.name.startswith(("mov", "matroska"))
        self._usual = 1 / float(source.stream.average_rate or 25)  # seconds that a picture of no stated length is shown

    def at(self, times: Iterable[float]) -> Iterator[tuple[float, VideoFrame]]:
        """Each time with the picture shown then: the last one that began by it.

        Args:
            times: in seconds, ascending.

        Raises:
            InputError: the times do not ascend.
        """
        wanted = Wanted(times, self._source.path)
        shown, end = None, 0.0
        for time, picture in self._from_start(wanted):
            for at in wanted.before(time):
                if shown is not None:  # else nothing is shown yet
                    yield at, shown
            if wanted.peek() is None:
                return
            shown, end = picture, time + self._length(picture)
        if shown is not None:
            for at in wanted.before(end):
                yield at, shown

    def _length(self, picture: VideoFrame) -> float:
        return float(picture.duration * picture.time_base) if picture.duration and picture.time_base else self._usual

    def _from_start(self, wanted: Wanted) -> Iterator[tuple[float, VideoFrame]]:
        """Pictures with their times, ascending: at least those that are shown at a wanted time."""
        frames, time, length, ahead = self._frames(wanted), 0.0, 0.0, _SEEK_AHEAD
        while (target := wanted.peek()) is not None:
            if self._exact and target > time + ahead and not self._clock.was_set:
                frames = self._seek(wanted, target - _SEEK_MARGIN)
                picture = next(frames, None)
                landed = float("inf") if picture is None else self._clock.seconds(picture.time)
                if picture is None or landed > target:  # the index is wrong: from the start, and without it
                    frames, time, length, ahead = self._seek(wanted, 0.0), 0.0, 0.0, float("inf")
                    continue
                if landed <= time:  # that was a step back: such pictures lie far apart here
                    ahead = 2 * (target - landed)
                time = landed
            else:
                picture = next(frames, None)
                if picture is None:
                    return
                time = max(self._clock.time(picture, time + length), time)
            if time > MAX_SECONDS:
                raise InputError(f"{self._source.path}: its pictures go on for more than {MAX_SECONDS // 3600} hours")
            length = self._length(picture)
            yield time, picture

    def _seek(self, wanted: Wanted, time: float) -> Iterator[VideoFrame]:
        """Decode from the last picture before a time that decoding can start from."""
        stream = self._source.stream
        self._source.container.seek(int(self._clock.stamp(time) / stream.time_base), stream=stream)
        return self._frames(wanted)

    def _frames(self, wanted: Wanted) -> Iterator[VideoFrame]:
        """Decode from here on, passing over pictures that no wanted time shows and no other picture is made from."""
        context = self._source.stream.codec_context
        if not self._exact or context.name not in ("h264", "hevc"):
            yield from self._source.frames()
            return
        waiting: deque[Any] = deque()
        stamps: deque[int | None] = deque(maxlen=2 * _REORDER)  # of the packets waiting and the same number before
        for packet in chain(self._source.packets(), [None] * _REORDER):
            if packet is not None:
                stamps.append(packet.pts)
                waiting.append(packet)
            if waiting and (packet is None or len(waiting) == _REORDER):
                ready = waiting.popleft()
                context.skip_frame = "DEFAULT" if self._is_shown(ready, stamps, wanted) else "NONREF"
                yield from self._source.decode(ready)

    def _is_shown(self, packet: Any, stamps: Iterable[int | None], wanted: Wanted) -> bool:
        if packet.pts is None or None in stamps or self._clock.was_set:
            return True
        following = min((stamp for stamp in stamps if stamp is not None and stamp > packet.pts), default=None)
        if following is None:
            return True
        first, last = (self._clock.seconds(float(stamp * packet.time_base)) for stamp in (packet.pts, following))
        return wanted.any_between(first, last)


def upright(picture: VideoFrame, aspect: float) -> NDArray[np.uint8]:
    """Pixels of a picture as it is meant to be seen: turned and mirrored as its display matrix says, pixels square.

    Args:
        picture: decoded.
        aspect: width of a pixel relative to its height.

    Returns:
        `(height, width, 3)`, red, green, blue.

    Raises:
        ValueError: made square, the pixels would be too many.
    """
    width = round(picture.width * aspect)
    if not 1 <= width <= MAX_PIXELS // picture.height:
        raise ValueError(f"with pixels {aspect:.3g} wide it would be {width}x{picture.height}")
    # in one thread: by itself, each picture has threads of its own, which stay until its memory is collected
    pixels: NDArray[np.uint8] = picture.to_ndarray(format="rgb24", width=width, threads=1)  # type: ignore[assignment]
    turn: Any = picture.side_data.get("DISPLAYMATRIX")
    if turn is not None and len(matrix := np.frombuffer(bytes(turn), dtype=np.int32)) == 9:
        across, down = int(matrix[0]), int(matrix[4])
        if abs(matrix[0]) < abs(matrix[1]):  # what was down is now across
            pixels = pixels.transpose(1, 0, 2)
            across, down = int(matrix[3]), int(matrix[1])
        pixels = pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
    return np.ascontiguousarray(pixels)
