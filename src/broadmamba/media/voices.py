"""Who spoke when: voices are embedded, and stretches of speech that sound alike get one speaker's name.

The voice encoder is that of Resemblyzer (Wan et al., Generalized End-to-End Loss for Speaker Verification, 2018).
Only the weights in its package are used, checked by SHA-256: importing the package needs a compiled voice detector
that does not load beside a current setuptools.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.media.container import MAX_SECONDS
from broadmamba.media.recording import SAMPLE_RATE, Recording
from broadmamba.media.spans import Span
from broadmamba.media.turns import Turn
from broadmamba.storage import sha256

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float32]

_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
_WIDTH, _MELS = 256, 40
_FRAME, _HOP = 400, 160  # samples: 25 and 10 ms
_WINDOW, _STEP = 160, 40  # frames: the encoder hears 1.6 s at a time, here every 0.4 s
_WINDOW_SECONDS, _STEP_SECONDS = _WINDOW * _HOP / SAMPLE_RATE, _STEP * _HOP / SAMPLE_RATE
_LOUDNESS = 10 ** (-30 / 20)  # the least root mean square that the encoder is used to

_THRESHOLD = 0.27  # cosine distance at which two groups of stretches are two speakers
_CHANGE = 0.25  # cosine distance of the windows before and after a moment at which the speaker may change there
_MOST_CLUSTERED = 2000  # stretches; distances between all of them take 16 MB
_SAME_TURN = 1.0  # seconds: stretches of one speaker that are closer than this are one turn
_LONGEST_READ = 60.0  # seconds of one span that are held at a time


class VoiceEncoder:
    """Turns speech into unit vectors that are near to one another for one voice."""

    def __init__(self) -> None:
        """Load the weights from the package that holds them, without importing it.

        Raises:
            MissingExtraError: the package is not installed.
            InputError: its weights are others than expected.
        """
        import torch

        path = _weights_path()
        digest = sha256(path)
        if digest != _SHA256:
            raise InputError(
                f"{path}: the weights' SHA-256 is {digest[:12]}…, expected {_SHA256[:12]}… (reinstall resemblyzer)"
            )
        weights = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        self._lstm = torch.nn.LSTM(_MELS, _WIDTH, num_layers=3, batch_first=True)
        self._lstm.load_state_dict({k.removeprefix("lstm."): v for k, v in weights.items() if k.startswith("lstm.")})
        self._linear = torch.nn.Linear(_WIDTH, _WIDTH)
        self._linear.load_state_dict({name: weights[f"linear.{name}"] for name in ("weight", "bias")})
        self._filters = torch.from_numpy(mel_filters())

    def windows(self, samples: Array) -> Array:
        """Embed a stretch of speech window by window.

        Args:
            samples: `(samples,)` mono, 16 kHz; the shorter it is than 1.6 s, the less the result says.

        Returns:
            `(windows, 256)`: unit vectors of windows of 1.6 s that start every 0.4 s and lie wholly inside; one, of
            the stretch followed by silence, where none does.
        """
        import torch

        loudness = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
        if 0 < loudness < _LOUDNESS:
            samples = samples * np.float32(_LOUDNESS / loudness)
        if len(samples) < _WINDOW * _HOP:
            samples = np.pad(samples, (0, _WINDOW * _HOP - len(samples)))
        with torch.inference_mode():
            mels = self._mels(torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32)))
            windows = mels.unfold(0, _WINDOW, _STEP).transpose(1, 2)
            return np.concatenate([self._embed(batch) for batch in torch.split(windows, 64)])

    def _mels(self, samples: torch.Tensor) -> torch.Tensor:
        """Mel power spectrogram `(frames, 40)`: a frame every 10 ms, its middle at the start of its samples."""
        import torch

        spectrum = torch.stft(
            samples,
            _FRAME,
            _HOP,
            window=torch.hann_window(_FRAME),
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        frames = spectrum[:, : len(samples) // _HOP]  # the last frame's middle is where the samples end
        return (self._filters @ frames.abs().square()).T

    def _embed(self, mels: torch.Tensor) -> Array:
        import torch

        _, (hidden, _) = self._lstm(mels.contiguous())
        raw = torch.relu(self._linear(hidden[-1]))
        embedded: Array = torch.nn.functional.normalize(raw, dim=1).numpy()
        return embedded


def find_turns(
    recording: Recording,
    spans: Sequence[Span],
    speakers: int | None = None,
    on_progress: Callable[[float, float], None] | None = None,
) -> list[Turn]:
    """Find who speaks when.

    Stretches of speech are cut where the voice changes; those long enough to say something are grouped by
    agglomerative clustering (average linkage over cosine distance), and the rest go to the nearest group.

    Args:
        recording: open; one stretch at a time is read.
        spans: where somebody speaks, with ascending starts, such as those of `SpeechBlock.speech` or of utterances.
        speakers: how many there are, or None to find out.
        on_progress: called with the seconds of speech that were heard so far and all of them.

    Returns:
        Turns in the order of their starts; speakers are "Speaker 1", "Speaker 2"… as they first speak. There are
        fewer speakers than asked for only where there are fewer stretches of speech.

    Raises:
        InputError: the recording cannot be decoded, or fewer than one speaker was asked for.
        MissingExtraError: the extra `asr` is not installed.
    """
    if speakers is not None and speakers < 1:
        raise InputError(f"the number of speakers must be at least 1, found {speakers}")
    if not spans:
        return []
    stretches: list[Span] = []
    voices: list[Array] = []
    encoder, total, heard = VoiceEncoder(), sum(end - start for start, end in spans), 0.0
    for start, end in _readable(spans):
        samples = recording.audio(start, end)
        if len(samples):
            for first, last, voice in _same_voice(encoder.windows(samples), len(samples) / SAMPLE_RATE):
                stretches.append((start + first, start + last))
                voices.append(voice)
        heard += end - start
        if on_progress is not None:
            on_progress(heard, total)
    groups = group_voices(np.array(voices), [end - start for start, end in stretches], speakers)
    return _turns(stretches, groups)


def renumber_voices(conversation: Conversation) -> Conversation:
    """The conversation with its voices as "Speaker 1", "Speaker 2"… in the order in which they first say something.

    Voices that `find_turns` found and that no utterance is given to leave no hole in the numbers.

    Args:
        conversation: whose speakers are all voices; an utterance without one stays without.
    """
    utterances = (
        replace(u, speaker=None if number < 0 else _voice(number))
        for u, number in zip(conversation, conversation.speaker_indices(), strict=True)
    )
    return Conversation(conversation.id, tuple(utterances))


def group_voices(voices: Array, seconds: Sequence[float], groups: int | None = None) -> list[int]:
    """Give each stretch of speech the number of its speaker.

    Args:
        voices: `(stretches, 256)` unit vectors.
        seconds: length of each stretch: the long ones make the groups.
        groups: how many, or None to find out.

    Returns:
        A number for each stretch, from 0 in the order of first appearance.
    """
    from scipy.cluster.hierarchy import cut_tree, fcluster, linkage

    if len(voices) < 2:
        return [0] * len(voices)
    by_length = np.argsort([-length for length in seconds], kind="stable")
    telling = sum(length >= _WINDOW_SECONDS for length in seconds) or len(voices)
    leading = by_length[: min(max(telling, groups or 0, 2), _MOST_CLUSTERED)]
    heard = voices[leading].astype(np.float64)
    distances = (1 - heard @ heard.T).clip(min=0)  # defined for the zero vector too, to which all is 1 away
    tree = linkage(distances[np.triu_indices(len(heard), k=1)], method="average")
    if groups is None:
        found = fcluster(tree, _THRESHOLD, criterion="distance") - 1
    else:
        found = cut_tree(tree, n_clusters=min(groups, len(leading)))[:, 0]
    centres = np.stack([voices[leading[found == group]].mean(axis=0) for group in range(found.max() + 1)])
    numbers = np.argmax(voices @ _unit(centres).T, axis=1)
    numbers[leading] = found
    order: dict[int, int] = {}
    return [order.setdefault(int(number), len(order)) for number in numbers]


def mel_filters() -> Array:
    """Triangular filters on Slaney's mel scale, each of unit area.

    The scale is linear below 1 kHz (66⅔ Hz a mel) and logarithmic above (6.4-fold over 27 mels).

    Returns:
        `(40, 201)`: weights of the power at 0, 40, … 8000 Hz.
    """
    knee = 15.0  # mels at 1 kHz
    mels = np.linspace(0, knee + 27 * math.log(SAMPLE_RATE / 2 / 1000) / math.log(6.4), _MELS + 2)
    edges = np.where(mels < knee, mels * 200 / 3, 1000 * 6.4 ** ((mels - knee) / 27))
    bins = np.linspace(0, SAMPLE_RATE / 2, _FRAME // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)).clip(min=0)
    filters: Array = (triangles * 2 / (high - low)).astype(np.float32)
    return filters


def _weights_path() -> Path:
    found = importlib.util.find_spec("resemblyzer")  # finds without importing
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("finding out who speaks needs a voice encoder: pip install 'broadmamba[asr]'")
    return Path(found.submodule_search_locations[0]) / "pretrained.pt"


def _readable(spans: Sequence[Span]) -> Iterator[Span]:
    """The spans, long ones in parts of equal length, so that memory does not grow with them."""
    for start, stated in spans:
        end = min(stated, MAX_SECONDS)  # of any recording
        parts = max(1, math.ceil((end - start) / _LONGEST_READ))
        edges = np.linspace(start, end, parts + 1)
        yield from ((float(a), float(b)) for a, b in pairwise(edges))


def _same_voice(windows: Array, seconds: float) -> Iterator[tuple[float, float, Array]]:
    """Cut a stretch of speech where the voice changes.

    A moment is a change where the window before it and the one after it differ, and more than half a window away
    none differ more.

    Yields:
        Start and end in seconds from the stretch's start, and the mean voice between.
    """
    width = _WINDOW // _STEP
    distances = 1 - np.sum(windows[:-width] * windows[width:], axis=1)
    cuts = [
        i
        for i in np.flatnonzero(distances > _CHANGE)
        if distances[i] == distances[max(0, i - width // 2) : i + width // 2 + 1].max()
    ]
    edges = [0.0, *(float(i * _STEP_SECONDS + _WINDOW_SECONDS) for i in cuts), seconds]
    for first, last in pairwise(edges):
        inside = [
            i
            for i in range(len(windows))
            if first <= i * _STEP_SECONDS + 1e-6 and i * _STEP_SECONDS + _WINDOW_SECONDS <= last + 1e-6
        ]
        middle = round(((first + last) / 2 - _WINDOW_SECONDS / 2) / _STEP_SECONDS)
        chosen = inside or [min(max(middle, 0), len(windows) - 1)]
        yield first, last, _unit(windows[chosen].mean(axis=0))


def _turns(stretches: Sequence[Span], groups: Sequence[int]) -> list[Turn]:
    """Neighbouring stretches of one speaker as one turn."""
    turns: list[Turn] = []
    for (start, end), group in zip(stretches, groups, strict=True):
        name = _voice(group)
        if turns and turns[-1].speaker == name and start - turns[-1].end < _SAME_TURN:
            turns[-1] = Turn(turns[-1].start, max(end, turns[-1].end), name)
        else:
            turns.append(Turn(start, end, name))
    return turns


def _voice(number: int) -> str:
    return f"Speaker {number + 1}"


def _unit(vectors: Array) -> Array:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Array = (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return unit
