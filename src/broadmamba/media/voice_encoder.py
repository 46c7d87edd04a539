"""The voice encoder: speech to unit vectors that are near to one another for one voice.

The network is that of Resemblyzer (Wan et al., Generalized End-to-End Loss for Speaker Verification, 2018): three LSTM
layers over a mel spectrogram, and a linear layer of the last one's last state. `export/voice.py` has converted it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from broadmamba.media.recording import SAMPLE_RATE
from broadmamba.networks import network_file
from broadmamba.sessions import Session

Array = NDArray[np.float32]

WIDTH = 256
"""Of a voice's vector."""

MELS = 40
"""Bands of the spectrogram."""

WINDOW, STEP = 160, 40
"""Frames: the encoder hears 1.6 s at a time, here every 0.4 s."""

_FRAME, _HOP = 400, 160  # samples: 25 and 10 ms
WINDOW_SECONDS, STEP_SECONDS = WINDOW * _HOP / SAMPLE_RATE, STEP * _HOP / SAMPLE_RATE

_LOUDNESS = 10 ** (-30 / 20)  # the least root mean square that the encoder is used to
_FRAMES_AT_ONCE, _WINDOWS_AT_ONCE = 1000, 32  # whose work stays in the processor's cache

_GRAPH_SHA256 = "c31491c0c96274025bf14f1bbe7276e9f0b06818d88ef23e62976355eb53e448"
_WEIGHTS_SHA256 = "f6885b73e0727ddf7c0625216dc06bafaa6b24105377206f5898ba0a214dbc8f"


class VoiceEncoder:
    """Turns speech into unit vectors that are near to one another for one voice.

    Raises:
        InputError: the network's files are others than came with the package.
    """

    def __init__(self) -> None:
        from safetensors.numpy import load

        weights = load(network_file("voice.safetensors", _WEIGHTS_SHA256))
        graph = network_file("voice.onnx", _GRAPH_SHA256)
        self._network = Session(graph, weights, what="the voice encoder", device="cpu")
        self._filters = mel_filters().T

    def windows(self, samples: Array) -> Array:
        """Embed a stretch of speech window by window.

        Args:
            samples: `(samples,)` mono, 16 kHz; the shorter it is than 1.6 s, the less the result says.

        Returns:
            `(windows, 256)`: unit vectors of windows of 1.6 s that start every 0.4 s and lie wholly inside; one, of
            the stretch followed by silence, where none does.
        """
        loudness = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
        if 0 < loudness < _LOUDNESS:
            samples = samples * np.float32(_LOUDNESS / loudness)
        if len(samples) < WINDOW * _HOP:
            samples = np.pad(samples, (0, WINDOW * _HOP - len(samples)))
        mels = np.lib.stride_tricks.sliding_window_view(self._mels(samples), WINDOW, axis=0)[::STEP].transpose(0, 2, 1)
        return np.concatenate([self._embed(batch) for batch in _in_parts(mels, _WINDOWS_AT_ONCE)])

    def _mels(self, samples: Array) -> Array:
        """Mel power spectrogram `(frames, 40)`: a frame every 10 ms, its middle at the start of its samples."""
        padded = np.pad(samples, _FRAME // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP][: len(samples) // _HOP]
        window = np.hanning(_FRAME + 1)[:-1]
        powers = (
            np.abs(np.fft.rfft(part * window)) ** 2 @ self._filters for part in _in_parts(frames, _FRAMES_AT_ONCE)
        )
        return np.concatenate([part.astype(np.float32) for part in powers])

    def _embed(self, mels: Array) -> Array:
        """`(windows, 160, 40)` to unit vectors `(windows, 256)`."""
        (voices,) = self._network.run({"mels": np.ascontiguousarray(mels)}, ["voices"])
        return unit_vectors(voices)


def unit_vectors(vectors: Array) -> Array:
    """Vectors along the last axis, scaled to length 1; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Array = (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return unit


def mel_filters() -> Array:
    """Triangular filters on Slaney's mel scale, each of unit area.

    The scale is linear below 1 kHz (66⅔ Hz a mel) and logarithmic above (6.4-fold over 27 mels).

    Returns:
        `(40, 201)`: weights of the power at 0, 40, … 8000 Hz.
    """
    knee = 15.0  # mels at 1 kHz
    mels = np.linspace(0, knee + 27 * math.log(SAMPLE_RATE / 2 / 1000) / math.log(6.4), MELS + 2)
    edges = np.where(mels < knee, mels * 200 / 3, 1000 * 6.4 ** ((mels - knee) / 27))
    bins = np.linspace(0, SAMPLE_RATE / 2, _FRAME // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)).clip(min=0)
    filters: Array = (triangles * 2 / (high - low)).astype(np.float32)
    return filters


def _in_parts(rows: Array, size: int) -> Iterator[Array]:
    return (rows[first : first + size] for first in range(0, len(rows), size))
