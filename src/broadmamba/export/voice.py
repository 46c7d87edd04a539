"""The voice encoder as a graph: what `media/voice_encoder.py` runs, out of Resemblyzer's weights (Apache-2.0).

Three LSTM layers over the frames of a window, and a linear layer with a ReLU of the last one's last state.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.export.graph import GraphWriter
from broadmamba.media.voice_encoder import MELS, WIDTH, WINDOW
from broadmamba.storage import atomic_write, save_arrays, sha256

ORIGINAL_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
"""Of `pretrained.pt` in the package Resemblyzer 0.1.4."""

_LAYERS = 3


def convert_voice(original: Path, folder: Path) -> None:
    """Write the voice encoder's graph and weights.

    Args:
        original: Resemblyzer's `pretrained.pt`.
        folder: where `voice.onnx` and `voice.safetensors` shall stand.

    Raises:
        InputError: the file is missing or another one.
    """
    import torch

    if not original.is_file() or (found := sha256(original)) != ORIGINAL_SHA256:
        raise InputError(
            f"{original}: expected Resemblyzer's pretrained.pt, whose SHA-256 is {ORIGINAL_SHA256[:12]}…, "
            f"found {f'{found[:12]}…' if original.is_file() else 'no file'}"
        )
    state = torch.load(original, map_location="cpu", weights_only=True)["model_state"]
    weights = converted({name: values.numpy() for name, values in state.items()})
    save_arrays(folder / "voice.safetensors", weights)
    with atomic_write(folder / "voice.onnx") as file:
        file.write(voice_graph())


def converted(state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Weights named and laid out as in the graph.

    Args:
        state: as PyTorch has it: for each layer of `lstm` weights and biases of the input and of the last state, whose
            rows are those of the gates i, f, g, o; and `linear`.
    """
    weights = {f"linear.{leaf}": state[f"linear.{leaf}"] for leaf in ("weight", "bias")}
    for layer in range(_LAYERS):
        parts = {
            name: _gates_of_onnx(state[f"lstm.{name}_l{layer}"])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        weights[f"lstm{layer}.input"] = parts["weight_ih"][None]  # of one direction
        weights[f"lstm{layer}.recurrent"] = parts["weight_hh"][None]
        weights[f"lstm{layer}.bias"] = np.concatenate([parts["bias_ih"], parts["bias_hh"]])[None]
    return weights


def _gates_of_onnx(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows of the gates i, f, g, o as i, o, f, g."""
    i, f, g, o = np.split(rows, 4)
    return np.concatenate([i, o, f, g])


def voice_graph() -> bytes:
    """The graph: from `mels` `(windows, 160, 40)` to `voices` `(windows, 256)`, of any length."""
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (WIDTH, WIDTH), "linear.bias": (WIDTH,)}
    for layer in range(_LAYERS):
        shapes[f"lstm{layer}.input"] = (1, 4 * WIDTH, WIDTH if layer else MELS)
        shapes[f"lstm{layer}.recurrent"] = (1, 4 * WIDTH, WIDTH)
        shapes[f"lstm{layer}.bias"] = (1, 8 * WIDTH)
    graph = GraphWriter(shapes)
    states = graph.op("Transpose", "mels", perm=[1, 0, 2])
    for layer in range(_LAYERS):
        names = (graph.weight(f"lstm{layer}.{part}") for part in ("input", "recurrent", "bias"))
        all_states, last_state = graph.ops("LSTM", states, *names, names=2, hidden_size=WIDTH)
        states = graph.op("Squeeze", all_states, graph.constant([1]))
    last = graph.op("Squeeze", last_state, graph.constant([0]))
    linear = graph.op("Gemm", last, graph.weight("linear.weight"), graph.weight("linear.bias"), transB=1)
    graph.op("Relu", linear, name="voices")
    return graph.model([("mels", "float32", ["windows", WINDOW, MELS])], {"voices": ["windows", WIDTH]})
