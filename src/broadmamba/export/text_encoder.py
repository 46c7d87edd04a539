"""A text encoder of transformers, written as a folder that makes the same rows without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from broadmamba.errors import InputError
from broadmamba.export.traced import TracedGraph
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.encoder_files import KNOWN_ENCODERS
from broadmamba.features.text.exported import INPUTS, OUTPUT, ExportedTextEncoder
from broadmamba.features.text.exported_folder import PRECISIONS, ExportedSettings, write_exported
from broadmamba.features.text.loading import embeddings
from broadmamba.features.text.passages import Passage
from broadmamba.features.text.pooling import POOLINGS
from broadmamba.features.text.tokenizer_file import TokenizerFile
from broadmamba.sessions import Session

_AXES = dict(
    zip(INPUTS, (("passages", "tokens"), ("passages", "tokens"), ("turns", "own"), ("turns", "own")), strict=True)
)

_CLOSE = {"float32": 1e-3, "int8": 0.3}
"""How far the rows of the graph may be from the encoder's, as a share of their length; rounding is 1e-6 and 0.04 of it
for MiniLM. A graph that is wrong at other lengths than those it was traced at is off by more."""


def export_text_encoder(encoder: TextEncoder, folder: Path, weights: str = "int8") -> None:
    """Write an encoder, its pooling included, for `ExportedTextEncoder.load`.

    Args:
        encoder: frozen or fine-tuned; what was learnt is in its matrices.
        folder: made where it does not exist.
        weights: how its matrices are kept, one of `PRECISIONS`.

    Raises:
        InputError: the encoder cannot be written this way.
    """
    if weights not in PRECISIONS:
        raise InputError(f"weights: expected {' or '.join(PRECISIONS)}, found {weights!r:.60}")
    name = encoder.spec.name
    if encoder.spec.ids:
        raise InputError(
            f"the text encoder {name} cannot be exported (it makes token ids, for which there is no network)"
        )
    try:
        tokenizer, settings = _tokenizer(encoder), _settings(encoder, weights)
        graph = _traced(encoder)
        _check(encoder, settings, tokenizer, graph, "float32")
        if weights == "int8":
            graph.round_matrices()
            _check(encoder, settings, tokenizer, graph, "int8")
    except InputError as error:
        raise InputError(f"the text encoder {name} cannot be exported ({error})") from None
    write_exported(folder, settings, graph.content(), graph.weights, tokenizer)


class _Rows(nn.Module):
    """From token ids to the rows of turns, each pooled from its own tokens."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder.model
        self._pool = POOLINGS[encoder.spec.pooling]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, own_tokens: Tensor, own_mask: Tensor) -> Tensor:
        found = self.encoder(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        return self._pool([states.flatten(0, 1)[own_tokens] for states in found.hidden_states], own_mask)


def _traced(encoder: TextEncoder) -> TracedGraph:
    tokens = min(7, encoder.limit)
    ids = torch.full((3, tokens), encoder.tokens.padding)
    own = torch.arange(4 * 5).reshape(5, 4) % ids.numel()
    example = ids, torch.ones_like(ids), own, torch.ones_like(own, dtype=torch.bool)
    with _plain_attention(encoder.model):
        return TracedGraph(_Rows(encoder), example, _AXES, OUTPUT)


@contextmanager
def _plain_attention(model: Any) -> Iterator[None]:
    """Attention as products and a softmax while the block runs: the fused one has a case that never comes up here."""
    before = model.config._attn_implementation
    model.config._attn_implementation = "eager"
    try:
        yield
    finally:
        model.config._attn_implementation = before


def _tokenizer(encoder: TextEncoder) -> str:
    """The content of `tokenizer.json`, without padding and without tokens that the encoder has no embeddings for."""
    backend = getattr(encoder.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError("its tokenizer cannot be written as a tokenizer.json")
    settings = json.loads(backend.to_str())
    count = _ids(encoder)
    settings["added_tokens"] = [token for token in settings.get("added_tokens", ()) if token["id"] < count]
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    tokenizer.no_padding()
    tokenizer.enable_truncation(encoder.limit, direction=encoder.tokenizer.truncation_side)
    content: str = tokenizer.to_str()
    return content


def _ids(encoder: TextEncoder) -> int:
    count = embeddings(encoder.model)
    if count is None:
        raise InputError("it has no table of embeddings")
    return count


def _settings(encoder: TextEncoder, precision: str) -> ExportedSettings:
    return ExportedSettings(
        spec=encoder.spec,
        reading=encoder.reading,
        limit=encoder.limit,
        before=encoder.tokens.before,
        after=encoder.tokens.after,
        padding=encoder.tokens.padding,
        precision=precision,
        attribution=_attribution(encoder, precision),
    )


def _attribution(encoder: TextEncoder, precision: str) -> str:
    known = next((known for known in KNOWN_ENCODERS.values() if known.sha256 == encoder.weights), None)
    made = f"{known.title} ({known.licence})" if known else f"the weights with SHA-256 {encoder.weights}"
    tuned = "fine-tuned, " if encoder.spec.trained_on_labels else ""
    rounded = "rounded to int8 rows, " if precision == "int8" else ""
    return f"Made of {made}: {tuned}{rounded}written as an ONNX graph by broadmamba."


def _check(
    encoder: TextEncoder, settings: ExportedSettings, tokenizer: str, graph: TracedGraph, precision: str
) -> None:
    """Refuse a graph that makes other rows than the encoder, at lengths beyond that at which it was traced too.

    Raises:
        InputError: it does.
    """
    file = TokenizerFile.parse(tokenizer, settings.before, settings.after, settings.padding)
    exported = ExportedTextEncoder.of(settings, file, Session(graph.content(), graph.weights, what="its graph"))
    for passages in _passages(encoder):
        found, expected = (np.concatenate(it.encode_passages(passages)) for it in (exported, encoder))
        missing = np.isnan(expected)
        if not np.array_equal(missing, np.isnan(found)):
            raise InputError("its graph gives non-finite values for other texts")
        off = np.linalg.norm(np.where(missing, 0, found - expected)) / (np.linalg.norm(expected[~missing]) + 1e-6)
        if off > _CLOSE[precision]:
            raise InputError(f"its {precision} graph makes rows that are off by {off:.1%}")


def _passages(encoder: TextEncoder) -> Iterator[Sequence[Passage]]:
    """Passages of all lengths, of words that the encoder knows."""
    known = encoder.tokenizer.get_vocab()
    words = sorted(set(known) - set(encoder.tokenizer.all_special_tokens), key=lambda word: (known[word], word))
    words = words[:: max(1, len(words) // 2000)]
    texts = ["", words[0], " ".join(words[:3]), " ".join(words[:40]), " ".join(words)]
    for text in texts:
        yield [Passage((text,), 1)]
    yield [Passage((text,), 1) for text in texts]
    if encoder.reading.context:
        yield [Passage(tuple(texts[:4]), 2), Passage((texts[2],), 1), Passage((texts[3], texts[1], texts[4]), 3)]
