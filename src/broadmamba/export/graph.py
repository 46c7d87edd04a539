"""Writing an ONNX graph, one operation a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from broadmamba.graphs import WEIGHTS

OPSET = 18
"""Of the standard operations; ONNX Runtime knows it since 1.14."""

IR_VERSION = 8

_TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


class GraphWriter:
    """Collects the nodes of a graph. Values are known by their names, which the methods give back.

    Args:
        shapes: name of a weight → its shape; all are float32.
    """

    def __init__(self, shapes: Mapping[str, Sequence[int]]) -> None:
        self._shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[Any, ...], str] = {}
        self._tensors: list[TensorProto] = []
        self._weights: dict[str, TensorProto] = {}
        self._count = 0

    def weight(self, name: str) -> str:
        """A weight by its name."""
        if name not in self._weights:
            tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
            tensor.dims.extend(self._shapes[name])
            size = 4 * int(np.prod(self._shapes[name], dtype=np.int64))
            for key, value in (("location", WEIGHTS), ("offset", "0"), ("length", str(size))):
                tensor.external_data.add(key=key, value=value)
            self._weights[name] = tensor
        return name

    def constant(self, value: NDArray[Any] | Sequence[int] | int | float) -> str:
        """Numbers that stand in the graph itself: whole ones as int64, others as float32 unless the array says more."""
        array = np.asarray(value)
        if not isinstance(value, np.ndarray):
            array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self._constants[key] = f"constant{len(self._constants)}"
            self._tensors.append(numpy_helper.from_array(array, name))
        return self._constants[key]

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Append an operation with one result.

        Args:
            kind: of the operation.
            inputs: names of values; an empty one stands for an input that is left out.
            name: of the result, where it is to be known by one.
            attributes: of the operation.
        """
        return self.ops(kind, *inputs, names=(name or self.fresh(),), **attributes)[0]

    def ops(self, kind: str, *inputs: str, names: Sequence[str] | int, **attributes: Any) -> tuple[str, ...]:
        """Append an operation with several results: their names, or how many there are."""
        results = tuple(self.fresh() for _ in range(names)) if isinstance(names, int) else tuple(names)
        self._nodes.append(helper.make_node(kind, list(inputs), list(results), **attributes))
        return results

    @contextmanager
    def body(self, inputs: Sequence[str] = ()) -> Iterator[GraphBody]:
        """Operations that are written in the block become a graph inside this one, which may use all values so far."""
        outer, self._nodes = self._nodes, []
        body = GraphBody([helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs])
        try:
            yield body
        finally:
            body.nodes, self._nodes = self._nodes, outer

    def model(
        self, inputs: Iterable[tuple[str, str, Sequence[str | int]]], outputs: Mapping[str, Sequence[str | int]]
    ) -> bytes:
        """The whole graph.

        Args:
            inputs: name, NumPy's name of the type, and shape of each; a name in the place of a size is a size that
                varies.
            outputs: name and shape of each; all are float32.
        """
        graph = helper.make_graph(
            self._nodes,
            "broadmamba",
            [helper.make_tensor_value_info(name, _TYPES[kind], list(shape)) for name, kind, shape in inputs],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()],
            [*self._weights.values(), *self._tensors],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="broadmamba"
        )
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def fresh(self) -> str:
        """A name that no value has."""
        self._count += 1
        return f"value{self._count}"


class GraphBody:
    """A graph inside a graph: what a branch or a step of a scan computes.

    Args:
        inputs: of a step; a branch has none.
    """

    def __init__(self, inputs: Sequence[onnx.ValueInfoProto]) -> None:
        self._inputs = inputs
        self.nodes: list[onnx.NodeProto] = []

    def graph(self, outputs: Sequence[str]) -> onnx.GraphProto:
        """The graph, given the names of its results."""
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        return helper.make_graph(self.nodes, "body", self._inputs, results)
