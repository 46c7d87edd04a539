"""One row of numbers for each utterance: what every text encoder does, whatever runs its network."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import Conversation
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.features.text.passages import Passage, Reading
from broadmamba.features.text.tokens import TOKENS, TokenIds, TurnTokens, batches

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RowEncoder(ABC):
    """A text encoder with its pooling and its way of reading.

    Attributes:
        spec: of the feature that it makes.
        reading: how much of a conversation it reads with an utterance; a frozen encoder reads each alone.
        limit: tokens that it reads, special ones included; the rest of a longer text is left out.
        tokens: what turns passages into token ids.
    """

    spec: FeatureSpec
    reading: Reading
    limit: int
    tokens: TurnTokens

    most_tokens: ClassVar[int]
    """Padded tokens encoded at once: long texts go in smaller batches, so that memory stays bounded."""

    @abstractmethod
    def rows(self, tokens: Sequence[TokenIds], scored: Sequence[int]) -> list[NDArray[np.float32]]:
        """Encode a batch.

        Args:
            tokens: of each passage, unpadded.
            scored: turns of each that get a row, the last ones.

        Returns:
            (scored, width) for each passage, in which numbers may be non-finite.

        Raises:
            InputError: the network cannot read these tokens.
        """

    def named(self, name: str) -> Self:
        """The same encoder, its feature called `name`.

        Raises:
            InputError: a feature cannot have this name.
        """
        return replace(self, spec=replace(self.spec, name=name))

    def encode_conversation(self, conversation: Conversation) -> NDArray[np.float32]:
        """One row for each utterance of a conversation: (utterances, width); those that are missing are told.

        Raises:
            InputError: the encoder gives non-finite values throughout.
        """
        values = self._together(self.encode_passages(self.reading.passages(conversation)))
        self.tell_missing(values)
        return values

    def tell_missing(self, values: NDArray[np.float32]) -> None:
        """Tell how many rows are missing.

        Raises:
            InputError: all of them are.
        """
        missing = int(np.isnan(values).all(axis=1).sum())
        told = (
            f"the text encoder {self.spec.describe()} gives non-finite values for {missing} of {len(values)} utterances"
        )
        if missing and missing == len(values):
            raise InputError(f"{told}: its weights are damaged or too large")
        if missing:
            _log.warning("%s, in which the text is missing", told)

    def encode(
        self,
        texts: Sequence[str],
        batch_size: int = 64,
        progress: Callable[[int], object] | None = None,
    ) -> NDArray[np.float32]:
        """Encode texts, each alone; the arguments are those of `encode_passages`.

        Returns:
            (texts, width), row i for text i.
        """
        return self._together(self.encode_passages([Passage((text,), 1) for text in texts], batch_size, progress))

    def _together(self, rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.concatenate([np.empty((0, self.spec.width), dtype=np.float32), *rows])

    def encode_passages(
        self,
        passages: Sequence[Passage],
        batch_size: int = 64,
        progress: Callable[[int], object] | None = None,
    ) -> list[NDArray[np.float32]]:
        """Encode passages; the rows of one do not depend on the others beyond rounding.

        Args:
            passages: with texts of any length, empty ones too.
            batch_size: at most so many are encoded at once.
            progress: called after each batch with how many passages it had.

        Returns:
            For each passage (scored, width), a row for each of its scored turns; NaN throughout where the encoder
            gives non-finite values.

        Raises:
            InputError: its tokenizer or its network fails on these passages.
        """
        if self.spec.ids:
            if progress:
                progress(len(passages))
            return self._token_ids([passage.turns[-1] for passage in passages])
        rows: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(passages)
        try:
            tokens = self.tokens.of(passages, self.limit)
        except InputError as error:
            raise InputError(f"the text encoder {self.spec.name} cannot read a text: {error}") from None
        for batch in batches([len(ids) for ids, _ in tokens], batch_size, self.most_tokens):
            found = self.rows([tokens[i] for i in batch], [passages[i].scored for i in batch])
            for i, values in zip(batch, found, strict=True):
                rows[i] = np.where(np.isfinite(values).all(axis=1, keepdims=True), values, np.float32(np.nan))
            if progress:
                progress(len(batch))
        return rows

    def _token_ids(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """(1, `TOKENS`) for each text; float32 holds ids below 16 777 216 exactly."""
        rows = np.full((len(texts), 1, TOKENS), self.tokens.padding, dtype=np.float32)
        for row, ids in zip(rows, self.tokens.plain(texts, TOKENS), strict=True):
            row[0, : len(ids)] = ids
        return list(rows)
