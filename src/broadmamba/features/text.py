"""One row of numbers for each text, by a frozen text encoder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from broadmamba.data.conversation import near
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import IncompatibleError, InputError
from broadmamba.features.encoder_files import KNOWN_ENCODERS, load_encoder_files
from broadmamba.features.pooling import POOLINGS

_CHARACTERS_A_TOKEN = 32
"""Far more than tokens have on average; what lies beyond this times the token limit is cut beforehand."""

_TOKENS_A_BATCH = 4096
"""Padded tokens encoded at once: long texts go in smaller batches, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """A frozen text encoder with its pooling.

    Attributes:
        spec: of the feature that it makes.
        limit: tokens that it reads, special ones included; the rest of a longer text is left out.
    """

    spec: FeatureSpec
    limit: int
    _tokenizer: Any
    _model: Any

    @classmethod
    def load(cls, source: str = "minilm", pooling: str = "mean") -> TextEncoder:
        """Load an encoder.

        Args:
            source: a known name, a local folder, or a Hugging Face id; only the last may use the network.
            pooling: how tokens become one row, a name of `pooling.POOLINGS`.

        Raises:
            InputError: unknown source or pooling, damaged files, or weights of another SHA-256.
        """
        if pooling not in POOLINGS:
            raise InputError(
                f"unknown pooling {pooling!r}; known are {', '.join(POOLINGS)}{near(pooling, list(POOLINGS))}"
            )
        files = load_encoder_files(source)
        spec = FeatureSpec(
            name=files.name if pooling == "mean" else f"{files.name}-{pooling}",
            modality="text",
            width=1,
            version=files.version,
            pooling=pooling,
            sha256=files.sha256,
            licence=files.licence,
        )
        encoder = cls(spec, _token_limit(files.tokenizer, files.model), files.tokenizer, files.model)
        return replace(encoder, spec=replace(spec, width=encoder._rows([[0]]).shape[1]))

    @classmethod
    def for_spec(cls, spec: FeatureSpec, source: str | None = None) -> TextEncoder:
        """Load the encoder that made a feature, known by the SHA-256 of its weights.

        Args:
            spec: of the feature.
            source: name, folder or id of the encoder; needed where it is not one of the known ones.

        Raises:
            IncompatibleError: the encoder is not known, or the given one makes another feature.
        """
        if source is None:
            source = next((name for name, it in KNOWN_ENCODERS.items() if it.sha256 == spec.sha256), None)
        if source is None:
            raise IncompatibleError(
                f"the text encoder of {spec.describe()} is not one of {', '.join(KNOWN_ENCODERS)}; "
                "say its folder or Hugging Face id"
            )
        encoder = cls.load(source, spec.pooling).named(spec.name)
        if (encoder.spec.sha256, encoder.spec.width) != (spec.sha256, spec.width):
            raise IncompatibleError(
                f"the text encoder {source} makes {encoder.spec.describe()}, expected {spec.describe()}"
            )
        return encoder

    def named(self, name: str) -> TextEncoder:
        """The same encoder, its feature called `name`.

        Raises:
            InputError: the name cannot be that of a file.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
            raise InputError(f"{name!r} is no feature name: expected letters, digits, '_', '-' and '.'")
        return replace(self, spec=replace(self.spec, name=name))

    def encode(
        self,
        texts: Sequence[str],
        batch_size: int = 64,
        progress: Callable[[int], object] | None = None,
    ) -> NDArray[np.float32]:
        """Encode texts; the row of a text does not depend on the others beyond rounding.

        Args:
            texts: of any length, empty ones too.
            batch_size: at most so many are encoded at once.
            progress: called after each batch with how many texts it had.

        Returns:
            (texts, width), row i for text i.
        """
        rows = np.empty((len(texts), self.spec.width), dtype=np.float32)
        tokens = self._tokenize(texts)
        for batch in _batches([len(ids) for ids in tokens], batch_size):
            rows[batch] = self._rows([tokens[i] for i in batch]).numpy()
            if progress:
                progress(len(batch))
        return rows

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, unpadded (a tokenizer file may ask for padding to a fixed length)."""
        if not texts:
            return []
        most = self.limit * _CHARACTERS_A_TOKEN
        whole = [text[:most].encode("utf-8", "replace").decode() for text in texts]  # no half characters
        ids: list[list[int]] = self._tokenizer(
            whole, padding=False, truncation=True, max_length=self.limit, return_attention_mask=False
        )["input_ids"]
        return [row or [self._padding_id] for row in ids]  # without special tokens, an empty text has none

    @property
    def _padding_id(self) -> int:
        found: int | None = self._tokenizer.pad_token_id
        return 0 if found is None else found

    @torch.inference_mode()
    def _rows(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """(batch, width) for the token ids of each text, padded to the longest."""
        longest = max(map(len, tokens))
        ids = torch.tensor([[*row, *[self._padding_id] * (longest - len(row))] for row in tokens])
        mask = torch.arange(longest) < torch.tensor([[len(row)] for row in tokens])
        output = self._model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
        return POOLINGS[self.spec.pooling](output.hidden_states, mask)


def _batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices in batches of like length, the longest first, none with too many padded tokens."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        size = min(batch_size, max(1, _TOKENS_A_BATCH // lengths[order[0]]))
        yield order[:size]
        order = order[size:]


def _token_limit(tokenizer: Any, model: Any) -> int:
    """How many tokens the encoder reads: what tokenizer, configuration and position table all allow."""
    limits: list[int] = [
        tokenizer.model_max_length,
        getattr(model.config, "max_position_embeddings", None) or 512,
    ]
    for name, table in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, torch.nn.Embedding):
            unused = 0 if table.padding_idx is None else table.padding_idx + 1  # RoBERTa counts from there
            limits.append(table.num_embeddings - unused)
    return min(limits)
