"""The state-space layers of Eq. 11 as graphs, for conversations of any length.

What is packed, `(T, D)`, is laid out as `R` rows of `P` places (`model/packing.py`): `index` `(R, P)` says which
utterance stands where, T for padding, and `places` `(T,)` where each utterance stands in the flattened rows. Whoever
runs the graph makes `P` a multiple of `CHUNK` once it is larger than that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from broadmamba.bundle.layout import CHUNK
from broadmamba.export.graph import GraphWriter
from broadmamba.model.config import BroadMambaConfig

_HEADS = 8
_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Layout:
    """Names of the two inputs that say where utterances stand: see above."""

    index: str
    places: str

    def rows(self, graph: GraphWriter, packed: str) -> str:
        """`(T, n)` → `(R, P, n)`, zero on padding."""
        nothing = graph.op("Mul", graph.op("Slice", packed, *map(graph.constant, ([0], [1], [0]))), graph.constant(0.0))
        return graph.op("Gather", graph.op("Concat", packed, nothing, axis=0), self.index, axis=0)

    def pack(self, graph: GraphWriter, rows: str) -> str:
        """`(R, P, n)` → `(T, n)`."""
        flat = graph.op("Reshape", rows, graph.op("Concat", graph.constant([-1]), last_size(graph, rows), axis=0))
        return graph.op("Gather", flat, self.places, axis=0)


def last_size(graph: GraphWriter, value: str) -> str:
    """The size of the last axis, `(1,)`."""
    return graph.op("Slice", graph.op("Shape", value), graph.constant([-1]), graph.constant([_END]))


def sequence(graph: GraphWriter, config: BroadMambaConfig, name: str, x: str, present: str, layout: Layout) -> str:
    """One state-space layer (Eq. 11).

    Args:
        graph: it becomes part of.
        config: of the network.
        name: that the layer's weights begin with.
        x: `(T, D)`, zero where absent.
        present: `(T, 1)`, 1 or 0.
        layout: along which the layer moves.

    Returns:
        `(T, D)`.
    """
    rows = layout.rows(graph, x)
    if config.ssm == "convolution":
        return layout.pack(graph, _convolution(graph, config, f"{name}.ssm", rows))
    return layout.pack(graph, _selective(graph, config, name, rows, layout.rows(graph, present)))


# The time-invariant layer: a chunked recurrence, whose matrices `bundle/chunks.py` makes


def _convolution(graph: GraphWriter, config: BroadMambaConfig, name: str, rows: str) -> str:
    """Eq. 11 of `(R, P, D)`: a matrix product in each chunk, and states that go from chunk to chunk."""
    D = config.d_model
    places = graph.op("Slice", graph.op("Shape", rows), *map(graph.constant, ([1], [2])))
    chunk = graph.op("Min", places, graph.constant([CHUNK]))
    channels = graph.op("Transpose", rows, perm=[2, 0, 1])
    chunks = graph.op("Reshape", channels, graph.op("Concat", graph.constant([D, -1]), chunk, axis=0))  # (D, R·n, c)
    corner = graph.op(
        "Slice",
        graph.weight(f"{name}.local"),
        graph.constant([0, 0]),
        graph.op("Concat", chunk, chunk, axis=0),
        graph.constant([1, 2]),
    )  # the corner is a shorter chunk's matrix
    inside = graph.op("MatMul", chunks, corner)
    with graph.body() as several:
        whole = graph.op("Add", inside, _carried(graph, config, name, chunks, channels))
    with graph.body() as single:
        alone = graph.op("Identity", inside)
    y = graph.op(
        "If",
        graph.op("Squeeze", graph.op("Less", graph.constant([CHUNK]), places)),
        then_branch=several.graph([whole]),
        else_branch=single.graph([alone]),
    )
    return graph.op("Transpose", graph.op("Reshape", y, graph.op("Shape", channels)), perm=[1, 2, 0])


def _times(graph: GraphWriter, a: str, b: str, c: str, d: str) -> tuple[str, str]:
    """(a + ib)(c + id)."""
    return (
        graph.op("Sub", graph.op("Mul", a, c), graph.op("Mul", b, d)),
        graph.op("Add", graph.op("Mul", a, d), graph.op("Mul", b, c)),
    )


def _carried(graph: GraphWriter, config: BroadMambaConfig, name: str, chunks: str, channels: str) -> str:
    """What reaches each chunk from outside, `(D, R·n, c)`.

    Args:
        graph: inside the branch for several chunks.
        config: of the network.
        name: that the layer's weights begin with.
        chunks: `(D, R·n, c)`.
        channels: `(D, R, P)`.
    """
    D, pairs = config.d_model, config.d_state // 2
    rows = graph.op("Slice", graph.op("Shape", channels), *map(graph.constant, ([1], [2])))
    sizes = graph.op("Concat", graph.constant([D]), rows, graph.constant([-1, 4, pairs]), axis=0)
    added = graph.op(
        "Transpose",
        graph.op("Reshape", graph.op("MatMul", chunks, graph.weight(f"{name}.absorb")), sizes),
        perm=[3, 2, 0, 1, 4],
    )
    parts = [graph.op("Gather", added, graph.constant(i), axis=0) for i in range(4)]  # (n, D, R, N/2)
    nothing = [
        graph.op("Mul", graph.op("Gather", part, graph.constant(0), axis=0), graph.constant(0.0)) for part in parts
    ]
    states, steps = _unique(graph, "state", 4), _unique(graph, "added", 4)
    decay = [graph.op("Gather", graph.weight(f"{name}.decay"), graph.constant(i), axis=0) for i in range(4)]
    with graph.body([*states, *steps]) as body:
        following = []
        for d in (0, 1):
            turned = _times(graph, states[2 * d], states[2 * d + 1], decay[2 * d], decay[2 * d + 1])
            following += [graph.op("Add", *pair) for pair in zip(turned, steps[2 * d : 2 * d + 2], strict=True)]
        reaching = [graph.op("Identity", state) for state in states]  # what a chunk adds reaches the next one
    found = graph.ops(
        "Scan",
        *nothing,
        *parts,
        names=8,
        body=body.graph([*following, *reaching]),
        num_scan_inputs=4,
        scan_input_directions=[0, 0, 1, 1],
        scan_output_directions=[0, 0, 1, 1],
    )[4:]
    reached = graph.op("Transpose", graph.op("Concat", *found, axis=3), perm=[1, 2, 0, 3])  # (D, R, n, 2N)
    flat = graph.op("Reshape", reached, graph.constant([D, -1, 4 * pairs]))
    return graph.op("MatMul", flat, graph.weight(f"{name}.emit"))


def _unique(graph: GraphWriter, what: str, count: int) -> list[str]:
    return [f"{what}_{graph.fresh()}" for _ in range(count)]


# The data-dependent layer: one step an utterance, as in `selective_reference`


def _selective(graph: GraphWriter, config: BroadMambaConfig, name: str, rows: str, present: str) -> str:
    """`(R, P, D)` and `(R, P, 1)` → `(R, P, D)`."""
    D, N, H = config.d_model, config.d_state, _HEADS
    maps = graph.op("MatMul", rows, graph.op("Transpose", graph.weight(f"{name}.maps.weight"), perm=[1, 0]))
    maps = graph.op("Add", maps, graph.weight(f"{name}.maps.bias"))
    parts = graph.ops("Split", maps, graph.constant([N, N, H] * 2), names=6, axis=2)
    heads = graph.op("Reshape", rows, graph.constant([0, 0, H, D // H]))
    rates = graph.op("Neg", graph.op("Exp", graph.weight(f"{name}.log_rate")))
    total = graph.op("Mul", graph.weight(f"{name}.skip"), rows)
    for direction, (absorb, emit, step) in enumerate((parts[:3], parts[3:])):
        step = graph.op("Mul", graph.op("Softplus", step), present)  # where nothing is, the state passes unchanged
        values = graph.op("Mul", graph.op("Unsqueeze", step, graph.constant([3])), heads)
        decay = graph.op("Exp", graph.op("Mul", step, graph.op("Gather", rates, graph.constant(direction), axis=0)))
        total = graph.op("Add", total, _scan(graph, N, values, decay, absorb, emit, direction))
    return total


def _scan(graph: GraphWriter, N: int, values: str, decay: str, absorb: str, emit: str, direction: int) -> str:
    """The scan h = exp(Δa) h + B (Δx)ᵀ, y = Cᵀh: `(R, P, H, D/H)`, `(R, P, H)`, `(R, P, N)` twice → `(R, P, D)`."""
    inputs = [
        graph.op("Transpose", values, perm=[1, 0, 2, 3]),
        *(graph.op("Transpose", v, perm=[1, 0, 2]) for v in (decay, absorb, emit)),
    ]
    first = graph.op("Unsqueeze", graph.op("Gather", inputs[0], graph.constant(0), axis=0), graph.constant([2]))
    nothing = graph.op("Mul", first, graph.constant(np.zeros((1, 1, N, 1), np.float32)))  # (R, H, N, D/H)
    state, value, shrink, into, out = _unique(graph, "step", 5)
    with graph.body([state, value, shrink, into, out]) as body:
        kept = graph.op("Mul", graph.op("Unsqueeze", shrink, graph.constant([2, 3])), state)
        added = graph.op(
            "Mul",
            graph.op("Unsqueeze", into, graph.constant([1, 3])),
            graph.op("Unsqueeze", value, graph.constant([2])),
        )
        following = graph.op("Add", kept, added)
        read = graph.op("Mul", graph.op("Unsqueeze", out, graph.constant([1, 3])), following)
        y = graph.op("ReduceSum", read, graph.constant([2]), keepdims=0)  # (R, H, D/H)
    _, rows = graph.ops(
        "Scan",
        nothing,
        *inputs,
        names=2,
        body=body.graph([following, y]),
        num_scan_inputs=4,
        scan_input_directions=[direction] * 4,
        scan_output_directions=[direction],
    )
    return graph.op("Reshape", graph.op("Transpose", rows, perm=[1, 0, 2, 3]), graph.constant([0, 0, -1]))
