"""Graphs that mean harm are refused in one sentence, before ONNX Runtime sees them."""

from __future__ import annotations

import pickle
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from broadmamba import sessions
from broadmamba.errors import InputError
from broadmamba.graphs import WEIGHTS, check_graph
from broadmamba.graphs.reading import LONGEST, MOST_AXES, MOST_BYTES, MOST_FIELDS
from broadmamba.graphs.rules import LARGEST, MOST_NODES
from broadmamba.networks import NETWORKS
from broadmamba.sessions import Session

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def weight(name: str = "W", shape: Sequence[int] = (3, 4), kind: int = TensorProto.FLOAT, **said: str) -> TensorProto:
    """A tensor that is outside."""
    tensor = TensorProto(name=name, dims=shape, data_type=kind, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": WEIGHTS, **said}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def graph_of(
    nodes: Sequence[NodeProto], tensors: Sequence[TensorProto] = (), outputs: Sequence[str] = ("y",)
) -> GraphProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", 3])
    found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    return helper.make_graph(nodes, "g", [x], found, tensors)


def model_of(*nodes: NodeProto, tensors: Sequence[TensorProto] = (), opset: int = 18, **settings: Any) -> ModelProto:
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph_of(nodes, tensors), ir_version=8, opset_imports=opsets, **settings)


def branch(*nodes: NodeProto, tensors: Sequence[TensorProto] = ()) -> GraphProto:
    outputs = [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)]
    return helper.make_graph(nodes, "b", [], outputs, tensors)


node = helper.make_node
MATMUL = node("MatMul", ["x", "W"], ["y"])
COPY = node("Identity", ["x"], ["y"])


def numbers(name: str, values: Any, kind: type = np.int64) -> TensorProto:
    return numpy_helper.from_array(np.array(values, kind), name)


def plain() -> ModelProto:
    """A graph that is run: y = x W."""
    return model_of(MATMUL, tensors=[weight(offset="0", length="48")])


def changed(part: str, **fields: Any) -> ModelProto:
    """The same with other fields in one part, such as `graph.initializer[0]`; a list replaces a list."""
    model = plain()
    at: Any = model
    for name, number in re.findall(r"(\w+)(?:\[(\d)\])?", part):
        at = getattr(at, name)[int(number)] if number else getattr(at, name)
    for name, value in fields.items():
        if isinstance(value, list):
            at.ClearField(name)
            getattr(at, name).extend(value)
        else:
            setattr(at, name, value)
    return model


def nested(depth: int) -> ModelProto:
    inner = COPY
    for number in range(depth):
        body = branch(node("Identity", ["x"], [f"y{number}"])) if number == 0 else branch(inner)
        inner = node("If", ["c"], [f"z{number}"], then_branch=body, else_branch=body)
    inner.output[0] = "y"
    return model_of(inner, tensors=[numbers("c", True, np.bool_)])


def shaped(kind: str, shape: Sequence[int], **attributes: Any) -> ModelProto:
    inputs = ["s"] if kind == "ConstantOfShape" else ["x", "s"]
    return model_of(node(kind, inputs, ["y"], **attributes), tensors=[numbers("s", shape)])


def inline(tensor: TensorProto) -> ModelProto:
    return model_of(node("MatMul", ["x", "W"], ["y"]), tensors=[tensor])


def raw(shape: Sequence[int], size: int, kind: int = TensorProto.FLOAT) -> TensorProto:
    return TensorProto(name="W", dims=shape, data_type=kind, raw_data=bytes(size))


def constant(**fields: Any) -> ModelProto:
    tensor = TensorProto(dims=[1], data_type=TensorProto.FLOAT, **fields)
    return model_of(node("Constant", [], ["c"], value=tensor), node("Add", ["x", "c"], ["y"]))


