"""A small bundle with its own text encoder, made by hand: random weights, no training, no trace of torch's exporter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from broadmamba.bundle.ridge import RidgeStatistics
from broadmamba.data.conversation import LabelSet
from broadmamba.data.normalise import Normaliser
from broadmamba.data.spec import FeatureSpec
from broadmamba.export.graph import GraphWriter
from broadmamba.features.text.exported_folder import ExportedSettings, write_exported
from broadmamba.features.text.passages import Reading
from broadmamba.model.config import BroadMambaConfig
from broadmamba.model.network import BroadMamba
from broadmamba.training.checkpoint import Checkpoint

WIDTH, IDS = 6, 12
TEXT = FeatureSpec("tiny", "text", WIDTH, sha256="a" * 64)
AUDIO = FeatureSpec("voice", "audio", 4)


def write_encoder(folder: Path, spec: FeatureSpec = TEXT, seed: int = 0) -> Path:
    """A text encoder whose rows are the means of its tokens' embeddings."""
    vocabulary = {"<pad>": 0, "<s>": 1, "<unk>": 2, **{f"w{number}": number for number in range(3, IDS)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    graph = GraphWriter({"embeddings": (IDS, spec.width)})
    tokens = graph.op("Gather", graph.op("Reshape", "input_ids", graph.constant([-1])), "own_tokens", axis=0)
    kept = graph.op("Unsqueeze", graph.op("Cast", "own_mask", to=1), graph.constant([2]))
    total = graph.op(
        "ReduceSum",
        graph.op("Mul", graph.op("Gather", graph.weight("embeddings"), tokens, axis=0), kept),
        graph.constant([1]),
        keepdims=0,
    )
    asked = graph.op("ReduceSum", graph.op("Cast", "attention_mask", to=1), keepdims=0)
    graph.op(
        "Add",
        graph.op("Div", total, graph.op("ReduceSum", kept, graph.constant([1]), keepdims=0)),
        graph.op("Mul", graph.op("ReduceSum", asked, keepdims=0), graph.constant(0.0)),
        name="rows",
    )
    inputs = [
        ("input_ids", "int64", ["P", "L"]),
        ("attention_mask", "int64", ["P", "L"]),
        ("own_tokens", "int64", ["U", "O"]),
        ("own_mask", "int64", ["U", "O"]),
    ]
    model = onnx.ModelProto.FromString(graph.model(inputs, {"rows": ["U", spec.width]}))
    model.graph.input[3].type.tensor_type.elem_type = onnx.TensorProto.BOOL
    weights = {"embeddings": np.random.default_rng(seed).normal(size=(IDS, spec.width)).astype(np.float32)}
    settings = ExportedSettings(
        spec=spec,
        reading=Reading(),
        limit=16,
        before=[1],
        after=[],
        padding=0,
        precision="float32",
        attribution="nobody",
    )
    write_exported(folder, settings, model.SerializeToString(), weights, tokenizer.to_str())
    return folder


def untaught(seed: int) -> Checkpoint:
    """A model of text and audio that has learnt nothing."""
    torch.manual_seed(seed)
    widths = {"text": WIDTH, "audio": 4}
    config = BroadMambaConfig(widths=widths, classes=3, d_model=8, d_state=4, n=2, m=3, d_z=3, d_h=2)
    model = BroadMamba(config).eval()
    K = model.state_dict()["branches.text.representation.weight"].shape[1]
    ridge = {m: RidgeStatistics(np.eye(K), np.full((K, 3), seed + 1.0), 5) for m in widths}
    normalisers = {m: Normaliser(np.zeros(w, np.float32), np.ones(w, np.float32)) for m, w in widths.items()}
    specs = {"text": (TEXT,), "audio": (AUDIO,)}
    return Checkpoint("broadmamba", model, LabelSet(["calm", "glad", "sad"]), specs, normalisers, ridge=ridge)


def write_bundle(folder: Path, encoder: Path, seed: int = 0) -> Path:
    """The same as a bundle, with an encoder."""
    untaught(seed).save(folder, {"tiny": encoder})
    return folder
