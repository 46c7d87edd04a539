"""Where utterances stand when a state-space layer moves along conversations, or along each speaker's own turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK = 64
"""Utterances that one matrix product covers: longer rows are whole numbers of chunks."""


@dataclass(frozen=True, eq=False)
class Layout:
    """`T` utterances as rows.

    Attributes:
        index: `(R, P)` int64, which utterance stands where; T on padding.
        places: `(T,)` int64, where each utterance stands in the flattened rows.
    """

    index: NDArray[np.int64]
    places: NDArray[np.int64]


def conversation_layout(lengths: Sequence[int]) -> Layout:
    """One row a conversation."""
    conversations = np.repeat(np.arange(len(lengths)), lengths)
    return _layout(conversations, np.concatenate([np.arange(length) for length in lengths]), lengths)


def own_turns_layout(lengths: Sequence[int], speakers: NDArray[np.int64]) -> Layout:
    """One row for each speaker of each conversation; unknown ones (-1) of a conversation are taken for one speaker.

    Args:
        lengths: utterances of each conversation.
        speakers: `(T,)`, numbered within a conversation.
    """
    conversations = np.repeat(np.arange(len(lengths)), lengths)
    _, group, counts = np.unique(
        np.stack([conversations, speakers], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    group = group.reshape(-1)
    order = np.argsort(group, kind="stable")
    turn = np.empty_like(order)
    turn[order] = np.concatenate([np.arange(count) for count in counts])
    return _layout(group, turn, counts)


def _layout(row: NDArray[np.int64], place: NDArray[np.int64], lengths: Sequence[int] | NDArray[np.int64]) -> Layout:
    longest = int(max(lengths))
    width = longest if longest <= CHUNK else -(-longest // CHUNK) * CHUNK
    places = row * width + place
    index = np.full(len(lengths) * width, len(row), dtype=np.int64)
    index[places] = np.arange(len(row))
    return Layout(index.reshape(len(lengths), width), places.astype(np.int64))
