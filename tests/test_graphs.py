"""Graphs are read as the `onnx` package reads them, or refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from broadmamba.graphs.reading import Attribute, Graph, Model, Node, Tensor, Value, read_model
from broadmamba.graphs.wire import MisfitError

KINDS = {
    TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64", TensorProto.FLOAT16: "float16",
    TensorProto.BOOL: "bool",
    **{getattr(TensorProto, f"{u}INT{bits}"): f"{u}INT{bits}".lower() for u in ("", "U") for bits in (8, 16, 32, 64)},
}  # fmt: skip
OTHER_KINDS = sorted(set(TensorProto.DataType.values()) - set(KINDS) - {0})


# --- what the onnx package reads --------------------------------------------------------------------------------------


def described(model: ModelProto) -> Model:
    """A model in our words, as the `onnx` package understands it."""
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    return Model(model.ir_version, opsets, described_graph(model.graph))


def described_graph(graph: GraphProto) -> Graph:
    values = ([described_value(one) for one in ones] for ones in (graph.input, graph.output, graph.value_info))
    return Graph(*values, [described_tensor(t) for t in graph.initializer], [described_node(n) for n in graph.node])


def described_value(value: ValueInfoProto) -> Value:
    of = value.type.tensor_type
    axes = tuple(
        axis.dim_value if axis.HasField("dim_value") else axis.dim_param if axis.HasField("dim_param") else None
        for axis in of.shape.dim
    )
    kind = kind_of(of.elem_type) if of.HasField("elem_type") else None
    return Value(value.name, kind, axes if of.HasField("shape") else None)


def kind_of(number: int) -> str:
    return KINDS.get(number, f"TYPE {number}")


def described_tensor(tensor: TensorProto) -> Tensor:
    shape, kind = tuple(tensor.dims), kind_of(tensor.data_type)
    if tensor.data_location == TensorProto.EXTERNAL:
        return Tensor(tensor.name, kind, shape, {entry.key: entry.value for entry in tensor.external_data}, None)
    values = None
    if "int" in kind and kind in KINDS.values():
        values = numpy_helper.to_array(tensor).ravel()
        assert values.dtype.name == kind
    return Tensor(tensor.name, kind, shape, None, values)


def described_node(node: NodeProto) -> Node:
    attributes = []
    for one in node.attribute:
        integers = (one.i,) if one.HasField("i") else tuple(one.ints)
        tensor = described_tensor(one.t) if one.type == AttributeProto.TENSOR else None
        graph = described_graph(one.g) if one.type == AttributeProto.GRAPH else None
        attributes.append(Attribute(one.name, integers, tensor, graph))
    return Node(node.op_type, node.domain, tuple(node.input), tuple(node.output), attributes)


def comparable(found: Any) -> Any:
    """Sequences as tuples, arrays as lists."""
    if isinstance(found, np.ndarray):
        return found.tolist()
    if isinstance(found, Mapping):
        return dict(found)
    return (
        tuple(comparable(one) for one in found) if isinstance(found, Sequence) and not isinstance(found, str) else found
    )


# --- models of all kinds ----------------------------------------------------------------------------------------------

names = st.text(max_size=5)
sizes = st.lists(st.integers(0, 4), max_size=3)
integers = st.integers(-(2**63), 2**63 - 1)


@st.composite
def tensors(draw: st.DrawFn) -> TensorProto:
    name, shape = draw(names), draw(sizes)
    way = draw(st.sampled_from(["raw", "typed", "external", "other"]))
    if way == "external":
        tensor = TensorProto(name=name, dims=shape, data_type=draw(st.sampled_from(sorted(KINDS))), data_location=1)
        for key, value in draw(st.dictionaries(names, names, max_size=3)).items():
            tensor.external_data.add(key=key, value=value)
        return tensor
    if way == "other":
        kind, count = draw(st.sampled_from(OTHER_KINDS)), math.prod(shape)
        values: Any = [b"x"] * count if kind == TensorProto.STRING else [1] * count
        return helper.make_tensor(name, kind, shape, values)
    kind = draw(st.sampled_from(sorted(KINDS)))
    dtype = np.dtype(KINDS[kind])
    held = np.random.default_rng(draw(st.integers(0, 999))).bytes(math.prod(shape) * dtype.itemsize)
    array = np.frombuffer(held, np.uint8) % 2 == 1 if kind == TensorProto.BOOL else np.frombuffer(held, dtype)
    if way == "raw":
        return numpy_helper.from_array(array.reshape(shape), name)
    return helper.make_tensor(name, kind, shape, np.nan_to_num(array, posinf=1, neginf=1).tolist())


@st.composite
def values(draw: st.DrawFn) -> ValueInfoProto:
    value = ValueInfoProto(name=draw(names), doc_string=draw(names))
    if draw(st.booleans()):
        of = value.type.tensor_type
        of.elem_type = draw(st.sampled_from([*KINDS, *OTHER_KINDS]))
        if draw(st.booleans()):
            of.shape.SetInParent()
            for size in draw(st.lists(st.one_of(st.none(), st.integers(0, 2**31 - 1), names), max_size=4)):
                axis = of.shape.dim.add()
                if size is not None:
                    setattr(axis, "dim_param" if isinstance(size, str) else "dim_value", size)
    return value


@st.composite
def nodes(draw: st.DrawFn, depth: int) -> NodeProto:
    node = NodeProto(op_type=draw(names), domain=draw(names), name=draw(names), doc_string=draw(names))
    node.input.extend(draw(st.lists(names, max_size=3)))
    node.output.extend(draw(st.lists(names, max_size=2)))
    contents = [integers, st.floats(width=32), names, tensors(), st.lists(integers, min_size=1, max_size=4)]
    contents += [st.lists(st.floats(width=32), min_size=1, max_size=3), st.lists(names, min_size=1, max_size=3)]
    for content in draw(st.lists(st.one_of(*contents, *([graphs(depth + 1)] if depth < 3 else [])), max_size=3)):
        node.attribute.append(helper.make_attribute(draw(names), content))
    for key in draw(st.lists(names, max_size=2)):
        node.metadata_props.add(key=key, value="x")
    return node


@st.composite
def graphs(draw: st.DrawFn, depth: int = 1) -> GraphProto:
    few = {"max_size": 3 if depth == 1 else 2}
    graph = GraphProto(name=draw(names))
    graph.node.extend(draw(st.lists(nodes(depth), **few)))
    graph.initializer.extend(draw(st.lists(tensors(), **few)))
    for field in (graph.input, graph.output, graph.value_info):
        field.extend(draw(st.lists(values(), max_size=2)))
    return graph


@st.composite
def models(draw: st.DrawFn) -> ModelProto:
    model = ModelProto(ir_version=draw(integers), producer_name=draw(names), graph=draw(graphs()))
    for domain, version in draw(st.dictionaries(names, integers, max_size=3)).items():
        model.opset_import.append(helper.make_opsetid(domain, version))
    model.metadata_props.add(key=draw(names), value="x")
    return model


slow = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


@slow
@given(models())
def test_a_model_is_read_as_the_onnx_package_reads_it(model: ModelProto) -> None:
    assert comparable(read_model(model.SerializeToString())) == comparable(described(model))


@slow
@given(models(), st.data())
def test_what_is_read_of_a_damaged_model_is_what_the_onnx_package_reads(model: ModelProto, data: st.DataObject) -> None:
    content = bytearray(model.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1)) if content else 0
        piece = data.draw(st.binary(max_size=3))
        content[at : at + data.draw(st.integers(0, 3))] = piece
    try:
        found = read_model(bytes(content))
    except MisfitError as misfit:
        assert ", expected " in str(misfit)
        return
    try:
        wanted = described(ModelProto.FromString(bytes(content)))
    except DecodeError:  # in notes, which are passed over; ONNX Runtime does not take them either
        return
    assert comparable(found) == comparable(wanted)


def varint(number: int) -> bytes:
    number %= 1 << 64
    head = b""
    while number > 127:
        head += bytes([number & 127 | 128])
        number >>= 7
    return head + bytes([number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


@slow
@given(tensors(), st.booleans())
def test_numbers_may_be_packed_or_not(tensor: TensorProto, packed: bool) -> None:
    """The `onnx` package packs values and not shapes; another program may do it the other way round, or in pieces."""
    rest = TensorProto.FromString(tensor.SerializeToString())
    for name in ("dims", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
        rest.ClearField(name)
    content = rest.SerializeToString()
    for number, numbers in ((1, tensor.dims), (5, tensor.int32_data), (7, tensor.int64_data), (11, tensor.uint64_data)):
        coded = [varint(one) for one in numbers]
        content += (
            field(number, b"".join(coded[:1])) + field(number, b"".join(coded[1:]))
            if packed
            else b"".join(varint(number << 3) + one for one in coded)
        )
    for number, array, code in (
        (4, np.array(tensor.float_data, "<f4"), 5),
        (10, np.array(tensor.double_data, "<f8"), 1),
    ):
        content += (
            field(number, array.tobytes())
            if packed
            else b"".join(varint(number << 3 | code) + one.tobytes() for one in array)
        )
    assert TensorProto.FromString(content) == tensor
    model = field(7, field(5, content))
    assert comparable(read_model(model).graph.tensors) == comparable([described_tensor(tensor)])
