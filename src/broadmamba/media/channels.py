"""The channels of a sound: whether they cancel out when they are mixed, and which one is best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import AudioFrame

Array = NDArray[np.float64]
Samples = NDArray[np.float32]

FRAMES_A_SECOND = 20
_HEARD = 1e-8  # power of the change from sample to sample, full scale is 1; what is quieter is not heard
_CANCELS = 0.1  # power of the mix, of what it is for channels that have nothing in common
_COPY = 0.95  # correlation from which on two channels are copies, be one of them inverted
_MUCH, _SOME, _LITTLE = 0.3, 0.1, 0.01  # shares of the power
_FEWEST = 2  # frames that count
_MATCHED = 30  # dB between the loud moments of two channels; one that is quieter still holds nothing
_BELOW_TOP = 35.0  # dB
_ALIKE = 0.3  # correlation over time of the levels of two channels that hold the same sound
_LEVELS = 121  # dB from -120 to 0
_QUIETEST = 40  # of these; a sound is no clearer for pauses that are quieter still
_AS_CLEAR = 3  # dB


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a survey of all channels found.

    Attributes:
        cancelled: whether a part of the sound cancels out in the mix that is worth a word.
        best: the channel, counted from 1, in which sound stands out from its pauses most, the loudest of such.
        by_best: whether that one alone is to be heard: most cancels out, or it lacks nothing that the others have.
        different: whether two channels hold different sound, as where each speaker has one.
    """

    cancelled: bool
    best: int
    by_best: bool
    different: bool


