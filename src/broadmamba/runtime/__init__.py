"""Running a bundle: rows of features in, scores out."""

from __future__ import annotations

from typing import Protocol

from broadmamba.bundle.folder import Bundle
from broadmamba.data.conversation import near
from broadmamba.data.rows import Rows
from broadmamba.errors import InputError
from broadmamba.evaluation.scores import Scores
from broadmamba.extras import missing_extra

RUNTIMES = ("onnx", "torch")
"""What a model can run on: ONNX Runtime, or torch with the extra `train`."""


class Runtime(Protocol):
    """A model, ready to score conversations."""

    def scores(self, rows: Rows) -> Scores:
        """Predictions for conversations, before calibration, in their order.

        Raises:
            InputError: there is not enough memory.
        """


def open_runtime(bundle: Bundle, runtime: str | None = None, device: str = "auto") -> Runtime:
    """Get a model ready.

    Args:
        bundle: the model.
        runtime: one of `RUNTIMES`; None takes `onnx`, and `torch` for a compared system, which has no graph.
        device: see `sessions.DEVICES`.

    Raises:
        InputError: an unknown runtime or device, or one that this model cannot run on.
        CheckpointError: the model is damaged.
        MissingExtraError: torch is needed and not installed.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise InputError(f"unknown runtime {runtime!r}; known are {', '.join(RUNTIMES)}{near(str(runtime), RUNTIMES)}")
    if runtime == "torch" or (runtime is None and not bundle.has_graph):
        try:
            from broadmamba.runtime.torch import TorchRuntime
        except ModuleNotFoundError as error:
            system = bundle.manifest.system
            what = "the runtime torch" if bundle.has_graph else f"{bundle.path}: a model of the system {system}"
            raise (missing_extra(what, error) or error) from None
        return TorchRuntime(bundle, device)
    from broadmamba.runtime.onnx import OnnxRuntime

    return OnnxRuntime(bundle, device)