def with_function() -> ModelProto:
    made = helper.make_function(
        "", "Relu", ["a"], ["b"], [node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    return model_of(node("Relu", ["x"], ["y"]), functions=[made])


def typed(**fields: Sequence[float]) -> ModelProto:
    return inline(TensorProto(name="W", dims=[3, 4], data_type=TensorProto.FLOAT, **fields))


def scanned(*given: str) -> ModelProto:
    """A row of x after the other, as it is; of some results ONNX Runtime would give the memory that it finds."""
    row, *results = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("row", *given))
    body = helper.make_graph([node("Identity", ["row"], ["kept"])], "b", [row], results)
    names = ["y", *(f"z{number}" for number in range(1, len(given)))]
    return model_of(node("Scan", ["x"], names, body=body, num_scan_inputs=1))


SAME = {"W": WEIGHT}
CONTENT = plain().SerializeToString()
OUTSIDE = "/etc/passwd"

ATTACKS: dict[str, tuple[ModelProto | bytes, Mapping[str, np.ndarray[Any, Any]], str]] = {
    # no ONNX file
    "nothing": (b"", {}, "is none"),
    "text": (b'{"graph": 1}' * 9, {}, "expected"),
    "zeros": (bytes(1000), {}, "has field 0"),
    "truncated": (CONTENT[:-9], SAME, "ends too early"),
    "a size beyond the end": (b"\x3a\xff\xff\xff\xff\x0f", {}, "ends too early"),
    "a size beyond 64 bits": (b"\x3a" + b"\xff" * 10 + b"\x01", {}, "too large"),
    "a number without end": (b"\x08" + b"\xff" * 5000 + b"\x01", {}, "too large"),
    "garbage after it": (CONTENT + b"\x00\x01", SAME, "has field 0"),
    "two models in one": (CONTENT * 2, SAME, "two fields"),
    "a group": (CONTENT + b"\x0b\x0c", SAME, "has field 1 (code 3)"),
    "too many bytes": (CONTENT + b"\x32\x80\x80\x80\x02" + bytes(4 << 20), SAME, f"expected at most {MOST_BYTES}"),
    "too many fields": (CONTENT + b"\x72\x00" * MOST_FIELDS, SAME, "has more than"),
    "no text": (CONTENT.replace(b"MatMul", b"MatM\xff\xff"), SAME, "no UTF-8"),
    "the other format of ONNX Runtime": (b"\x12\x06xxORTM", {}, "is none"),
    # versions
    "a version before there were weights": (changed("", ir_version=3), SAME, "version 3"),
    "a version to come": (changed("", ir_version=99), SAME, "version 99"),
    "no operations": (changed("", opset_import=[]), SAME, "needs the operations"),
    "old operations": (model_of(COPY, opset=7), {}, "'' 7, expected '' 13 to 23"),
    "operations to come": (model_of(COPY, opset=2**40), {}, "expected '' 13 to 23"),
    "operations of others": (changed("", opset_import=[helper.make_opsetid(d, 18) for d in ("", "x")]), SAME, "'x' 18"),
    # what nodes do
    "random": (model_of(node("RandomNormal", [], ["y"], shape=[9])), {}, "'RandomNormal'"),
    "without end": (model_of(node("Loop", ["", "c"], ["y"], body=branch(COPY))), {}, "'Loop'"),
    "somebody's": (model_of(node("Relu", ["x"], ["y"], domain="com.microsoft")), {}, "'com.microsoft.Relu'"),
    "texts": (model_of(node("StringNormalizer", ["x"], ["y"])), {}, "'StringNormalizer'"),
    "files": (
        model_of(node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context=OUTSIDE)),
        {},
        "EPContext",
    ),
    "a redefined operation": (with_function(), {}, "defines 1 operations"),
    "hidden in a branch": (
        model_of(
            node(
                "If", ["c"], ["y"], then_branch=branch(COPY), else_branch=branch(node("RandomNormalLike", ["x"], ["y"]))
            ),
            tensors=[numbers("c", True, np.bool_)],
        ),
        {},
        "'RandomNormalLike'",
    ),
    "nobody's result": (model_of(node("Identity", ["x"], ["z"])), {}, "gives 'y' as a result"),
    "a result twice": (scanned("kept", "kept"), {}, "gives 'kept' as a result"),
    "an input as a result": (scanned("row"), {}, "gives 'row' as a result"),
    "too many nodes": (model_of(*[COPY] * (MOST_NODES + 1)), {}, f"more than {MOST_NODES}"),
    "too deep": (nested(9), {}, "beyond a depth of 8"),
    # weights and where they are
    "a file": (changed("graph.initializer[0].external_data[0]", value=OUTSIDE), SAME, "expected {'location'"),
    "a path": (changed("graph.initializer[0].external_data[0]", value="../" + WEIGHTS), SAME, "expected {'location'"),
    "an address": (
        changed("graph.initializer[0].external_data[0]", value="*/_ORT_MEM_ADDR_/*"),
        SAME,
        "expected {'location'",
    ),
    "no place": (changed("graph.initializer[0]", external_data=[]), SAME, "expected {'location'"),
    "another part": (changed("graph.initializer[0].external_data[1]", value="4"), SAME, "expected {'location'"),
    "a negative part": (changed("graph.initializer[0].external_data[1]", value="-4"), SAME, "expected {'location'"),
    "another length": (changed("graph.initializer[0].external_data[2]", value="9" * 30), SAME, "expected {'location'"),
    "a key of tomorrow": (
        changed("graph.initializer[0].external_data[2]", key="checksum"),
        SAME,
        "expected {'location'",
    ),
    "two places": (changed("graph.initializer[0].external_data[1]", key="location"), SAME, "says twice"),
    "a missing weight": (plain(), {}, "needs a weight 'W'"),
    "another weight": (plain(), {"V": WEIGHT}, "needs a weight 'W'"),
    "a turned weight": (plain(), {"W": np.ascontiguousarray(WEIGHT.T)}, "float32 (3, 4), found float32 (4, 3)"),
    "a weight of another order": (plain(), {"W": np.asfortranarray(WEIGHT)}, "found float32 (3, 4)"),
    "a flat weight": (plain(), {"W": WEIGHT.ravel()}, "found float32 (12,)"),
    "a longer weight": (plain(), {"W": WEIGHT.astype(np.float64)}, "found float64 (3, 4)"),
    "a weight read as whole numbers": (
        changed("graph.initializer[0]", data_type=TensorProto.INT32),
        SAME,
        "as int32 (3, 4)",
    ),
    "inside and outside": (changed("graph.initializer[0]", raw_data=WEIGHT.tobytes()), SAME, "both inside and outside"),
    "inside with a place": (changed("graph.initializer[0]", data_location=TensorProto.DEFAULT), SAME, "both inside"),
    "a weight in a branch": (
        model_of(
            node("If", ["c"], ["y"], then_branch=branch(MATMUL, tensors=[weight()]), else_branch=branch(MATMUL)),
            tensors=[numbers("c", True, np.bool_), weight("V")],
        ),
        {"V": WEIGHT},
        "'W' inside If",
    ),
    "a weight in an attribute": (
        constant(data_location=TensorProto.EXTERNAL, external_data=weight().external_data),
        {},
        "'value' of a Constant",
    ),
    "a file in an attribute": (
        constant(data_location=TensorProto.EXTERNAL, external_data=weight(location=OUTSIDE).external_data),
        {},
        "'value' of a Constant",
    ),
    "two of a name": (
        model_of(MATMUL, tensors=[weight(), numbers("W", [1.0], np.float32)]),
        SAME,
        "has 2 tensors or inputs 'W'",
    ),
    "a tensor as an input": (
        model_of(COPY, tensors=[numbers("x", [1.0], np.float32)]),
        {},
        "has 2 tensors or inputs 'x'",
    ),
    "no name": (model_of(COPY, tensors=[numbers("", [1.0], np.float32)]), {}, "inputs ''"),
    # sizes
    "a negative axis": (changed("graph.initializer[0]", dims=[-3, -4]), SAME, "an axis of length -3"),
    "a huge axis": (changed("graph.initializer[0]", dims=[2**62, 4]), SAME, f"expected 0 to {LONGEST}"),
    "axes whose product is small again": (inline(raw([2**31 - 1, 2**31 - 1, 4, 2**30], 16)), {}, "has 16 bytes"),
    "too many axes": (
        changed("graph.initializer[0]", dims=[1] * (MOST_AXES + 1)),
        SAME,
        f"expected at most {MOST_AXES}",
    ),
    "too few bytes": (inline(raw([3, 4], 47)), {}, "has 47 bytes"),
    "too many bytes of a tensor": (inline(raw([3, 4], 52)), {}, "expected 12 × 4"),
    "no bytes at all": (inline(raw([10**9], 0)), {}, "has 0 bytes"),
    "too few numbers": (typed(float_data=[1] * 11), {}, "has 44 bytes"),
    "numbers of another type": (typed(double_data=[1] * 12), {}, "another type"),
    "two sorts of numbers": (typed(float_data=[1] * 12, int32_data=[1] * 12), {}, "another type"),
    "numbers that do not fit": (
        inline(TensorProto(name="W", dims=[1], data_type=TensorProto.INT8, int32_data=[300])),
        {},
        "no int8",
    ),
    "neither true nor false": (
        inline(TensorProto(name="W", dims=[1], data_type=TensorProto.BOOL, raw_data=b"\x07")),
        {},
        "no bool",
    ),
    "texts as a tensor": (inline(helper.make_tensor("W", TensorProto.STRING, [1], [b"x"])), {}, "TYPE 8"),
    "a type that nobody has": (changed("graph.initializer[0]", data_type=99), SAME, "as TYPE 99"),
    "a type of 33 bits": (changed("graph.input[0].type.tensor_type", elem_type=2**31 - 1), SAME, "TYPE 2147483647"),
    "an input of negative size": (
        changed("graph.input[0].type.tensor_type.shape.dim[1]", dim_value=-1),
        SAME,
        "length -1",
    ),
    "an output of whole numbers": (
        changed("graph.output[0].type.tensor_type", elem_type=TensorProto.INT64),
        SAME,
        "expected float32",
    ),
    # what asks for memory
    "a huge constant": (shaped("ConstantOfShape", [1 << 15, 1 << 15]), {}, "asks ConstantOfShape for [32768, 32768]"),
    "a huger one": (shaped("ConstantOfShape", [2**40]), {}, f"expected at most {LARGEST}"),
    "a negative one": (shaped("ConstantOfShape", [-(2**40)]), {}, f"expected at most {LARGEST}"),
    "expanded": (shaped("Expand", [1 << 20, 1 << 10, 3]), {}, "asks Expand for"),
    "repeated": (shaped("Tile", [1 << 20, 1 << 10]), {}, "asks Tile for"),
    "padded": (shaped("Pad", [1 << 20, 0, 0, 1 << 20]), {}, "asks Pad for"),
    "reshaped": (shaped("Reshape", [1] * 40 + [1 << 20, 1 << 20]), {}, "asks Reshape for"),
    "counted": (
        model_of(
            node("Range", ["a", "b", "c"], ["y"]),
            tensors=[numbers(n, v) for n, v in (("a", 0), ("b", 10**9), ("c", 1))],
        ),
        {},
        "the number 1000000000 in a tensor 'b'",
    ),
    "in a constant": (
        model_of(node("Constant", [], ["s"], value_ints=[1 << 15] * 2), node("ConstantOfShape", ["s"], ["y"])),
        {},
        "asks ConstantOfShape",
    ),
    "in an attribute": (
        model_of(node("Conv", ["x", "W"], ["y"], pads=[10**9] * 4), tensors=[weight()]),
        SAME,
        "'pads' of a Conv",
    ),
    "in a branch": (
        model_of(
            node(
                "If", ["c"], ["y"], then_branch=branch(node("ConstantOfShape", ["s"], ["t"])), else_branch=branch(COPY)
            ),
            tensors=[numbers("c", True, np.bool_), numbers("s", [1 << 15, 1 << 15])],
        ),
        {},
        "asks ConstantOfShape",
    ),
}


