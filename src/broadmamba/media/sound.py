"""The sound of a recording as mono 16 kHz on the recording's own clock."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.media.channels import MIX, Survey, as_mono, interleaved, mixing_weights
from broadmamba.media.container import MAX_CHANNELS, MAX_SECONDS, SAMPLE_RATES, Clock, Source, decoding

if TYPE_CHECKING:
    from av import AudioFrame

SAMPLE_RATE = 16_000
"""Hz, of all sound that is given out."""
TOLERANCE = 0.1
"""Seconds that timestamps may stray from the count of samples before they are believed."""
_IN_MEMORY = 64 * 2**20  # bytes, 17 minutes; more goes to a temporary file on disk


class Sound:
    """What was decoded so far, kept so that any span is exact and none is decoded twice.

    Decoding runs forward only: a decoder that starts in the middle gives other samples at first (overlapping windows,
    bit reservoirs, noise generators), and timestamps are too coarse in some containers to place it exactly.
    """

    def __init__(self, source: Source, origin: float, channel: int | None = None, survey: Survey | None = None) -> None:
        """Start at the beginning.

        Args:
            source: of an audio stream; it is closed with this object.
            origin: the timestamp in seconds that counts as zero.
            channel: the one to hear, counted from 1; None mixes them all.
            survey: listens to all channels meanwhile.
        """
        self._source = source
        self._frames = source.frames()
        self._clock = Clock(origin)
        self._spool = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed by `close`)
        self._written = 0
        self._finished = False
        self._channel = channel
        self._survey = survey
        self._resampler: Any = None
        self._spread: Any = None  # gives all channels as floats, where they are needed
        self._mean = False  # of the channels, where FFmpeg knows no mix of them
        self._format: tuple[str, str, int] | None = None
        self._start = 0.0
        self._samples = 0
        self._skip = 0
        self._failure: InputError | None = None

    def close(self) -> None:
        """Close the file and forget what was decoded."""
        self._spool.close()
        self._source.close()

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded so far."""
        return self._source.damaged

    @property
    def length(self) -> int:
        """Samples of all of it, for which it is decoded to the end."""
        self._decode_to(MAX_SECONDS * SAMPLE_RATE + 1)
        return self._written

    def read(self, first: int, last: int) -> NDArray[np.float32]:
        """Samples `first` to `last` (exclusive), fewer where the recording ends before."""
        self._decode_to(last)
        samples = np.empty(max(min(last, self._written) - first, 0), dtype=np.float32)
        self._spool.seek(4 * first)
        self._spool.readinto(samples.view(np.uint8))  # type: ignore[arg-type]
        return samples

    def _decode_to(self, last: int) -> None:
        while self._written < last and not self._finished:
            if self._failure is not None:
                raise self._failure
            try:
                with decoding(self._source.path, f"decoding its sound at {self._written / SAMPLE_RATE:.1f} s"):
                    self._advance()
            except InputError as failure:
                self._failure = failure
                raise

    def _advance(self) -> None:
        """Decode one frame more."""
        frame = next(self._frames, None)
        if frame is None:
            self._flush()
            self._finished = True
            return
        if not frame.samples:
            return
        self._place(frame)
        self._samples += frame.samples
        self._write(self._resampler.resample(self._chosen(_finite(frame))))

    def _chosen(self, frame: AudioFrame) -> AudioFrame:
        """The frame, or its one channel that is to be heard."""
        if self._spread is None:
            return frame
        samples = interleaved(frame, self._spread)
        if self._survey is not None:
            self._survey.add(samples)
        if self._channel is not None:
            return as_mono(samples[:, min(self._channel, samples.shape[1]) - 1], frame)
        return as_mono(samples.mean(axis=1), frame) if self._mean else frame

    def _place(self, frame: AudioFrame) -> None:
        """Begin anew where the format changes or time jumps."""
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        expected = self._start + self._samples / (self._format[2] if self._format else 1)
        time = self._clock.time(frame, expected)
        if self._resampler is not None and form == self._format and abs(time - expected) <= TOLERANCE:
            return
        from av import AudioResampler

        if frame.sample_rate not in SAMPLE_RATES or not 1 <= len(frame.layout.channels) <= MAX_CHANNELS:
            raise InputError(f"{self._source.path}: its sound changes to {form} at {time:.1f} s")
        self._flush()
        self._start, self._samples, self._format = time, 0, form
        self._resampler = AudioResampler("flt", "mono", SAMPLE_RATE, options=MIX)
        self._spread = None
        if (channels := len(frame.layout.channels)) > 1:
            weights = mixing_weights(frame.layout.name, channels, frame.sample_rate)
            self._mean = weights is None
            if self._mean or self._channel is not None or self._survey is not None:
                self._spread = AudioResampler("flt", frame.layout.name, frame.sample_rate)
            if self._survey is not None:
                self._survey.begin(frame.sample_rate, np.full(channels, 1 / channels) if weights is None else weights)
        position = round(time * SAMPLE_RATE)
        self._skip = max(self._written - position, 0)
        self._silence(position - self._written)

    def _flush(self) -> None:
        if self._resampler is not None:
            self._write(self._resampler.resample(None))
            self._resampler = None

    def _silence(self, samples: int) -> None:
        if samples <= 0:
            return
        self._limit(samples)
        self._written += samples
        if 4 * self._written > _IN_MEMORY:  # a hole in a file on disk takes no space
            self._spool.rollover()
            self._spool.truncate(4 * self._written)
        else:
            self._spool.seek(0, 2)
            self._spool.write(bytes(4 * samples))

    def _write(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            samples = np.clip(_values(frame, 0)[self._skip :], -1, 1)
            self._skip = max(self._skip - frame.samples, 0)
            self._limit(len(samples))
            self._spool.seek(0, 2)
            self._spool.write(samples.tobytes())
            self._written += len(samples)

    def _limit(self, more: int) -> None:
        if self._written + more > MAX_SECONDS * SAMPLE_RATE:
            raise InputError(f"{self._source.path}: its sound is longer than {MAX_SECONDS // 3600} hours")


def _finite(frame: AudioFrame) -> AudioFrame:
    """Silence for what is no number, full scale for what is infinite."""
    from av import AudioFrame

    if not frame.format.name.startswith(("flt", "dbl")):
        return frame
    if all(np.isfinite(_values(frame, plane)).all() for plane in range(len(frame.planes))):
        return frame
    samples: NDArray[np.float32] = frame.to_ndarray()  # type: ignore[assignment]  # or float64
    mended = AudioFrame.from_ndarray(
        np.nan_to_num(samples, nan=0, posinf=1, neginf=-1), frame.format.name, frame.layout.name
    )
    mended.sample_rate, mended.pts, mended.time_base = frame.sample_rate, frame.pts, frame.time_base
    return mended


def _values(frame: AudioFrame, plane: int) -> NDArray[np.float32]:
    """The floats of one plane, without the padding behind them and without a copy."""
    count = frame.samples * (1 if frame.format.is_planar else len(frame.layout.channels))
    kind: type = np.float32 if frame.format.bytes == 4 else np.float64
    return np.frombuffer(frame.planes[plane], dtype=kind, count=count)  # type: ignore[call-overload,no-any-return]
