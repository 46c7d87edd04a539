"""Text encoders of transformers: found, loaded, and run by torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from broadmamba.data.conversation import near
from broadmamba.data.spec import TOKEN_IDS, FeatureSpec
from broadmamba.errors import IncompatibleError, InputError
from broadmamba.features.text.encoder_files import KNOWN_ENCODERS, load_encoder_files
from broadmamba.features.text.encoding import RowEncoder
from broadmamba.features.text.loading import token_limit
from broadmamba.features.text.passages import Reading
from broadmamba.features.text.pooling import POOLINGS
from broadmamba.features.text.tokens import TOKENS, TokenIds, TurnTokens, pad, turn_mask
from broadmamba.features.text.tuned import is_tuned, load_tuned

KNOWN_BY_WEIGHTS = (
    ", which is of an earlier version, when an encoder was known by its weights alone: extract the feature again, and "
    "train models on it again"
)
"""What to do where a feature has the SHA-256 of an encoder's weights in place of all that decides its numbers."""


@dataclass(frozen=True, slots=True)
class TextEncoder(RowEncoder):
    """A text encoder as transformers loads it, run by torch.

    Attributes:
        weights: SHA-256 of its weights alone.
        tokenizer: of transformers.
    """

    weights: str
    tokenizer: Any
    _model: Any

    most_tokens = 4096

    @property
    def model(self) -> Any:
        """Of transformers; what was learnt in a fine-tuning is added to its matrices."""
        return self._model

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
            encoder = cls(spec, reading, limit, tokens, files.weights, files.tokenizer, files.model)
            width = TOKENS if spec.ids else encoder.rows([([0], [0])], [1])[0].shape[1]
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

    @torch.inference_mode()
    def rows(self, tokens: Sequence[TokenIds], scored: Sequence[int]) -> list[NDArray[np.float32]]:  # noqa: D102
        ids, mask = map(torch.from_numpy, pad([ids for ids, _ in tokens], self.tokens.padding))
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
            return list(pool(states, mask).unsqueeze(1).numpy())
        rows = []
        for i, ((_, owners), count) in enumerate(zip(tokens, scored, strict=True)):
            turns = torch.from_numpy(turn_mask(owners, ids.shape[1])[-count:])
            rows.append(pool([layer[i].expand(count, -1, -1) for layer in states], turns).numpy())
        return rows
