"""What an ONNX file says: its graph, the graphs inside it, their tensors and operations.

The messages are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. Nothing is run and no other file is
opened; what `rules.py` looks at is read, and what no network of ours has is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from broadmamba.graphs.wire import DOUBLE, FLOAT, IGNORED, INTEGER, PART, TEXT, Message, MisfitError, Part, Wire

MOST_BYTES = 4 << 20
"""Of a file, in which the weights are not: a network of ours takes 50 kB, a text encoder less than 1 MB."""

MOST_FIELDS = 400_000

DEEPEST = 8
"""That graphs may lie inside one another."""

LONGEST = 2**31 - 1
"""That an axis may be."""

MOST_AXES = 16


class Tensor(NamedTuple):
    """A tensor of a graph.

    Attributes:
        name: of the tensor; empty for one in an attribute.
        kind: NumPy's name of its type, or `TYPE` and ONNX's number where NumPy has none.
        shape: of the tensor.
        external: what is said of where its values are, where they are not in the graph.
        integers: its values in order, where they are in the graph and whole numbers.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    external: Mapping[str, str] | None
    integers: NDArray[Any] | None


class Value(NamedTuple):
    """An input, an output, or a declared value in between.

    Attributes:
        name: of the value.
        kind: of a tensor, as above; None where it is left open.
        shape: a size, the name of a size that varies, or None, for each axis; None where nothing is said.
    """

    name: str
    kind: str | None
    shape: tuple[int | str | None, ...] | None


class Attribute(NamedTuple):
    """A setting of an operation.

    Attributes:
        name: of the setting.
        integers: its values, where they are whole numbers.
        tensor: its value, where it is a tensor.
        graph: its value, where it is a graph: a branch, or what is repeated.
    """

    name: str
    integers: Sequence[int]
    tensor: Tensor | None
    graph: Graph | None


class Node(NamedTuple):
    """An operation with the names of its inputs (empty where one is left out) and outputs, and its settings."""

    kind: str
    domain: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Sequence[Attribute]


class Graph(NamedTuple):
    """A graph: its inputs and outputs, what it declares of other values, its tensors and its operations."""

    inputs: Sequence[Value]
    outputs: Sequence[Value]
    values: Sequence[Value]
    tensors: Sequence[Tensor]
    nodes: Sequence[Node]


class Model(NamedTuple):
    """A file.

    Attributes:
        version: of the format.
        opsets: domain → version of each set of operations.
        graph: the graph.
    """

    version: int
    opsets: Mapping[str, int]
    graph: Graph


def read_model(content: bytes) -> Model:
    """Read an ONNX file.

    Raises:
        MisfitError: it is none, damaged, too large, or has a part that no network of ours has.
    """
    if len(content) > MOST_BYTES:
        raise MisfitError(f"takes {len(content)} bytes, expected at most {MOST_BYTES}")
    return _Reader(content).model()


_MODEL = Message(
    "model", version=(1, INTEGER), producer=(2, IGNORED), producer_version=(3, IGNORED), domain=(4, IGNORED),
    model_version=(5, INTEGER), notes=(6, IGNORED), graph=(7, PART), opsets=(8, PART, True),
    metadata=(14, IGNORED, True), functions=(25, PART, True),
)  # fmt: skip
_OPSET = Message("set of operations", domain=(1, TEXT), version=(2, INTEGER))
_GRAPH = Message(
    "graph", nodes=(1, PART, True), name=(2, TEXT), tensors=(5, PART, True), notes=(10, IGNORED),
    inputs=(11, PART, True), outputs=(12, PART, True), values=(13, PART, True), metadata=(16, IGNORED, True),
)  # fmt: skip
_NODE = Message(
    "node", inputs=(1, TEXT, True), outputs=(2, TEXT, True), name=(3, TEXT), kind=(4, TEXT), attributes=(5, PART, True),
    notes=(6, IGNORED), domain=(7, TEXT), metadata=(9, IGNORED, True),
)  # fmt: skip
_ATTRIBUTE = Message(
    "attribute", name=(1, TEXT), f=(2, FLOAT), i=(3, INTEGER), s=(4, PART), t=(5, PART), g=(6, PART),
    floats=(7, FLOAT, True), ints=(8, INTEGER, True), strings=(9, PART, True), notes=(13, IGNORED), kind=(20, INTEGER),
)  # fmt: skip
_TENSOR = Message(
    "tensor", shape=(1, INTEGER, True), kind=(2, INTEGER), floats=(4, FLOAT, True), int32s=(5, INTEGER, True),
    texts=(6, PART, True), int64s=(7, INTEGER, True), name=(8, TEXT), raw=(9, PART), doubles=(10, DOUBLE, True),
    uint64s=(11, INTEGER, True), notes=(12, IGNORED), external=(13, PART, True), place=(14, INTEGER),
    metadata=(16, IGNORED, True),
)  # fmt: skip
_ENTRY = Message("entry", key=(1, TEXT), value=(2, TEXT))
_VALUE = Message("value", name=(1, TEXT), type=(2, PART), notes=(3, IGNORED), metadata=(4, IGNORED, True))
_TYPE = Message("type", tensor=(1, PART), notes=(6, IGNORED))
_TENSOR_TYPE = Message("type of a tensor", kind=(1, INTEGER), shape=(2, PART))
_SHAPE = Message("shape", axes=(1, PART, True))
_AXIS = Message("axis", size=(1, INTEGER), name=(2, TEXT), notes=(3, IGNORED))

