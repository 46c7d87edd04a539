"""Broad Mamba as a graph: what `model/network.py` computes of packed utterances, without torch.

Inputs, for T utterances of any number of conversations, one after the other:

- for each modality m: `m` `(T, width)` float32, normalised, zero where missing; `m_present` `(T, 1)` float32, 1 or 0;
- `position` `(T,)` int64, of an utterance in its conversation; `speaker` `(T,)` int64, −1 where unknown;
- `index`, `places`, `own_index`, `own_places`: see `bundle/layout.py`.

Those that a network does not read are no inputs of its graph. Outputs: `logits` and `probabilities` `(T, C)`,
`modality_weights` `(T, M)`, `modality_probabilities` `(T, M, C)`, and for each modality m its broad nodes A, `m_nodes`
`(T, K)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from broadmamba.bundle.chunks import chunk_shapes
from broadmamba.export.graph import GraphWriter
from broadmamba.export.sequence import Layout, sequence
from broadmamba.model.config import BroadMambaConfig
from broadmamba.model.fusion import LowRankFusion, TensorFusion

_CONVERSATIONS, _OWN_TURNS = Layout("index", "places"), Layout("own_index", "own_places")


def network_graph(config: BroadMambaConfig, shapes: Mapping[str, Sequence[int]]) -> bytes:
    """The graph of a network of these settings.

    Args:
        config: of the network.
        shapes: the names in its `state_dict`, and their shapes.

    Returns:
        An ONNX model, whose weights are not in it: they have the names of the `state_dict`, and time-invariant layers
        those of their chunk matrices (`bundle/chunks.py`) in place of their parameters.
    """
    layers = [name.removesuffix(".log_step") for name in shapes if name.endswith(".log_step")]
    matrices = chunk_shapes(config.d_model, config.d_state)
    made = {f"{layer}.{name}": shape for layer in layers for name, shape in matrices.items()}
    graph = GraphWriter({**shapes, **made})
    evidence = {m: _branch(graph, config, m) for m in config.modalities}
    h, strengths = _FUSIONS[config.fusion](graph, config, evidence)
    logits = _linear(graph, "emotion", h, name="logits")
    graph.op("Softmax", logits, axis=-1, name="probabilities")
    strength = graph.op("Concat", *(strengths[m] for m in config.modalities), axis=1)
    _shares(graph, strength, "modality_weights")
    one = graph.constant([1])
    omega = graph.op("Concat", *(graph.op("Unsqueeze", e.omega, one) for e in evidence.values()), axis=1)
    _shares(graph, omega, "modality_probabilities")
    C, M, K = config.classes, len(config.modalities), config.n * config.d_z + config.m * config.d_h
    outputs: dict[str, list[str | int]] = {
        "logits": ["T", C],
        "probabilities": ["T", C],
        "modality_weights": ["T", M],
        "modality_probabilities": ["T", M, C],
    }
    nodes: dict[str, list[str | int]] = {
        f"{m}_nodes": ["T", K if config.broad else config.d_model] for m in config.modalities
    }
    return graph.model(_inputs(config), {**outputs, **nodes})


def _inputs(config: BroadMambaConfig) -> list[tuple[str, str, list[str | int]]]:
    inputs: list[tuple[str, str, list[str | int]]] = []
    for m, width in config.widths.items():
        inputs += [(m, "float32", ["T", width]), (f"{m}_present", "float32", ["T", 1])]
    if config.position:
        inputs.append(("position", "int64", ["T"]))
    if config.speakers:
        inputs.append(("speaker", "int64", ["T"]))
    inputs += [("index", "int64", ["B", "P"]), ("places", "int64", ["T"])]
    if config.own_turns:
        inputs += [("own_index", "int64", ["G", "Q"]), ("own_places", "int64", ["T"])]
    return inputs


@dataclass(frozen=True)
class _Evidence:
    """Names of what `model.fusion.Evidence` has."""

    omega: str
    representation: str
    readout: str | None
    present: str


def _branch(graph: GraphWriter, config: BroadMambaConfig, m: str) -> _Evidence:
    """`ModalityBranch`: one modality, from features to what it brings to the fusion."""
    name, present = f"branches.{m}", f"{m}_present"
    hidden = _encoder(graph, config, f"{name}.encoder", graph.op("Mul", m, present))
    for layer in range(config.depth):
        hidden = _context(graph, config, f"{name}.contexts.{layer}", graph.op("Mul", hidden, present), present)
    if config.broad:
        Z = _linear(graph, f"{name}.broad.feature", hidden)
        H = graph.op("Relu", _linear(graph, f"{name}.broad.enhancement", Z))
        A = graph.op("Concat", Z, H, axis=1, name=f"{m}_nodes")
    else:
        A = graph.op("Identity", hidden, name=f"{m}_nodes")
    Y = _linear(graph, f"{name}.representation", A)
    scores = _linear(graph, f"{name}.classifier.2", graph.op("Relu", _linear(graph, f"{name}.classifier.0", Y)))
    readout = _map(graph, f"{name}.readout", A) if config.fusion == "class" else None
    return _Evidence(graph.op("Mul", graph.op("Sigmoid", scores), present), Y, readout, present)


def _encoder(graph: GraphWriter, config: BroadMambaConfig, name: str, x: str) -> str:
    """`Encoder`: convolution over utterances, speakers and positions (Eq. 9–10), `(T, width)` → `(T, D)`."""
    D, k = config.d_model, config.kernel_size
    taps = _map(graph, f"{name}.convolution.taps", x)
    if k > 1:
        reach = k // 2
        rows = graph.op("Pad", _CONVERSATIONS.rows(graph, taps), graph.constant([0, reach, 0, 0, reach, 0]))
        shifted = []
        for j in range(k):  # utterances that far before or after, by the tap that is theirs
            start, end = [j, j * D], [np.iinfo(np.int64).max if j == k - 1 else j - 2 * reach, (j + 1) * D]
            shifted.append(graph.op("Slice", rows, *map(graph.constant, (start, end, [1, 2]))))
        taps = _CONVERSATIONS.pack(graph, graph.op("Sum", *shifted))
    xi = graph.op("Add", taps, graph.weight(f"{name}.convolution.bias"))
    if config.speakers:
        number = graph.op("Min", graph.op("Add", "speaker", graph.constant(1)), graph.constant(config.speakers))
        xi = graph.op("Add", xi, graph.op("Gather", graph.weight(f"{name}.speakers.weight"), number, axis=0))
    return graph.op("Add", xi, _positions(graph, D)) if config.position else xi


def _positions(graph: GraphWriter, D: int) -> str:
    """PE/√D (Eq. 10), `(T, D)`; in double precision, since angles grow with the conversation."""
    rate = np.exp(-math.log(10000.0) * np.arange(0, D, 2) / D)
    place = graph.op("Unsqueeze", graph.op("Cast", "position", to=11), graph.constant([1]))
    angles = graph.op("Mul", place, graph.constant(rate))
    waves = [graph.op("Unsqueeze", graph.op(kind, angles), graph.constant([2])) for kind in ("Sin", "Cos")]
    table = graph.op("Reshape", graph.op("Concat", *waves, axis=2), graph.constant([-1, 2 * len(rate)]))
    table = graph.op("Slice", table, *map(graph.constant, ([0], [D], [1])))
    return graph.op("Cast", graph.op("Div", table, graph.constant(np.array(math.sqrt(D)))), to=1)


def _context(graph: GraphWriter, config: BroadMambaConfig, name: str, x: str, present: str) -> str:
    """`ContextLayer`: ξ̄ = BiSSM(ξ̂) with the additions that the config names, `(T, D)` → `(T, D)`."""
    y = sequence(graph, config, f"{name}.sequence", x, present, _CONVERSATIONS)
    if config.own_turns:
        y = graph.op("Add", y, sequence(graph, config, f"{name}.own_sequence", x, present, _OWN_TURNS))
    if config.residual:
        y = graph.op("Add", x, y)
    if config.layer_norm:
        scale, bias = (graph.weight(f"{name}.norm.{part}") for part in ("weight", "bias"))
        y = graph.op("LayerNormalization", y, scale, bias, axis=-1, epsilon=1e-5)
    return y


def _linear(graph: GraphWriter, layer: str, x: str, name: str | None = None) -> str:
    """`nn.Linear`, `(T, in)` → `(T, out)`."""
    return graph.op("Gemm", x, graph.weight(f"{layer}.weight"), graph.weight(f"{layer}.bias"), transB=1, name=name)


def _map(graph: GraphWriter, layer: str, x: str) -> str:
    """`nn.Linear` without bias."""
    return graph.op("Gemm", x, graph.weight(f"{layer}.weight"), transB=1)


def _shares(graph: GraphWriter, strength: str, name: str) -> str:
    """Scale the last axis to sum 1; all zero stays zero."""
    total = graph.op("ReduceSum", strength, graph.constant([-1]), keepdims=1)
    tiny = graph.constant(np.array(np.finfo(np.float32).tiny))
    return graph.op("Div", strength, graph.op("Max", total, tiny), name=name)


# The fusions of `model/fusion.py`, under the same names

_Fused = tuple[str, dict[str, str]]
"""h `(T, width)`; and modality → `(T, 1)`, the mean size of its term."""

_Fuse = Callable[[GraphWriter, BroadMambaConfig, Mapping[str, _Evidence]], _Fused]


def _size(graph: GraphWriter, term: str) -> str:
    return graph.op("ReduceMean", graph.op("Abs", term), graph.constant([-1]), keepdims=1)


def _sum(graph: GraphWriter, terms: Mapping[str, str]) -> _Fused:
    return graph.op("Sum", *terms.values()), {m: _size(graph, term) for m, term in terms.items()}


def _class(graph: GraphWriter, config: BroadMambaConfig, evidence: Mapping[str, _Evidence]) -> _Fused:
    terms = {}
    for m, e in evidence.items():
        assert e.readout is not None, "the branch reads labels out for this fusion"
        terms[m] = graph.op("Mul", e.omega, graph.op("Mul", e.present, e.readout))
    return _sum(graph, terms)


def _gate(graph: GraphWriter, config: BroadMambaConfig, evidence: Mapping[str, _Evidence]) -> _Fused:
    terms = {}
    for m, e in evidence.items():
        gate = graph.op("Mul", e.present, _map(graph, f"fusion.gates.{m}", e.omega))
        terms[m] = graph.op("Mul", gate, e.representation)
    return _sum(graph, terms)


def _scalar(graph: GraphWriter, config: BroadMambaConfig, evidence: Mapping[str, _Evidence]) -> _Fused:
    terms = {}
    for m, e in evidence.items():
        confidence = graph.op("ReduceMax", e.omega, graph.constant([-1]), keepdims=1)
        terms[m] = graph.op("Mul", graph.op("Mul", e.present, confidence), e.representation)
    return _sum(graph, terms)


def _add(graph: GraphWriter, config: BroadMambaConfig, evidence: Mapping[str, _Evidence]) -> _Fused:
    return _sum(graph, {m: graph.op("Mul", e.present, e.representation) for m, e in evidence.items()})


def _concatenation(graph: GraphWriter, config: BroadMambaConfig, evidence: Mapping[str, _Evidence]) -> _Fused:
    maps = {m: _map(graph, f"fusion.maps.{m}", e.representation) for m, e in evidence.items()}
    return _sum(graph, {m: graph.op("Mul", e.present, maps[m]) for m, e in evidence.items()})


def _attention(graph: GraphWriter, config: BroadMambaConfig, evidence: Mapping[str, _Evidence]) -> _Fused:
    shares = {m: e.present for m, e in evidence.items()}
    if len(evidence) > 1:
        query = graph.op("Unsqueeze", graph.weight("fusion.query"), graph.constant([1]))
        scores = [
            graph.op("MatMul", _map(graph, f"fusion.keys.{m}", e.representation), query) for m, e in evidence.items()
        ]
        scaled = graph.op("Div", graph.op("Concat", *scores, axis=1), graph.constant(config.d_model**0.5))
        present = graph.op("Concat", *shares.values(), axis=1)
        lowest = graph.constant(np.array(np.finfo(np.float32).min))
        some = graph.op("Where", graph.op("Less", graph.constant(0.0), present), scaled, lowest)
        alpha = graph.op("Mul", graph.op("Softmax", some, axis=-1), present)
        shares = dict(
            zip(
                evidence, graph.ops("Split", alpha, names=len(evidence), axis=1, num_outputs=len(evidence)), strict=True
            )
        )
    values = {m: _map(graph, f"fusion.values.{m}", e.representation) for m, e in evidence.items()}
    return _sum(graph, {m: graph.op("Mul", shares[m], values[m]) for m in evidence})


def _with_one(graph: GraphWriter, e: _Evidence, y: str) -> str:
    """[Y | 1], of which 1 is left where the modality is missing."""
    one = graph.op("Add", graph.op("Mul", e.present, graph.constant(0.0)), graph.constant(1.0))
    return graph.op("Concat", graph.op("Mul", e.present, y), one, axis=1)


def _low_rank(graph: GraphWriter, config: BroadMambaConfig, evidence: Mapping[str, _Evidence]) -> _Fused:
    shape = graph.constant([-1, LowRankFusion.RANK, config.d_model])
    factors = {
        m: graph.op("Reshape", _map(graph, f"fusion.factors.{m}", _with_one(graph, e, e.representation)), shape)
        for m, e in evidence.items()
    }
    product = _product(graph, list(factors.values()))
    weighed = graph.op("Mul", graph.weight("fusion.rank_weights"), product)
    h = graph.op("ReduceSum", weighed, graph.constant([1]), keepdims=0)
    strengths = {}
    for m, e in evidence.items():
        mean = graph.op("ReduceMean", graph.op("Abs", factors[m]), graph.constant([1, 2]), keepdims=0)
        strengths[m] = graph.op("Mul", e.present, graph.op("Unsqueeze", mean, graph.constant([1])))
    return graph.op("Add", h, graph.weight("fusion.bias")), strengths


def _tensor(graph: GraphWriter, config: BroadMambaConfig, evidence: Mapping[str, _Evidence]) -> _Fused:
    projected = {m: _linear(graph, f"fusion.projections.{m}", e.representation) for m, e in evidence.items()}
    product, *others = (_with_one(graph, e, projected[m]) for m, e in evidence.items())
    width = TensorFusion.CHANNELS + 1
    for factor in others:
        left = graph.op("Unsqueeze", product, graph.constant([2]))
        right = graph.op("Unsqueeze", factor, graph.constant([1]))
        width *= TensorFusion.CHANNELS + 1
        product = graph.op("Reshape", graph.op("Mul", left, right), graph.constant([-1, width]))
    sizes = {m: _size(graph, graph.op("Mul", e.present, projected[m])) for m, e in evidence.items()}
    return _linear(graph, "fusion.map", product), sizes


def _product(graph: GraphWriter, factors: Sequence[str]) -> str:
    product, *others = factors
    for factor in others:
        product = graph.op("Mul", product, factor)
    return product


_FUSIONS: dict[str, _Fuse] = {
    "class": _class,
    "gate": _gate,
    "scalar": _scalar,
    "add": _add,
    "concatenation": _concatenation,
    "attention": _attention,
    "lmf": _low_rank,
    "tfn": _tensor,
}
