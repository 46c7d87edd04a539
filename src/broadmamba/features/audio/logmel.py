"""Log-mel statistics: how the energy of a sound lies over pitch and how it moves, with NumPy alone.

Power spectra of 32 ms (512 samples at 16 kHz, periodic Hann window) every 10 ms, without padding; 40 triangular
filters from 0 to 8000 Hz, evenly spaced on the mel scale 2595 log₁₀(1 + f/700) and with peak 1; 10 log₁₀ of
each, not below −100 dB. Three statistics over the frames, band by band: mean, population SD, and population SD
of the difference to the frame before (0 where there is one frame).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.features.audio.extractor import AudioExtractor
from broadmamba.media.recording import SAMPLE_RATE

BANDS = 40
WINDOW = 512
HOP = 160
_FLOOR = 1e-10
_FRAMES_AT_ONCE = 3000
"""Half a minute: a long span needs no more memory than that."""

_STATISTICS = ("mean", "sd", "delta_sd")


def logmel_extractor() -> AudioExtractor:
    """The extractor of the feature `logmel`; a span shorter than a window (32 ms) gives a missing row."""
    spec = FeatureSpec(
        name="logmel",
        modality="audio",
        width=len(_STATISTICS) * BANDS,
        version="1",
        licence="Apache-2.0",
        columns=tuple(f"band{band:02d}_{statistic}" for statistic in _STATISTICS for band in range(1, BANDS + 1)),
    )
    return AudioExtractor(spec, logmel_statistics)


def logmel_statistics(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean, SD and SD of differences of each band.

    Args:
        samples: `(samples,)`, mono at 16 kHz.

    Returns:
        `(3 · 40,)`: the means of all bands, the SDs, the SDs of differences, in dB; NaN throughout where the
        sound is shorter than a window.
    """
    if len(samples) < WINDOW:
        return np.full(len(_STATISTICS) * BANDS, np.nan, dtype=np.float32)
    levels = log_mel(samples)
    changes = np.diff(levels, axis=0).std(axis=0) if len(levels) > 1 else np.zeros(BANDS)
    return np.concatenate([levels.mean(axis=0), levels.std(axis=0), changes]).astype(np.float32)


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Energy in dB by frame and band.

    Args:
        samples: `(samples,)`, mono at 16 kHz, at least one window.

    Returns:
        `(1 + (samples − 512) // 160, 40)`.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    window = np.hanning(WINDOW + 1)[:-1]
    filters = mel_filters().T
    powers = [
        np.abs(np.fft.rfft(frames[i : i + _FRAMES_AT_ONCE] * window)) ** 2 @ filters
        for i in range(0, len(frames), _FRAMES_AT_ONCE)
    ]
    levels: NDArray[np.float64] = 10 * np.log10(np.maximum(np.concatenate(powers), _FLOOR))
    return levels


def mel_filters() -> NDArray[np.float64]:
    """`(40, 257)`: the weight of each bin of the spectrum in each band."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    low, centre, high = (edges[i : i + BANDS, None] for i in range(3))
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling))