_KINDS = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip
"""ONNX's number of a type → NumPy's name."""

_DATA = ("raw", "floats", "doubles", "int32s", "int64s", "uint64s", "texts")
_DATA_OF = {"float32": "floats", "float64": "doubles", "int64": "int64s", "uint32": "uint64s", "uint64": "uint64s"}
"""Type → the field that has its values where they are not raw; `int32s` of the others."""

_ATTRIBUTES = ("", "f", "i", "s", "t", "g", "floats", "ints", "strings")
"""The fields of an attribute's value, by ONNX's numbers."""


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._wire = Wire(content, MOST_FIELDS)

    def model(self) -> Model:
        found = self._wire.fields(_MODEL, (0, len(self._content)))
        if "graph" not in found:
            raise MisfitError("is none, expected an ONNX model")
        if "functions" in found:
            raise MisfitError(f"defines {len(found['functions'])} operations itself, expected none")
        opsets: dict[str, int] = {}
        for part in found.get("opsets", ()):
            opset = self._wire.fields(_OPSET, part)
            if (domain := opset.get("domain", "")) in opsets:
                raise MisfitError(f"names two versions of the operations {domain!r}, expected one")
            opsets[domain] = opset.get("version", 0)
        return Model(found.get("version", 0), opsets, self._graph(found["graph"], 1))

    def _graph(self, part: Part, depth: int) -> Graph:
        if depth > DEEPEST:
            raise MisfitError(f"has graphs inside one another beyond a depth of {DEEPEST}, expected fewer")
        found = self._wire.fields(_GRAPH, part)
        return Graph(
            [self._value(value) for value in found.get("inputs", ())],
            [self._value(value) for value in found.get("outputs", ())],
            [self._value(value) for value in found.get("values", ())],
            [self._tensor(tensor) for tensor in found.get("tensors", ())],
            [self._node(node, depth) for node in found.get("nodes", ())],
        )

    def _node(self, part: Part, depth: int) -> Node:
        found = self._wire.fields(_NODE, part)
        attributes = [self._attribute(attribute, depth) for attribute in found.get("attributes", ())]
        names = found.get("inputs", ()), found.get("outputs", ())
        return Node(found.get("kind", ""), found.get("domain", ""), *names, attributes)

    def _attribute(self, part: Part, depth: int) -> Attribute:
        found = self._wire.fields(_ATTRIBUTE, part)
        name, number = found.get("name", ""), found.get("kind", 0)
        field = _ATTRIBUTES[number] if 0 < number < len(_ATTRIBUTES) else None
        others = any(other in found for other in _ATTRIBUTES if other != field)
        if field is None or others or (field in ("t", "g") and field not in found):
            raise MisfitError(f"has an attribute {name!r} that is not of its kind {number}, expected one that is")
        return Attribute(
            name,
            found.get("ints", ()) if "i" not in found else (found["i"],),
            self._tensor(found["t"]) if field == "t" else None,
            self._graph(found["g"], depth + 1) if field == "g" else None,
        )

    def _value(self, part: Part) -> Value:
        found = self._wire.fields(_VALUE, part)
        name = found.get("name", "")
        kind = self._wire.fields(_TYPE, found["type"]) if "type" in found else {}
        tensor = self._wire.fields(_TENSOR_TYPE, kind["tensor"]) if "tensor" in kind else {}
        shape = None
        if "shape" in tensor:
            axes = self._wire.fields(_SHAPE, tensor["shape"]).get("axes", ())
            shape = tuple(self._axis(axis, name) for axis in axes)
            _check_shape([1 if size is None or isinstance(size, str) else size for size in shape], name)
        return Value(name, _kind(tensor["kind"], name) if "kind" in tensor else None, shape)

    def _axis(self, part: Part, name: str) -> int | str | None:
        found = self._wire.fields(_AXIS, part)
        if len(found) > 1:
            raise MisfitError(f"says twice how long an axis of {name!r} is, expected once")
        size: int | str | None = found.get("size", found.get("name"))
        return size

    def _tensor(self, part: Part) -> Tensor:
        found = self._wire.fields(_TENSOR, part)
        name, shape = found.get("name", ""), tuple(found.get("shape", ()))
        kind = _kind(found.get("kind", 0), name)
        _check_shape(shape, name)
        place, inside = found.get("place", 0), any(field in found for field in _DATA)
        if place not in (0, 1) or (place == 1 and inside) or (place == 0 and "external" in found):
            raise MisfitError(f"has a tensor {name!r} that is both inside and outside, expected one of them")
        if place == 1:
            return Tensor(name, kind, shape, self._entries(found.get("external", ()), name), None)
        return Tensor(name, kind, shape, None, self._data(name, kind, prod(shape), found))

    def _data(self, name: str, kind: str, count: int, found: Mapping[str, Any]) -> NDArray[Any] | None:
        """Check that a tensor has its values inside, no fewer and no more; gives them if they are whole numbers."""
        if kind.isupper():
            return None  # no network of ours has one, and the rules refuse it
        field = "raw" if "raw" in found else _DATA_OF.get(kind, "int32s")
        if any(other in found for other in _DATA if other != field):
            raise MisfitError(f"has values of another type for its tensor {name!r} of {kind}, expected such")
        data, size = found.get(field, ()), np.dtype(kind).itemsize
        if field == "raw":
            held = data[1] - data[0]
        else:
            held = sum(end - start for start, end in data) if field in ("floats", "doubles") else len(data) * size
        if held != count * size:
            raise MisfitError(f"has {held} bytes of values for its tensor {name!r}, expected {count} × {size}")
        if np.dtype(kind).kind == "f" and field != "int32s":
            return None
        stored = np.dtype({"bool": "uint8", "float16": "uint16"}.get(kind, kind)).newbyteorder("<")
        if field == "raw":
            values = np.frombuffer(self._content, stored, count, data[0])
        else:
            values = np.array(data, np.int64).view(np.uint64 if kind == "uint64" else np.int64)
        if count and (kind == "bool" or field != "raw"):
            most = 1 if kind == "bool" else np.iinfo(stored).max
            if values.max() > most or values.min() < np.iinfo(stored).min:
                raise MisfitError(f"has values in its tensor {name!r} that are no {kind}, expected such")
        return values if np.dtype(kind).kind in "iu" else None

    def _entries(self, parts: Sequence[Part], name: str) -> dict[str, str]:
        entries: dict[str, str] = {}
        for part in parts:
            found = self._wire.fields(_ENTRY, part)
            if (key := found.get("key", "")) in entries:
                raise MisfitError(f"says twice what the {key!r} of its tensor {name!r} is, expected once")
            entries[key] = found.get("value", "")
        return entries


def _kind(number: int, name: str) -> str:
    if not 0 <= number <= LONGEST:
        raise MisfitError(f"has {name!r} of type {number}, expected a number of 32 bits")
    return _KINDS.get(number, f"TYPE {number}")


def _check_shape(shape: Sequence[int], name: str) -> None:
    if len(shape) > MOST_AXES:
        raise MisfitError(f"has {name!r} with {len(shape)} axes, expected at most {MOST_AXES}")
    if odd := [size for size in shape if not 0 <= size <= LONGEST]:
        raise MisfitError(f"has {name!r} with an axis of length {odd[0]}, expected 0 to {LONGEST}")
