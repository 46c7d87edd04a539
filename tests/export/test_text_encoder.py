"""Exported text encoders against those that they were made of, which torch runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoders import LIMIT, WORDS, build_encoder

from broadmamba.data.conversation import Conversation, Utterance
from broadmamba.errors import InputError
from broadmamba.export import text_encoder
from broadmamba.export.text_encoder import export_text_encoder
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.encoder_files import load_encoder_files
from broadmamba.features.text.exported import ExportedTextEncoder
from broadmamba.features.text.lora import adapt, additions_to_arrays
from broadmamba.features.text.passages import Passage, Reading
from broadmamba.features.text.pooling import POOLINGS
from broadmamba.features.text.tuned import save_tuned

TEXTS = ["w1 w2 w3", "", "w7", "unheard words w9", " ".join(WORDS), "half \ud83d", "w1 " * 5000, "\x00", "w3"]
SAID = (
    ("Ann", "You will never believe what happened to me today!"),
    ("Bo", "What?"),
    ("Ann", "I've  got the job — café manager 😀"),
    (None, ""),
    ("Bo", "Oh my god, " * 200),
    ("Cy", "half \ud83d a character"),
    ("Ann", "No."),
)
CONVERSATION = Conversation("c", tuple(Utterance(f"u{i}", SAID[i % 7][1], SAID[i % 7][0]) for i in range(30)))


@pytest.fixture(scope="module", autouse=True)
def traced_once() -> Iterator[None]:
    """Both precisions of an encoder are made of one trace, which takes PyTorch ten seconds."""
    traces: dict[int, tuple[TextEncoder, text_encoder.TracedGraph]] = {}
    trace = text_encoder._traced

    def once(encoder: TextEncoder) -> text_encoder.TracedGraph:
        if id(encoder) not in traces:
            traces[id(encoder)] = encoder, trace(encoder)
        return copy.deepcopy(traces[id(encoder)][1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_encoder, "_traced", once)
        yield


Pair = tuple[TextEncoder, ExportedTextEncoder]
Export = Callable[..., Pair]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """A tiny encoder of a kind, with a pooling, and what is exported of it."""
    folder = tmp_path_factory.mktemp("tiny")

    @cache
    def load(kind: str, pooling: str) -> TextEncoder:
        there = folder / kind
        if not there.is_dir():
            make = tune if kind == "tuned" else partial(build_encoder, kind, layers=2)
            make(there)
        return TextEncoder.load(str(there), pooling)

    def tune(there: Path) -> None:
        base = load_encoder_files(str(build_encoder("bert", folder / "base", layers=2)))
        with torch.random.fork_rng():
            torch.manual_seed(3)
            additions = adapt(base.model, ["encoder."], rank=2, dropout=0.0)
            for addition in additions.values():
                torch.nn.init.normal_(addition.B)
        save_tuned(there, base, str(folder / "base"), Reading(2, True), additions_to_arrays(additions), {})

    @cache
    def export(kind: str, pooling: str = "mean", weights: str = "float32") -> Pair:
        encoder = load(kind, pooling)
        target = folder / f"{kind}-{pooling}-{weights}"
        export_text_encoder(encoder, target, weights)
        return encoder, ExportedTextEncoder.load(target)

    return export


class Untraceable(torch.nn.Module):
    """An encoder whose numbers decide which way it takes."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.model.get_input_embeddings()

    def forward(self, **inputs: torch.Tensor) -> object:
        found = self.model(**inputs)
        return found if found.last_hidden_state.sum().item() > 1e9 else self.model(**inputs)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [*(("bert", pooling) for pooling in POOLINGS), ("roberta", "mean"), ("mpnet", "layers"), ("tuned", "mean")],
)
def test_rows_are_those_of_torch(kind: str, pooling: str, tiny: Export) -> None:
    encoder, exported = tiny(kind, pooling)
    assert (exported.spec, exported.reading, exported.limit) == (encoder.spec, encoder.reading, LIMIT)
    expected = encoder.encode(TEXTS)
    for size in (1, 3, 64):
        np.testing.assert_allclose(exported.encode(TEXTS, size), expected, atol=1e-5)
    talk = Conversation("c", tuple(Utterance(str(i), text, "AB"[i % 2]) for i, text in enumerate(TEXTS)))
    np.testing.assert_allclose(exported.encode_conversation(talk), encoder.encode_conversation(talk), atol=1e-5)
    assert exported.encode([]).shape == (0, encoder.spec.width)


