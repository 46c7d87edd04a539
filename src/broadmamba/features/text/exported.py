"""Text encoders without torch: out of the folder that `export/text_encoder.py` writes, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import IncompatibleError, InputError
from broadmamba.features.text.encoding import RowEncoder
from broadmamba.features.text.exported_folder import TOKENIZER, ExportedSettings, read_network, read_settings
from broadmamba.features.text.tokenizer_file import TokenizerFile
from broadmamba.features.text.tokens import TokenIds, TurnTokens, pad
from broadmamba.sessions import Session

INPUTS = ("input_ids", "attention_mask", "own_tokens", "own_mask")
"""What the graph reads: the ids (passages, tokens) and which of them are no padding, as 1; and the tokens of each turn
that gets a row (turns, own tokens), by their places in all passages one after the other, and which of them are some."""

OUTPUT = "rows"
"""What it gives: (turns, width)."""


@dataclass(frozen=True, slots=True)
class ExportedTextEncoder(RowEncoder):
    """A text encoder that needs no torch; its rows are those of the `TextEncoder` that it was made of."""

    session: Session

    most_tokens = 1024

    @classmethod
    def load(cls, folder: Path | str, device: str = "auto") -> Self:
        """Load an encoder.

        Args:
            folder: as `export_text_encoder` wrote it.
            device: one of `sessions.DEVICES`.

        Raises:
            InputError: something in the folder is missing, damaged or does not fit the rest.
        """
        folder = Path(folder)
        settings = read_settings(folder)
        tokenizer = TokenizerFile.load(folder / TOKENIZER, settings.before, settings.after, settings.padding)
        graph, weights = read_network(folder)
        session = Session(graph, weights, what=f"the text encoder {folder}", device=device)
        return cls.of(settings, tokenizer, session)

    @classmethod
    def for_spec(cls, spec: FeatureSpec, folder: Path | str, device: str = "auto") -> Self:
        """Load the encoder that makes a feature; the arguments are those of `load`.

        Raises:
            IncompatibleError: the one in the folder makes another feature.
        """
        encoder = cls.load(folder, device)
        if spec.differences(encoder.spec):
            raise IncompatibleError(
                f"the text encoder {folder} makes {encoder.spec.describe()} pooled by {encoder.spec.pooling}, "
                f"expected {spec.describe()} pooled by {spec.pooling}"
            )
        return encoder

    @classmethod
    def of(cls, settings: ExportedSettings, tokenizer: TokenizerFile, session: Session) -> Self:
        """Put an encoder together out of its parts.

        Raises:
            InputError: they do not fit together.
        """
        if sorted(session.inputs) != sorted(INPUTS) or OUTPUT not in session.outputs:
            raise InputError(
                f"{session.what}: its graph reads {', '.join(session.inputs)!r:.80} and gives "
                f"{', '.join(session.outputs)!r:.80}, expected {', '.join(INPUTS)} and {OUTPUT}"
            )
        try:
            encoder = cls(settings.spec, settings.reading, settings.limit, TurnTokens(tokenizer), session)
        except InputError as error:
            raise InputError(f"{session.what}: {error}") from None
        largest = max(tokenizer.get_vocab().values(), default=0)
        ids = sorted({*settings.before, *settings.after, settings.padding, largest})
        try:
            encoder.rows([([id], [0]) for id in ids], [1] * len(ids))
        except InputError as error:
            raise InputError(f"{error}, tried with ids of its tokenizer up to {ids[-1]}") from None
        return encoder

    def rows(self, tokens: Sequence[TokenIds], scored: Sequence[int]) -> list[NDArray[np.float32]]:  # noqa: D102
        ids, mask = pad([ids for ids, _ in tokens], self.tokens.padding)
        own = [
            place * ids.shape[1] + np.flatnonzero(np.equal(owners, turn))
            for place, ((_, owners), count) in enumerate(zip(tokens, scored, strict=True))
            for turn in range(owners[-1] + 1 - count, owners[-1] + 1)
        ]
        own_tokens, own_mask = pad(own, 0)
        inputs = dict(zip(INPUTS, (ids, mask.astype(np.int64), own_tokens, own_mask), strict=True))
        [rows] = self.session.run(inputs, [OUTPUT])
        if rows.shape != (len(own), self.spec.width) or rows.dtype != np.float32:
            raise InputError(
                f"{self.session.what}: its graph gives {rows.dtype} {rows.shape}, "
                f"expected float32 {(len(own), self.spec.width)}"
            )
        return np.split(rows, list(accumulate(scored))[:-1])
