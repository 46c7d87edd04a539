"""Conversations as rows of numbers, one an utterance: what every way of running a model begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import Conversation
from broadmamba.data.normalise import Normaliser, untouched


@dataclass(frozen=True)
class Rows:
    """`U` utterances of conversations, one after the other.

    Attributes:
        lengths: utterances of each conversation.
        features: modality → `(U, width)` float32, normalised (token ids are not); zero where missing.
        present: modality → `(U,)` bool. Same keys as `features`; a modality may be absent.
        speakers: `(U,)` int64, numbered from 0 within a conversation by first appearance, -1 where unknown.
    """

    lengths: tuple[int, ...]
    features: dict[str, NDArray[np.float32]]
    present: dict[str, NDArray[np.bool_]]
    speakers: NDArray[np.int64]


def rows_of(
    conversations: Sequence[Conversation],
    normalisers: Mapping[str, Normaliser],
    features: Mapping[str, NDArray[np.float32]],
) -> Rows:
    """Normalise features, and number speakers.

    Args:
        conversations: what the rows of `features` belong to, in order.
        normalisers: modality → what was fitted on the training split; one without keeps its values.
        features: modality → `(U, width)`, NaN where missing; modalities that are not given are absent.
    """
    prepared = {m: normalisers[m].apply(x) if m in normalisers else untouched(x) for m, x in features.items()}
    return Rows(
        lengths=tuple(len(c) for c in conversations),
        features={m: values for m, (values, _) in prepared.items()},
        present={m: present for m, (_, present) in prepared.items()},
        speakers=np.array([s for c in conversations for s in c.speaker_indices()], dtype=np.int64),
    )