def attack(name: str) -> tuple[bytes, Mapping[str, np.ndarray[Any, Any]], str]:
    model, weights, said = ATTACKS[name]
    return model if isinstance(model, bytes) else model.SerializeToString(), weights, said


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_in_one_sentence(name: str) -> None:
    content, weights, said = attack(name)
    with pytest.raises(InputError) as refusal:
        check_graph(content, weights, "the network of a test")
    told = str(refusal.value)
    assert told.startswith("the network of a test: its graph "), told
    assert said in told
    assert "expected" in told
    assert len(told) < 500
    assert "\n" not in told


def test_weights_that_are_not_needed_are_left_alone() -> None:
    others = {"V": np.ones((2, 2))}
    assert check_graph(CONTENT, SAME | others, "a test") == ["W"]
    (y,) = Session(CONTENT, SAME | others, what="a test").run({"x": X}, ["y"])
    np.testing.assert_array_equal(y, X @ WEIGHT)
    held = inline(numpy_helper.from_array(WEIGHT, "W")).SerializeToString()
    (y,) = Session(held, {"W": -WEIGHT}, what="a test").run({"x": X}, ["y"])
    np.testing.assert_array_equal(y, X @ WEIGHT)


def test_a_weight_of_another_byte_order_is_refused() -> None:
    with pytest.raises(InputError, match=r"found float32 \(3, 4\) in another order"):
        Session(CONTENT, {"W": WEIGHT.astype(">f4")}, what="a test")