class Survey:
    """Listens to all channels of a sound from its beginning to its end, with flat memory.

    What counts is the change from sample to sample, at about 16 kHz: in it speech is strong, hum weak, and an offset
    nothing.
    """

    def __init__(self) -> None:
        self._waiting: list[Samples] = []
        self._length = 0
        self._rate = 0
        self._weights: Array = np.empty(0)
        self._channels = 1
        self._cancelled_frames = 0
        self._power = self._cancelled = self._copied = 0.0  # in the mix if channels had nothing in common
        self._levels = np.zeros((0, _LEVELS), dtype=np.int64)
        self._top = 0.0
        self._moments = np.zeros(6)  # of the levels of two channels: number, sums, sums of squares and of products

    def begin(self, rate: int, weights: Array) -> None:
        """Expect sound of another kind from here on.

        Args:
            rate: samples a second.
            weights: of each channel in the mix.
        """
        self._measure(everything=True)
        self._rate, self._weights = rate, weights
        self._channels = max(self._channels, len(weights))
        if len(self._levels) < len(weights):
            more = len(weights) - len(self._levels)
            self._levels = np.concatenate([self._levels, np.zeros((more, _LEVELS), dtype=np.int64)])

    def add(self, samples: Samples) -> None:
        """Listen to the next samples, `(samples, channels)`."""
        self._waiting.append(samples)
        self._length += len(samples)
        if self._length >= self._rate:
            self._measure()

    def verdict(self) -> Verdict:
        """What was found; nothing may be added afterwards."""
        self._measure(everything=True)
        copies = self._copied >= _COPY * self._power
        cancelled, by_best = (
            self._cancelled_frames >= _FEWEST and self._cancelled >= share * self._power
            for share in ((_LITTLE, _LITTLE) if copies else (_SOME, _MUCH))
        )
        return Verdict(cancelled, self._best(), by_best, self._are_different())

    def _measure(self, everything: bool = False) -> None:
        if not self._waiting:
            return
        samples = np.concatenate(self._waiting)
        size = self._rate // FRAMES_A_SECOND
        count = len(samples) // size
        self._waiting = [] if everything else [samples[count * size :]]
        self._length = sum(map(len, self._waiting))
        if not count:
            return
        frames = np.ascontiguousarray(samples[: count * size].T).reshape(-1, count, size)
        step = max(1, self._rate // 16_000)
        common = _products(frames[..., step:] - frames[..., :-step])
        powers = np.diagonal(common, axis1=1, axis2=2)
        mixed = np.einsum("c,fcd,d->f", self._weights, common, self._weights)
        heard = powers.max(axis=1) > _HEARD
        apart = powers @ np.square(self._weights)
        cancelled = heard & (mixed < _CANCELS * apart)
        self._cancelled_frames += int(cancelled.sum())
        self._power += float(apart[heard].sum())
        self._cancelled += float(apart[cancelled].sum())
        levels = 10 * np.log10(np.maximum(powers, 1e-12))
        for channel, of_channel in enumerate(levels.T):
            numbers = np.clip(np.round(of_channel).astype(int) + _LEVELS - 1, 0, _LEVELS - 1)
            self._levels[channel] += np.bincount(numbers, minlength=_LEVELS)
        if powers.shape[1] == 2:
            copies = np.abs(common[:, 0, 1]) >= _COPY * np.sqrt(powers.prod(axis=1))
            self._copied += float(apart[heard & copies].sum())
            self._compare(levels, heard)

    def _compare(self, levels: Array, heard: NDArray[np.bool_]) -> None:
        loudest = levels.max(axis=1)
        tops = np.maximum.accumulate(np.concatenate([[self._top or -120.0], loudest]))
        self._top = float(tops[-1])
        a, b = levels[heard & (loudest > tops[1:] - _BELOW_TOP)].T
        self._moments += [len(a), a.sum(), b.sum(), a @ a, b @ b, a @ b]

    def _are_different(self) -> bool:
        number, a, b, aa, bb, ab = self._moments
        if number < FRAMES_A_SECOND or self._channels != 2 or np.ptp(self._quantiles(0.95)) > _MATCHED:
            return False
        spread = np.sqrt(max(number * aa - a * a, 0.0) * max(number * bb - b * b, 0.0))
        return bool(number * ab - a * b < _ALIKE * spread)

    def _best(self) -> int:
        loud, quiet = self._quantiles(0.95), self._quantiles(0.1)
        clear = loud - np.maximum(quiet, _QUIETEST)
        if not len(clear):
            return 1
        return int(np.argmax(np.where(clear >= clear.max() - _AS_CLEAR, loud, -1))) + 1

    def _quantiles(self, share: float) -> NDArray[np.int64]:
        """The level, counted in dB from the lowest, that this share of each channel's frames do not exceed."""
        sums = self._levels.cumsum(axis=1)
        found: NDArray[np.int64] = (sums < share * sums[:, -1:]).sum(axis=1)
        return found


def _products(changes: Samples) -> Array:
    """Mean products of each two channels, `(frames, channels, channels)`, of `(channels, frames, samples)`."""
    channels, frames, samples = changes.shape
    products = np.empty((frames, channels, channels))
    for one in range(channels):
        for other in range(one + 1):
            sums = np.einsum("fs,fs->f", changes[one], changes[other])
            products[:, one, other] = products[:, other, one] = sums / samples
    return products


def mixing_weights(layout: str, channels: int, rate: int) -> Array | None:
    """The weight of each channel where FFmpeg makes one of them, or None where it knows none for the layout."""
    from av import AudioFrame, AudioResampler
    from av.error import FFmpegError

    one_each = AudioFrame.from_ndarray(np.eye(channels, dtype=np.float32).reshape(1, -1), "flt", layout)
    one_each.sample_rate = rate
    try:
        mixed = AudioResampler("flt", "mono", rate, options=MIX).resample(one_each)
    except FFmpegError:
        return None
    return np.concatenate([frame.to_ndarray()[0] for frame in mixed]).astype(np.float64)


MIX = {"rematrix_maxval": "1"}
"""FFmpeg's option by which no mix exceeds full scale."""


def interleaved(frame: AudioFrame, spread: Any) -> Samples:
    """The samples of a frame as floats.

    Args:
        frame: decoded.
        spread: the resampler that makes `flt` of its kind of frames, at the same rate.

    Returns:
        `(samples, channels)`.
    """
    made = [one.to_ndarray()[0] for one in spread.resample(frame)]
    return np.concatenate(made).reshape(-1, len(frame.layout.channels)) if made else np.empty((0, 1), np.float32)


def as_mono(samples: Samples, like: AudioFrame) -> AudioFrame:
    """Samples of one channel as a frame at the time and rate of another one."""
    from av import AudioFrame

    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None, :], "flt", "mono")
    frame.sample_rate, frame.pts, frame.time_base = like.sample_rate, like.pts, like.time_base
    return frame
