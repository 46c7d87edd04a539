"""Who spoke when: voices are embedded, and stretches of speech that sound alike get one speaker's name."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.media.container import MAX_SECONDS
from broadmamba.media.recording import SAMPLE_RATE, Recording
from broadmamba.media.spans import Span
from broadmamba.media.turns import Turn
from broadmamba.media.voice_encoder import STEP_SECONDS, WINDOW_SECONDS, Array, VoiceEncoder, unit_vectors

_THRESHOLD = 0.27  # cosine distance at which two groups of stretches are two speakers
_CHANGE = 0.25  # cosine distance of the windows before and after a moment at which the speaker may change there
_MOST_CLUSTERED = 2000  # stretches; distances between all of them take 16 MB
_SAME_TURN = 1.0  # seconds: stretches of one speaker that are closer than this are one turn
_LONGEST_READ = 60.0  # seconds of one span that are held at a time


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
        on_progress: called with the seconds of speech that are done so far and all of them.

    Returns:
        Turns in the order of their starts; speakers are "Speaker 1", "Speaker 2"… as they first speak. There are
        fewer speakers than asked for only where there are fewer stretches of speech.

    Raises:
        InputError: the recording cannot be decoded, or fewer than one speaker was asked for.
        MissingExtraError: the extra `recording` is not installed.
    """
    if importlib.util.find_spec("scipy") is None:
        raise MissingExtraError("finding who speaks needs SciPy: pip install 'broadmamba[recording]'")
    if speakers is not None and speakers < 1:
        raise InputError(f"the number of speakers must be at least 1, found {speakers}")
    if not spans:
        return []
    stretches: list[Span] = []
    voices: list[Array] = []
    encoder, total, done = VoiceEncoder(), sum(end - start for start, end in spans), 0.0
    for start, end in _readable(spans):
        samples = recording.audio(start, end)
        if len(samples):
            for first, last, voice in _same_voice(encoder.windows(samples), len(samples) / SAMPLE_RATE):
                stretches.append((start + first, start + last))
                voices.append(voice)
        done += end - start
        if on_progress is not None:
            on_progress(done, total)
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
    telling = sum(length >= WINDOW_SECONDS for length in seconds) or len(voices)
    leading = by_length[: min(max(telling, groups or 0, 2), _MOST_CLUSTERED)]
    heard = voices[leading].astype(np.float64)
    distances = (1 - heard @ heard.T).clip(min=0)  # defined for the zero vector too, to which all is 1 away
    tree = linkage(distances[np.triu_indices(len(heard), k=1)], method="average")
    if groups is None:
        found = fcluster(tree, _THRESHOLD, criterion="distance") - 1
    else:
        found = cut_tree(tree, n_clusters=min(groups, len(leading)))[:, 0]
    centres = np.stack([voices[leading[found == group]].mean(axis=0) for group in range(found.max() + 1)])
    numbers = np.argmax(voices @ unit_vectors(centres).T, axis=1)
    numbers[leading] = found
    order: dict[int, int] = {}
    return [order.setdefault(int(number), len(order)) for number in numbers]


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
    width = round(WINDOW_SECONDS / STEP_SECONDS)
    distances = 1 - np.sum(windows[:-width] * windows[width:], axis=1)
    cuts = [
        i
        for i in np.flatnonzero(distances > _CHANGE)
        if distances[i] == distances[max(0, i - width // 2) : i + width // 2 + 1].max()
    ]
    edges = [0.0, *(float(i * STEP_SECONDS + WINDOW_SECONDS) for i in cuts), seconds]
    for first, last in pairwise(edges):
        inside = [
            i
            for i in range(len(windows))
            if first <= i * STEP_SECONDS + 1e-6 and i * STEP_SECONDS + WINDOW_SECONDS <= last + 1e-6
        ]
        middle = round(((first + last) / 2 - WINDOW_SECONDS / 2) / STEP_SECONDS)
        chosen = inside or [min(max(middle, 0), len(windows) - 1)]
        yield first, last, unit_vectors(windows[chosen].mean(axis=0))


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
