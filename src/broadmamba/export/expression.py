"""The network behind the feature `expression` as a graph: what `features/video/expression.py` runs.

It is face-api's FaceExpressionNet (MIT), a small densely connected net of depthwise separable convolutions: four
blocks that halve the picture, a mean over what is left, and one linear layer. Names of layers follow the published
weights: `dense0.conv1.depthwise`, …, `fc`.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from broadmamba.export.graph import GraphWriter
from broadmamba.features.video.expression import CLASSES, FEATURES, INPUT_SIZE
from broadmamba.storage import atomic_write

_CHANNELS = (3, 32, 64, 128, FEATURES)
_MEAN_RGB = (122.782, 117.001, 104.298)


def write_expression(folder: Path) -> None:
    """Write the graph as `expression.onnx` into a folder."""
    with atomic_write(folder / "expression.onnx") as file:
        file.write(expression_graph())


def expression_graph() -> bytes:
    """The graph: from `faces` `(batch, 112, 112, 3)`, red, green, blue, 0…255, to `numbers` `(batch, 7 + 256)`.

    The numbers are the probabilities in the order of `CLASSES`, and the features before them.
    """
    graph = GraphWriter(weight_shapes())
    centred = graph.op("Sub", "faces", graph.constant(np.array(_MEAN_RGB, np.float32)))
    x = graph.op("Transpose", graph.op("Div", centred, graph.constant(255.0)), perm=[0, 3, 1, 2])
    for block, (inputs, outputs) in enumerate(pairwise(_CHANNELS)):
        x = _dense_block(graph, f"dense{block}", x, inputs, outputs)
    features = graph.op("ReduceMean", x, graph.constant([2, 3]), keepdims=0)
    scores = graph.op("Gemm", features, graph.weight("fc.weight"), graph.weight("fc.bias"), transB=1)
    graph.op("Concat", graph.op("Softmax", scores, axis=1), features, axis=1, name="numbers")
    return graph.model(
        [("faces", "float32", ["batch", INPUT_SIZE, INPUT_SIZE, 3])], {"numbers": ["batch", len(CLASSES) + FEATURES]}
    )


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """Name of each weight → its shape."""
    shapes: dict[str, tuple[int, ...]] = {"fc.weight": (len(CLASSES), FEATURES), "fc.bias": (len(CLASSES),)}
    for block, (inputs, outputs) in enumerate(pairwise(_CHANNELS)):
        for number in range(4):
            conv, channels = f"dense{block}.conv{number}", outputs if number else inputs
            if block == number == 0:
                shapes |= {f"{conv}.weight": (outputs, channels, 3, 3), f"{conv}.bias": (outputs,)}
            else:
                shapes[f"{conv}.depthwise.weight"] = (channels, 1, 3, 3)
                shapes[f"{conv}.pointwise.weight"] = (outputs, channels, 1, 1)
                shapes[f"{conv}.pointwise.bias"] = (outputs,)
    return shapes


def _dense_block(graph: GraphWriter, block: str, x: str, inputs: int, outputs: int) -> str:
    """Halves the picture, then three convolutions, each of the sum of all before it."""
    total = seen = graph.op("Relu", _conv(graph, f"{block}.conv0", x, inputs, strides=2))
    for number in (1, 2, 3):
        total = graph.op("Add", _conv(graph, f"{block}.conv{number}", seen, outputs), total)
        seen = graph.op("Relu", total)
    return seen


def _conv(graph: GraphWriter, name: str, x: str, channels: int, strides: int = 1) -> str:
    """A 3×3 convolution of each channel alone, then a mix of the channels; a plain one of the picture itself.

    Padded as TensorFlow's "same" is: at stride 2 of an even size by one row and column after, and none before.
    """
    form: dict[str, Any] = {"pads": [1, 1, 1, 1] if strides == 1 else [0, 0, 1, 1], "strides": [strides, strides]}
    if name == "dense0.conv0":
        return graph.op("Conv", x, graph.weight(f"{name}.weight"), graph.weight(f"{name}.bias"), **form)
    each = graph.op("Conv", x, graph.weight(f"{name}.depthwise.weight"), group=channels, **form)
    return graph.op("Conv", each, graph.weight(f"{name}.pointwise.weight"), graph.weight(f"{name}.pointwise.bias"))
