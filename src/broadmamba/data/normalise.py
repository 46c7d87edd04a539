"""Bringing features to one scale: fitted on the training split only, and carried in the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import Conversation
from broadmamba.errors import InputError

LIMIT = 8.0
"""Standard deviations beyond which a value is clipped: one outlier would blur a whole conversation, since the
rounding error of a Fourier transform is global."""


def relative_to_speaker(values: NDArray[np.float32], conversations: Sequence[Conversation]) -> NDArray[np.float32]:
    """Put beside each value how far it is from its speaker's mean in that conversation.

    Voices and faces differ between people more than between emotions. No label and no other conversation is used.
    Utterances of unknown speakers of a conversation are taken for one speaker's.

    Args:
        values: `(U, width)`, NaN where missing.
        conversations: what the rows belong to, in order.

    Returns:
        `(U, 2·width)`, the values and the differences, NaN where missing.
    """
    keys = [(c.id, s) for c in conversations for s in c.speaker_indices()]
    _, group = np.unique(np.array(keys, dtype=object).astype(str), axis=0, return_inverse=True)
    sums = np.zeros((group.max() + 1, values.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, group, np.nan_to_num(values, nan=0.0))
    np.add.at(counts, group, ~np.isnan(values))
    means = sums / np.maximum(counts, 1)
    return np.concatenate([values, values - means[group]], axis=1).astype(np.float32)


def untouched(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What `Normaliser.apply` gives, for values that must stay what they are: rows that are missing become zeros."""
    return np.nan_to_num(values, nan=0.0), np.asarray(~np.isnan(values).all(axis=1))


@dataclass(frozen=True)
class Normaliser:
    """Column-wise standardisation.

    Attributes:
        mean: `(width,)` mean of each column over the rows it was fitted on, gaps left out.
        scale: `(width,)` standard deviation, 1 for a column that is constant.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def fit(cls, values: NDArray[np.float32], what: str = "feature") -> Normaliser:
        """Measure mean and standard deviation.

        Args:
            values: `(rows, width)`, NaN where missing.
            what: what these values are, for the message.

        Raises:
            InputError: a column has no value at all.
        """
        exact = np.asarray(values, dtype=np.float64)
        known = ~np.isnan(exact)
        empty = np.flatnonzero(~known.any(axis=0))
        if len(empty):
            raise InputError(f"{what}: column {empty[0]} has no value in any training utterance, expected at least one")
        mean = np.nanmean(exact, axis=0)
        deviation = np.nanstd(exact, axis=0)
        # Relative to the column's own size: some acoustic slopes are of the order of 1e-7 throughout.
        constant = deviation <= np.maximum(1e-6 * np.abs(mean), np.finfo(np.float32).tiny)
        return cls(mean.astype(np.float32), np.where(constant, 1.0, deviation).astype(np.float32))

    def apply(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Standardise rows.

        Args:
            values: `(rows, width)`, NaN where missing.

        Returns:
            The values, a gap at the column's mean (0), clipped to ±`LIMIT`; and for each row whether
            any value is known.
        """
        present = np.asarray(~np.isnan(values).all(axis=1))
        scaled = np.clip((values - self.mean) / self.scale, -LIMIT, LIMIT)
        return np.nan_to_num(scaled, nan=0.0).astype(np.float32), present
