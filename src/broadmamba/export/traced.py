"""A network that PyTorch traced into an ONNX graph: its weights taken out, named, and rounded to int8 rows."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from broadmamba.errors import InputError
from broadmamba.features.text.int8_rows import ROWS, SCALES, to_int8_rows
from broadmamba.graphs import WEIGHTS

_LARGE = 1024
"""Bytes from which a tensor is a weight; the graph keeps smaller ones."""

_TURNED = ".T"
"""End of the name of a weight that the graph has turned: (in, out) where the network has (out, in)."""


class TracedGraph:
    """An ONNX graph without its weights.

    Args:
        module: in evaluation; what it is called with varies in the sizes of `axes`.
        example: what to call it with; sizes that vary are no less than 2 and differ from each other.
        axes: name of each input → the names of its sizes, which all vary.
        output: the name of its result.

    Attributes:
        model: the graph.
        weights: name → values; a weight of the network has its name there, with `.T` where the graph has it turned.

    Raises:
        InputError: the module cannot be traced.
    """

    def __init__(
        self, module: nn.Module, example: Sequence[Tensor], axes: Mapping[str, Sequence[str]], output: str
    ) -> None:
        sizes = {name: torch.export.Dim(name) for names in axes.values() for name in names}
        try:
            with _quiet():
                program = torch.onnx.export(
                    module,
                    tuple(example),
                    dynamo=True,
                    dynamic_shapes=[
                        {place: sizes[name] for place, name in enumerate(names)} for names in axes.values()
                    ],
                    input_names=list(axes),
                    output_names=[output],
                    verbose=False,
                )
            assert program is not None  # which only the former exporter gives
            self.model: onnx.ModelProto = program.model_proto
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"PyTorch cannot write it as a graph ({reason:.200})") from None
        self.weights: dict[str, NDArray[Any]] = {}
        _drop_notes(self.model)
        self._take_weights(module)

    def content(self) -> bytes:
        """The graph as the content of a file."""
        content: bytes = self.model.SerializeToString(deterministic=True)
        return content

    def round_matrices(self) -> None:
        """Keep each matrix as int8 rows and their scales, which the graph multiplies whenever it runs.

        That takes less time than the products that the matrices are for, and a quarter of the memory. Of a table of
        embeddings only the rows that are looked up are multiplied.

        Raises:
            InputError: a matrix has non-finite values.
        """
        users: dict[str, list[tuple[str, int]]] = {name: [] for name in self.weights}
        for node in self.model.graph.node:
            for place, name in enumerate(node.input):
                if name in users:
                    users[name].append((node.op_type, place))
        nodes: list[onnx.NodeProto] = []
        tables: dict[str, tuple[str, str]] = {}
        for name, values in list(self.weights.items()):
            if values.ndim != 2 or values.dtype != np.float32 or not users[name]:
                continue
            if set(users[name]) == {("Gather", 0)}:
                rows, scales = self._round(name, name, values)
                tables[name] = rows, scales
                self._put(scales, self.weights[scales][:, None])
            elif set(users[name]) == {("MatMul", 1)}:
                own = name.removesuffix(_TURNED)
                whole = f"{own}.whole"
                nodes.append(_node("DequantizeLinear", self._round(name, own, values.T), whole, axis=0))
                nodes.append(_node("Transpose", (whole,), name, perm=[1, 0]))
            else:
                nodes.append(_node("DequantizeLinear", self._round(name, name, values), name, axis=0))
        for node in self.model.graph.node:
            if node.input and node.input[0] in tables:
                (rows, scales), places, found = tables[node.input[0]], node.input[1], node.output[0]
                looked_up = f"{found}{ROWS}", f"{found}.whole", f"{found}{SCALES}"
                nodes.append(_node("Gather", (rows, places), looked_up[0]))
                nodes.append(_node("Cast", looked_up[:1], looked_up[1], to=TensorProto.FLOAT))
                nodes.append(_node("Gather", (scales, places), looked_up[2]))
                nodes.append(_node("Mul", looked_up[1:], found))
            else:
                nodes.append(node)
        copied = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del self.model.graph.node[:]
        self.model.graph.node.extend(copied)

    def _round(self, name: str, own: str, values: NDArray[np.float32]) -> tuple[str, str]:
        """Replace a matrix by its rows and scales, and give their names."""
        if not np.isfinite(values).all():
            raise InputError(f"its weight {own} has non-finite values, which int8 rows cannot hold")
        names = f"{own}{ROWS}", f"{own}{SCALES}"
        rows, scales = to_int8_rows(values)
        self._put(names[0], rows)
        self._put(names[1], scales)
        del self.weights[name]
        [tensor] = [tensor for tensor in self.model.graph.initializer if tensor.name == name]
        self.model.graph.initializer.remove(tensor)
        return names

    def _put(self, name: str, values: NDArray[Any]) -> None:
        """Take a weight in, or another shape of one."""
        found = [tensor for tensor in self.model.graph.initializer if tensor.name == name]
        _declare(found[0] if found else self.model.graph.initializer.add(), name, values)
        self.weights[name] = np.ascontiguousarray(values)

    def _take_weights(self, module: nn.Module) -> None:
        known: dict[tuple[Any, ...], list[str]] = {}
        for name, tensor in chain(module.named_parameters(), module.named_buffers()):
            values = tensor.detach().numpy()
            known.setdefault(_identity(values), []).append(name)
            if values.ndim == 2:
                known.setdefault(_identity(values.T), []).append(f"{name}{_TURNED}")
        names: dict[str, str] = {}
        for tensor in self.model.graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.nbytes < _LARGE:
                continue
            free = [name for name in known.get(_identity(values), ()) if name not in self.weights]
            names[tensor.name] = name = free[0] if free else tensor.name
            _declare(tensor, name, values)
            self.weights[name] = np.ascontiguousarray(values)
        for node in self.model.graph.node:
            for place, name in enumerate(node.input):
                node.input[place] = names.get(name, name)


def _identity(values: NDArray[Any]) -> tuple[Any, ...]:
    """The same for equal arrays alone; sums would not tell a matrix from its transpose."""
    return values.dtype.str, values.shape, hashlib.sha256(np.ascontiguousarray(values).data).digest()


def _declare(tensor: TensorProto, name: str, values: NDArray[Any]) -> None:
    """Make a tensor of the graph one whose values are given by name when the graph is loaded."""
    tensor.Clear()
    tensor.name, tensor.data_location = name, TensorProto.EXTERNAL
    tensor.data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
    tensor.dims.extend(values.shape)
    for key, value in (("location", WEIGHTS), ("offset", "0"), ("length", str(values.nbytes))):
        tensor.external_data.add(key=key, value=value)


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), [output], **attributes)


def _drop_notes(model: onnx.ModelProto) -> None:
    """Take out where in which source file each operation came from, and shapes that are found again."""
    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")


@contextmanager
def _quiet() -> Iterator[None]:
    """No notes of PyTorch about how it traces while the block runs."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