@pytest.mark.parametrize(("kind", "pooling"), [("bert", "mean"), ("bert", "max"), ("roberta", "mean")])
def test_turns_of_one_passage_get_their_own_rows(kind: str, pooling: str, tiny: Export) -> None:
    passages = [
        Passage(("w1 w2", "w3", "w4 w5 w6"), 2),
        Passage(("w7",), 1),
        Passage(("", "w8 w9", "", " ".join(WORDS)), 4),
        Passage(("w1 w2",) * 9, 9),  # for whose words there is no room
    ]
    encoder, exported = tiny(kind, pooling)
    for found, expected in zip(exported.encode_passages(passages), encoder.encode_passages(passages), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    turns=st.lists(st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join), min_size=1, max_size=30),
    context=st.integers(0, 4),
    batch_size=st.integers(1, 9),
)
def test_rows_of_any_passages_are_those_of_torch(tiny: Export, turns: list[str], context: int, batch_size: int) -> None:
    encoder, exported = tiny("bert")
    reading = Reading(context, speakers=True)
    conversation = Conversation("c", tuple(Utterance(str(i), turn, "Ann") for i, turn in enumerate(turns)))
    passages = reading.passages(conversation)
    found = np.concatenate(exported.encode_passages(passages, batch_size))
    expected = np.concatenate(encoder.encode_passages(passages, batch_size))
    assert found.shape == (len(turns), 12)
    np.testing.assert_allclose(found, expected, atol=1e-4)  # rounding of a random encoder alone is up to 3e-5
    assert np.abs(found - expected).mean() < 1e-6


def test_minilm_reads_conversations_as_torch_does(tmp_path: Path) -> None:
    encoder = replace(TextEncoder.load("minilm"), reading=Reading(8, speakers=True))
    export_text_encoder(encoder, tmp_path / "float32", "float32")
    exported = ExportedTextEncoder.load(tmp_path / "float32")
    assert exported.spec == encoder.spec
    assert exported.reading == Reading(8, speakers=True)
    rows = encoder.encode_conversation(CONVERSATION)
    np.testing.assert_allclose(exported.encode_conversation(CONVERSATION), rows, atol=1e-5)
    export_text_encoder(encoder, tmp_path / "int8", "int8")
    rounded = ExportedTextEncoder.load(tmp_path / "int8").encode_conversation(CONVERSATION)
    assert cosines(rounded, rows).min() > 0.996
    assert np.linalg.norm(rounded - rows) < 0.06 * np.linalg.norm(rows)
    assert sum(file.stat().st_size for file in (tmp_path / "int8").iterdir()) < 24e6
    assert (tmp_path / "int8" / "graph.onnx").stat().st_size < 1e5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: replace(it, spec=replace(it.spec, pooling="tokens")), "it makes token ids"),
        (lambda it: replace(it, tokenizer=object()), "its tokenizer cannot be written as a tokenizer.json"),
        (lambda it: replace(it, _model=Untraceable(it.model)), "PyTorch cannot write it as a graph"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    change: Callable[[TextEncoder], TextEncoder], message: str, tiny: Export, tmp_path: Path
) -> None:
    encoder = change(tiny("bert")[0])
    with pytest.raises(InputError, match=rf"the text encoder bert cannot be exported \(.*{message}") as caught:
        export_text_encoder(encoder, tmp_path / "exported")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exported").exists()


def test_a_matrix_without_numbers_cannot_be_rounded(tiny: Export) -> None:
    graph = text_encoder._traced(tiny("bert")[0])
    name = next(name for name, values in graph.weights.items() if values.ndim == 2)
    graph.weights[name] = np.full_like(graph.weights[name], np.nan)
    with pytest.raises(InputError, match=r"its weight .* has non-finite values, which int8 rows cannot hold"):
        graph.round_matrices()


def test_a_precision_is_one_of_two(tiny: Export, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weights: expected int8 or float32, found 'int4'"):
        export_text_encoder(tiny("bert")[0], tmp_path / "exported", "int4")


def test_an_exported_encoder_is_no_encoder_to_train_on(tiny: Export, tmp_path: Path) -> None:
    export_text_encoder(tiny("bert")[0], tmp_path / "exported")
    with pytest.raises(InputError, match="it is an exported one, which predicts and is not trained on"):
        TextEncoder.load(str(tmp_path / "exported"))


def test_minilm_with_all_its_layers(tmp_path: Path) -> None:
    encoder = TextEncoder.load("minilm", "all")
    export_text_encoder(encoder, tmp_path / "minilm", "float32")
    exported = ExportedTextEncoder.load(tmp_path / "minilm")
    texts = [text for _, text in SAID]
    found = exported.encode(texts)
    np.testing.assert_allclose(found, encoder.encode(texts), atol=1e-5)
    np.testing.assert_allclose(found[:, -384:], TextEncoder.load("minilm").encode(texts), atol=1e-5)
