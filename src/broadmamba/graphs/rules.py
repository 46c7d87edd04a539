"""Which graphs are run: those that need nothing but standard operations and the weights that they are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import InputError
from broadmamba.graphs.reading import MOST_AXES, Graph, Node, Tensor, read_model
from broadmamba.graphs.wire import MisfitError

WEIGHTS = "weights"
"""Where a graph says that its weights are: they are given by name, and no file is opened."""

VERSIONS = range(4, 14)
"""Of the format: before 4 whoever runs a graph might replace its tensors by inputs."""

OPSETS = range(13, 24)
"""Versions of the standard operations."""

_OPERATIONS = (
    "Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv "
    "Cos CumSum DequantizeLinear Div Elu Equal Erf Exp Expand Flatten Floor GRU Gather GatherElements GatherND Gelu "
    "Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Identity If IsInf IsNaN LSTM "
    "LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mod Mul Neg Not Or "
    "PRelu Pad Pow Range Reciprocal ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare Relu Reshape Round Scan ScatterElements ScatterND Shape Sigmoid Sign Sin Size Slice Softmax "
    "Softplus Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Trilu Unsqueeze Where"
)
OPERATIONS = frozenset(_OPERATIONS.split())
"""What networks, text encoders, and the nets of voices and faces consist of; nothing that is random, reads a file,
holds texts, or repeats a body as often as it likes."""

MOST_NODES = 5_000

LARGEST = 1 << 20
"""A whole number in a graph, which may be the length of an axis; larger ones stand for "to the end" alone."""

_ENDS = {2**31 - 1, -(2**31), 2**63 - 1, -(2**63) + 1, -(2**63)}

MOST_VALUES = 1 << 24
"""That a shape in a graph may ask for."""

_MOST_SIZES = 2 * MOST_AXES  # the sizes that a shape has, or what Pad adds at both ends

_SHAPED = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Tile": 1, "Pad": 1}
"""Operation → its input that says how large the result is."""


def check_graph(content: bytes, weights: Mapping[str, NDArray[Any]], what: str) -> list[str]:
    """Refuse a graph that should not be run, before anything large is allocated for it.

    A graph that passes can still ask for much memory while it runs, as sizes come of what it computes: `sessions.py`
    limits that.

    Args:
        content: of an ONNX file.
        weights: name of a tensor → its values; there may be more than it needs.
        what: the network is, for messages.

    Returns:
        The names of the weights that it needs.

    Raises:
        InputError: the file is damaged or too large, has other parts than networks have, needs other operations than
            `OPERATIONS`, or other weights than these.
    """
    try:
        model = read_model(content)
        if model.version not in VERSIONS:
            raise MisfitError(f"is of version {model.version} of the format, expected {_span(VERSIONS)}")
        if set(model.opsets) != {""} or model.opsets[""] not in OPSETS:
            versions = ", ".join(f"{domain!r} {version}" for domain, version in model.opsets.items())
            raise MisfitError(f"needs the operations {versions}, expected '' {_span(OPSETS)} alone")
        needed = _check_weights(model.graph.tensors, weights)
        if odd := [value for value in model.graph.outputs if value.kind != "float32"]:
            raise MisfitError(f"gives {odd[0].name!r} as {odd[0].kind}, expected float32")
        _Walk().graph(model.graph, {})
    except MisfitError as misfit:
        raise InputError(f"{what}: its graph {misfit}") from None
    return needed


def _check_weights(tensors: Iterable[Tensor], weights: Mapping[str, NDArray[Any]]) -> list[str]:
    """Hold what a graph says of its weights against what they are; gives the names of those that it needs."""
    needed = []
    for tensor in tensors:
        if tensor.external is None:
            continue
        values = weights.get(tensor.name)
        if values is None:
            raise MisfitError(f"needs a weight {tensor.name!r} that is not there, expected the network's own weights")
        in_order = values.flags.c_contiguous and values.dtype.isnative
        if (tensor.kind, tensor.shape, True) != (values.dtype.name, values.shape, in_order):
            raise MisfitError(
                f"needs the weight {tensor.name!r} as {tensor.kind} {tensor.shape}, found {values.dtype.name} "
                f"{values.shape}{'' if in_order else ' in another order'}, expected the network's own weights"
            )
        wanted = {"location": WEIGHTS, "offset": "0", "length": str(values.nbytes)}
        if tensor.external.get("location") != WEIGHTS or not tensor.external.items() <= wanted.items():
            raise MisfitError(f"has {tensor.name!r} at {dict(tensor.external)}, expected {wanted}")
        needed.append(tensor.name)
    return needed


class _Walk:
    """Goes through a graph and the graphs inside it."""

    def __init__(self) -> None:
        self._nodes = 0

    def graph(self, graph: Graph, constants: dict[str, NDArray[Any]], inside: str = "") -> None:
        """Check one.

        Args:
            graph: the graph.
            constants: name → values of whole numbers that graphs around it hold; its own are added.
            inside: the operation that it belongs to.
        """
        names = Counter([tensor.name for tensor in graph.tensors] + [value.name for value in graph.inputs])
        if odd := [name for name, count in names.items() if count > 1 or not name]:
            raise MisfitError(f"has {names[odd[0]]} tensors or inputs {odd[0]!r}, expected a name for each")
        for value in (*graph.inputs, *graph.outputs, *graph.values):
            if value.kind is not None and value.kind.isupper():
                raise MisfitError(f"has a value {value.name!r} of type {value.kind}, expected numbers")
        for tensor in graph.tensors:
            if inside and tensor.external is not None:
                raise MisfitError(f"has a weight {tensor.name!r} inside {inside}, expected it outside")
            _check_tensor(tensor)
            if tensor.integers is not None:
                constants[tensor.name] = tensor.integers
        self._nodes += len(graph.nodes)
        if self._nodes > MOST_NODES:
            raise MisfitError(f"has more than {MOST_NODES} operations, expected at most these")
        left = {name for node in graph.nodes for name in node.outputs}
        for value in graph.outputs:  # else ONNX Runtime gives memory that nobody has written, where it is a body
            if value.name not in left:
                raise MisfitError(f"gives {value.name!r} as a result, expected that of an operation, once")
            left.remove(value.name)
        for node in graph.nodes:
            self._node(node, constants)

    def _node(self, node: Node, constants: dict[str, NDArray[Any]]) -> None:
        if node.domain or node.kind not in OPERATIONS:
            kind = f"{node.domain}.{node.kind}" if node.domain else node.kind
            raise MisfitError(f"has an operation {kind!r}, expected standard ones that networks consist of")
        if len({attribute.name for attribute in node.attributes}) < len(node.attributes):
            raise MisfitError(f"says an attribute of a {node.kind} twice, expected once")
        for attribute in node.attributes:
            where = f"{attribute.name!r} of a {node.kind}"
            if any(abs(number) > LARGEST for number in attribute.integers):
                _check_integers(np.array(attribute.integers), where)
            if attribute.tensor is not None:
                if attribute.tensor.external is not None:
                    raise MisfitError(f"has {where} in another file, expected it in the graph")
                _check_tensor(attribute.tensor)
            if attribute.graph is not None:
                self.graph(attribute.graph, dict(constants), node.kind)
            if node.kind == "Constant" and node.outputs:
                held = attribute.integers if attribute.tensor is None else attribute.tensor.integers
                if held is not None:
                    constants[node.outputs[0]] = np.asarray(held)
        place = _SHAPED.get(node.kind, len(node.inputs))
        shape = constants.get(node.inputs[place]) if place < len(node.inputs) else None
        if shape is None:
            return
        if shape.size > _MOST_SIZES or prod(abs(size) for size in shape.tolist() if size) > MOST_VALUES:
            raise MisfitError(f"asks {node.kind} for {shape.tolist()}, expected at most {MOST_VALUES} values")


def _check_tensor(tensor: Tensor) -> None:
    if tensor.kind.isupper():
        raise MisfitError(f"has a tensor {tensor.name!r} of type {tensor.kind}, expected numbers")
    if tensor.integers is not None:
        _check_integers(tensor.integers, f"a tensor {tensor.name!r}")


def _check_integers(values: NDArray[Any], where: str) -> None:
    if values.size and (values.max() > LARGEST or values.min() < -LARGEST):
        large = set(values[(values > LARGEST) | (values < -LARGEST)].tolist()) - _ENDS
        if large:
            raise MisfitError(f"has the number {large.pop()} in {where}, expected at most {LARGEST}")


def _span(numbers: range) -> str:
    return f"{numbers[0]} to {numbers[-1]}"
