"""The default runtime: the bundle's graph in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.bundle.chunks import all_chunk_matrices
from broadmamba.bundle.folder import Bundle, damaged
from broadmamba.bundle.layout import conversation_layout, own_turns_layout
from broadmamba.data.rows import Rows
from broadmamba.errors import BroadMambaError, InputError, MissingExtraError
from broadmamba.evaluation.scores import Scores
from broadmamba.sessions import Session, check_device

_MOST_PLACES = 2**14
"""Places of conversations, padding included, that are scored at once; a longer conversation is scored alone."""


class OnnxRuntime:
    """Scores conversations without torch.

    Args:
        bundle: the model.
        device: see `sessions.DEVICES`.

    Raises:
        InputError: the model has no graph, or there is no such device.
        CheckpointError: the graph or a weight is damaged, or another model's.
        MissingExtraError: something that the device needs is missing.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        if not bundle.has_graph:
            raise InputError(
                f"{bundle.path}: a model of the system {bundle.manifest.system} has no graph; its runtime is torch"
            )
        check_device(device)
        self._path = bundle.path
        self._classes = bundle.manifest.model.classes
        self._modalities = bundle.modalities
        self._widths = bundle.manifest.model.widths
        graph = bundle.graph()
        try:
            self._session = Session(graph, _weights(bundle), what="the network", device=device)
            wanted = {f"{m}{part}" for m in self._modalities for part in ("", "_present")} | {"index", "places"}
            known = wanted | {"position", "speaker", "own_index", "own_places"}
            if not wanted <= set(self._session.inputs) <= known or not {*_OUTPUTS} <= set(self._session.outputs):
                raise InputError("the graph is another model's: its inputs or outputs have other names")
        except MissingExtraError:  # of the device
            raise
        except BroadMambaError as error:
            raise damaged(bundle.path, error) from None

    def scores(self, rows: Rows) -> Scores:
        """Predictions for conversations: see `Runtime.scores`.

        Raises:
            CheckpointError: the graph gives what is no answer.
        """
        starts = np.cumsum([0, *rows.lengths])
        order: list[NDArray[np.int64]] = []
        parts: list[list[NDArray[np.float32]]] = []
        for group in _groups(rows.lengths):
            taken = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in group])
            order.append(taken)
            parts.append(self._session.run(self._inputs(rows, group, taken), _OUTPUTS))
            self._check(parts[-1], len(taken))
        back = np.argsort(np.concatenate(order))
        probabilities, weights = (np.concatenate(found)[back] for found in zip(*parts, strict=True))
        absent = np.zeros(len(back), dtype=bool)
        present = np.stack([rows.present.get(m, absent) for m in self._modalities], axis=1)
        return Scores(probabilities, weights, present)

    def _check(self, found: list[NDArray[np.float32]], utterances: int) -> None:
        """Refuse what is no answer; non-finite numbers are told elsewhere."""
        shapes, expected = [a.shape for a in found], [(utterances, self._classes), (utterances, len(self._modalities))]
        if shapes != expected:
            told = ", ".join(f"{shape} {name}" for name, shape in zip(_OUTPUTS, shapes, strict=True))
            raise damaged(self._path, InputError(f"the graph gives {told}, expected {expected[0]} and {expected[1]}"))
        probabilities = found[0][np.isfinite(found[0]).all(axis=1)]
        if (probabilities < 0).any() or (np.abs(probabilities.sum(axis=1) - 1) > _ROUNDING).any():
            raise damaged(self._path, InputError("the graph gives probabilities whose sum is not 1, or negative ones"))

    def _inputs(self, rows: Rows, group: list[int], taken: NDArray[np.int64]) -> Mapping[str, NDArray[Any]]:
        lengths, speakers = [rows.lengths[i] for i in group], rows.speakers[taken]
        inputs: dict[str, NDArray[Any]] = {"speaker": speakers}
        for m in self._modalities:
            if m in rows.features:
                inputs[m] = np.ascontiguousarray(rows.features[m][taken], dtype=np.float32)
                inputs[f"{m}_present"] = rows.present[m][taken, None].astype(np.float32)
            else:
                inputs[m] = np.zeros((len(taken), self._widths[m]), np.float32)
                inputs[f"{m}_present"] = np.zeros((len(taken), 1), np.float32)
        inputs["position"] = np.concatenate([np.arange(length, dtype=np.int64) for length in lengths])
        layouts = {"": conversation_layout(lengths)}
        if "own_index" in self._session.inputs:
            layouts["own_"] = own_turns_layout(lengths, speakers)
        for prefix, layout in layouts.items():
            inputs |= {f"{prefix}index": layout.index, f"{prefix}places": layout.places}
        return {name: values for name, values in inputs.items() if name in self._session.inputs}


def _weights(bundle: Bundle) -> dict[str, NDArray[Any]]:
    """What the graph reads: weights, and the chunk matrices of time-invariant layers."""
    return {**bundle.weights, **all_chunk_matrices(bundle.weights, bundle.manifest.settings.get("discretisation"))}


_OUTPUTS = ("probabilities", "modality_weights")
_ROUNDING = 1e-3  # of a sum of up to thousands of float32


def _groups(lengths: tuple[int, ...]) -> Iterator[list[int]]:
    """Positions of conversations of like length, so that padding costs little, none with too many places."""
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if group and (len(group) + 1) * lengths[i] > _MOST_PLACES:
            yield group
            group = []
        group.append(i)
    yield group
