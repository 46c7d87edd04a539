"""One row of numbers for each utterance, by a text encoder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from broadmamba.data.conversation import Conversation, near
from broadmamba.data.spec import TOKEN_IDS, FeatureSpec
from broadmamba.errors import IncompatibleError, InputError
from broadmamba.features.text.encoder_files import KNOWN_ENCODERS, load_encoder_files
from broadmamba.features.text.passages import Passage, Reading
from broadmamba.features.text.pooling import POOLINGS
from broadmamba.features.text.tokens import TOKENS, TokenIds, TurnTokens, pad, token_limit, turn_mask
from broadmamba.features.text.tuned import is_tuned, load_tuned

_log = logging.getLogger(__name__)

KNOWN_BY_WEIGHTS = (
    ", which is of an earlier version, when an encoder was known by its weights alone: extract the feature again, and "
    "train models on it again"
)
"""What to do where a feature has the SHA-256 of an encoder's weights in place of all that decides its numbers."""

_TOKENS_A_BATCH = 4096
"""Padded tokens encoded at once: long texts go in smaller batches, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """A text encoder with its pooling and its way of reading.

    Attributes:
        spec: of the feature that it makes.
        reading: how much of a conversation it reads with an utterance; a frozen encoder reads each alone.
        limit: tokens that it reads, special ones included; the rest of a longer text is left out.
        weights: SHA-256 of its weights alone.
    """

    spec: FeatureSpec
    reading: Reading
    limit: int
    weights: str
    _tokens: TurnTokens
    _model: Any

    @classmethod
    def load(cls, source: str = "minilm", pooling: str = "mean", base: str | None = None) -> TextEncoder:
        """Load an encoder.

        Args:
            source: a known name, a local folder, or a Hugging Face id; only the last may use the network. The folder
                may be one of an encoder that was fine-tuned with `broadmamba finetune-text`.
            pooling: how tokens become one row, a name of `pooling.POOLINGS`, or `tokens`: a row is then the ids of
                the first `TOKENS` tokens, without special ones, and padding after them.
            base: of a fine-tuned encoder, the encoder it began as, where it cannot be found by itself.

        Raises:
            InputError: unknown source or pooling, damaged files, weights of another SHA-256, or no encoder of texts.
        """
        if pooling not in (known := [*POOLINGS, TOKEN_IDS]):
            raise InputError(f"unknown pooling {pooling!r}; known are {', '.join(known)}{near(pooling, known)}")
        tuned = is_tuned(source)
        if tuned and pooling == TOKEN_IDS:
            raise InputError(f"{source}: was fine-tuned on whole passages; take token ids of the encoder it began as")
        files, reading = load_tuned(source, base) if tuned else (load_encoder_files(source), Reading())
        if reading.context and pooling == "cls":
            raise InputError(f"{source}: reads several turns at once, which have one first token; pool by mean instead")
        spec = FeatureSpec(
            name=files.name if pooling == "mean" else f"{files.name}-{pooling}",
            modality="text",
            width=1,
            version=files.version,
            pooling=pooling,
            sha256=files.sha256,
            licence=files.licence,
            trained_on_labels=tuned,
        )
        try:
            tokens = TurnTokens(files.tokenizer)
            limit = token_limit(files.tokenizer, files.model)
            encoder = cls(spec, reading, limit, files.weights, tokens, files.model)
            width = TOKENS if spec.ids else encoder._rows([([0], [0])], [1])[0].shape[1]
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
        return replace(encoder, spec=replace(spec, width=width))

    @classmethod
    def for_spec(cls, spec: FeatureSpec, source: str | None = None, beside: Path | None = None) -> TextEncoder:
        """Load the encoder that made a feature, known by the SHA-256 of its weights.

        Args:
            spec: of the feature.
            source: name, folder or id of the encoder; needed where it is neither known nor beside the model.
            beside: a fine-tuned encoder that came with the model.

        Raises:
            IncompatibleError: the encoder is not known, or the given one makes another feature.
        """
        if source is None:
            known = next((name for name, it in KNOWN_ENCODERS.items() if it.sha256 == spec.sha256), None)
            source = known or (str(beside) if beside else None)
        if source is None:
            raise IncompatibleError(
                f"the text encoder of {spec.describe()} is not one of {', '.join(KNOWN_ENCODERS)}; "
                "say its folder or Hugging Face id"
            )
        encoder = cls.load(source, spec.pooling).named(spec.name)
        if (encoder.spec.sha256, encoder.spec.width) != (spec.sha256, spec.width):
            raise IncompatibleError(
                f"the text encoder {source} makes {encoder.spec.describe()}, expected {spec.describe()}"
                f"{KNOWN_BY_WEIGHTS if encoder.weights == spec.sha256 else ''}"
            )
        return encoder

    def named(self, name: str) -> TextEncoder:
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
        """
        if self.spec.ids:
            if progress:
                progress(len(passages))
            return self._token_ids([passage.turns[-1] for passage in passages])
        rows: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(passages)
        tokens = self._tokens.of(passages, self.limit)
        for batch in _batches([len(ids) for ids, _ in tokens], batch_size):
            found = self._rows([tokens[i] for i in batch], [passages[i].scored for i in batch])
            for i, values in zip(batch, found, strict=True):
                rows[i] = values.numpy()
            if progress:
                progress(len(batch))
        return rows

    def _token_ids(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """(1, `TOKENS`) for each text; float32 holds ids below 16 777 216 exactly."""
        rows = np.full((len(texts), 1, TOKENS), self._tokens.padding, dtype=np.float32)
        for row, ids in zip(rows, self._tokens.plain(texts, TOKENS), strict=True):
            row[0, : len(ids)] = ids
        return list(rows)

    @torch.inference_mode()
    def _rows(self, tokens: Sequence[TokenIds], scored: Sequence[int]) -> list[Tensor]:
        """(scored, width) for each passage; a row with non-finite values is NaN throughout."""
        ids, mask = pad([ids for ids, _ in tokens], self._tokens.padding)
        try:
            output = self._model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
            states = tuple(output.hidden_states)
        except Exception as error:  # of a model that is none of texts, or has a table too small for its settings
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"the text encoder {self.spec.name} cannot read {ids.shape[1]} tokens at once ({reason})"
            ) from None
        if len(states) < 2:  # the embeddings and a layer
            raise InputError(f"the text encoder {self.spec.name} has no layers")
        pool = POOLINGS[self.spec.pooling]
        if all(owners[-1] == 0 for _, owners in tokens):  # one turn each, nearly always: all at once
            return list(_whole_or_missing(pool(states, mask)).unsqueeze(1))
        rows = []
        for i, ((_, owners), count) in enumerate(zip(tokens, scored, strict=True)):
            turns = turn_mask(owners, ids.shape[1])[-count:]
            rows.append(_whole_or_missing(pool([layer[i].expand(count, -1, -1) for layer in states], turns)))
        return rows


def _whole_or_missing(rows: Tensor) -> Tensor:
    return rows.masked_fill(~rows.isfinite().all(dim=1, keepdim=True), torch.nan)


def _batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices in batches of like length, the longest first, none with too many padded tokens."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        size = min(batch_size, max(1, _TOKENS_A_BATCH // lengths[order[0]]))
        yield order[:size]
        order = order[size:]