def test_what_is_attacked_is_run_otherwise() -> None:
    (y,) = Session(CONTENT, SAME, what="a test").run({"x": X}, ["y"])
    np.testing.assert_array_equal(y, X @ WEIGHT)


CHILD = """
import pickle, resource, sys
import onnxruntime
from broadmamba.errors import InputError
from broadmamba.sessions import Session
attacks = pickle.loads(sys.stdin.buffer.read())
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20),) * 2)
def most():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
before = most()
open("begun", "w").close()
refused = 0
for content, weights in attacks:
    try:
        Session(content, weights, what="a test", device="cpu", threads=1)
    except InputError as refusal:
        refused += str(refusal).startswith("a test: its graph ") and "cannot be used" not in str(refusal)
open("ended", "w").close()
print(refused, most() - before >> 10)
"""


def test_attacks_take_no_memory_and_open_no_file(tmp_path: Path) -> None:
    """In a process that may take 64 MiB more than it has, and whose every opened file is seen."""
    (tmp_path / WEIGHTS).write_bytes(WEIGHT.tobytes())  # which ONNX Runtime would take, were it asked to
    attacks = [attack(name)[:2] for name in ATTACKS]
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-e", "trace=open,openat,openat2,creat", "-o", str(trace)]
    if watched := shutil.which("strace") is not None:
        watched = not subprocess.run([*strace, "true"], capture_output=True, check=False).returncode
    ended = subprocess.run(
        [*(strace if watched else []), sys.executable, "-c", CHILD],
        input=pickle.dumps(attacks), capture_output=True, cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr.decode()[-3000:]
    refused, grown = map(int, ended.stdout.split())
    assert refused == len(ATTACKS)
    assert grown < 64
    if watched:
        opened = re.findall(r'open\w*\((?:AT_FDCWD, )?"([^"]*)"', trace.read_text())
        assert opened[opened.index("begun") + 1 :] == ["ended", "/proc/self/status"]


# --- what cannot be seen beforehand -----------------------------------------------------------------------------------


def doubled(times: int, of: str, **settings: Any) -> bytes:
    """x + the sum of a row that is doubled so many times."""
    names = [of, *(f"d{number}" for number in range(times))]
    chain = [node("Concat", [one, one], [two], axis=0) for one, two in pairwise(names)]
    total = [node("ReduceSum", [names[-1]], ["total"], keepdims=0), node("Add", ["x", "total"], ["y"])]
    return model_of(*chain, *total, tensors=[numbers("c", np.ones((2, 3)), np.float32)], **settings).SerializeToString()


def squared(times: int) -> bytes:
    """Sizes that come of what is computed: ones whose number is squared again and again."""
    chain = [node("Shape", ["x"], ["s0"])]
    for number in range(times):
        chain += [
            node("Concat", [f"s{number}", f"s{number}"], [f"t{number}"], axis=0),
            node("ReduceProd", [f"t{number}"], [f"s{number + 1}"], keepdims=1),
        ]
    made = [node("ConstantOfShape", [f"s{times}"], ["ones"]), node("ReduceSum", ["ones"], ["total"], keepdims=0)]
    return model_of(*chain, *made, node("Add", ["x", "total"], ["y"])).SerializeToString()


@pytest.mark.parametrize(
    "content", [doubled(24, "x"), doubled(24, "c"), squared(4)], ids=["doubled", "constants", "sizes"]
)
def test_a_network_that_grows_is_stopped(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MEMORY", 32 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    session = Session(content, {}, what="a test", device="cpu")
    with pytest.raises(InputError, match=r"^a test cannot be run \(it takes more memory than there is, or than 32 MiB"):
        session.run({"x": X}, ["y"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_the_limit_is_a_sessions_own(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = doubled(20, "x")  # 24 MiB, and as much before the last step
    with monkeypatch.context() as patch:
        patch.setattr(sessions, "MEMORY", 16 << 20)
        small = Session(wide, {}, what="a test", device="cpu")
    large = Session(wide, {}, what="a test", device="cpu")
    (y,) = large.run({"x": X}, ["y"])
    np.testing.assert_allclose(y, X + X.sum() * 2**20, rtol=1e-5)
    with pytest.raises(InputError, match="more memory"):
        small.run({"x": X}, ["y"])


def test_a_size_that_overflows_is_a_sentence() -> None:
    with pytest.raises(InputError, match=r"^a test cannot be run"):
        Session(squared(7), {}, what="a test", device="cpu").run({"x": X}, ["y"])


def test_a_file_of_two_formats_is_read_as_the_one_that_was_checked() -> None:
    """ONNX Runtime takes what has these letters there for its own format, which nobody has looked at."""
    (y,) = Session(b"\x12\x06xxORTM" + CONTENT, SAME, what="a test").run({"x": X}, ["y"])
    np.testing.assert_array_equal(y, X @ WEIGHT)


def test_nothing_is_printed_of_a_graph_that_cannot_be_used(capfd: pytest.CaptureFixture[str]) -> None:
    model = model_of(node("MatMul", ["x", "nobody"], ["y"]))
    with pytest.raises(InputError, match=r"^a test: its graph cannot be used"):
        Session(model.SerializeToString(), {}, what="a test")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", [path.name for path in NETWORKS.glob("*.onnx")])
def test_networks_that_come_with_the_package_are_run(name: str) -> None:
    content = (NETWORKS / name).read_bytes()
    outside = [t for t in ModelProto.FromString(content).graph.initializer if t.data_location == TensorProto.EXTERNAL]
    weights = {tensor.name: np.zeros(tensor.dims, np.float32) for tensor in outside}
    assert sorted(check_graph(content, weights, name)) == sorted(weights) != []
