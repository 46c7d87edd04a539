"""Neural networks at work: the one module that imports ONNX Runtime.

A graph holds no large weights of its own: it names them, and they come from wherever the caller keeps them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba import privacy  # noqa: F401  (first: ONNX Runtime reads its switch when it is imported)
from broadmamba.errors import InputError

DEVICES = ("auto", "cpu", "cuda")
"""Where a network can run; `auto` takes the graphics processor where ONNX Runtime was built for one."""


class Session:
    """A graph with its weights, ready to run.

    Args:
        graph: an ONNX model. Tensors that it declares as external are taken from `weights`.
        weights: name of a tensor → its values; C-contiguous. They are not copied, and must not change.
        what: the network is, for messages: "the text encoder minilm".
        device: one of `DEVICES`.
        threads: on the processor; 0 for `$OMP_NUM_THREADS`, or else for as many as this process may run at once.

    Raises:
        InputError: the graph cannot be used, or there is not enough memory or no such device.
    """

    def __init__(
        self, graph: bytes, weights: Mapping[str, NDArray[Any]], *, what: str, device: str = "auto", threads: int = 0
    ) -> None:
        import onnxruntime as ort

        self.what = what
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is told by an error
        options.intra_op_num_threads = threads or _threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._values = [ort.OrtValue.ortvalue_from_numpy(values) for values in weights.values()]  # shared, not copied
        options.add_external_initializers(list(weights), self._values)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._session = ort.InferenceSession(graph, options, providers=_providers(device))
        except Exception as error:  # ONNX Runtime has no error of its own to catch
            raise InputError(f"{what}: its graph cannot be used ({_first_line(error)})") from None
        self.inputs = tuple(value.name for value in self._session.get_inputs())
        self.outputs = tuple(value.name for value in self._session.get_outputs())

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Run the network.

        Args:
            inputs: by name.
            outputs: names of what is wanted.

        Raises:
            InputError: the graph fails on these inputs.
        """
        try:
            found: list[NDArray[np.float32]] = self._session.run(list(outputs), dict(inputs))
        except Exception as error:
            raise InputError(f"{self.what} cannot be run ({_first_line(error)})") from None
        return found


def _threads() -> int:
    """ONNX Runtime itself would read no variable, and take one thread for two cores that share their silicon."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    chosen = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(chosen), cores) if chosen.isdecimal() and int(chosen) else cores


def has_graphics_processor() -> bool:
    """Whether this ONNX Runtime was built for one."""
    import onnxruntime as ort

    return "CUDAExecutionProvider" in ort.get_available_providers()


def _providers(device: str) -> list[str]:
    if device not in DEVICES:
        raise InputError(f"device {device!r}: expected one of {', '.join(DEVICES)}")
    there = has_graphics_processor()
    if device == "cuda" and not there:
        raise InputError("device 'cuda': this ONNX Runtime knows no graphics processor (pip install onnxruntime-gpu)")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"] if there and device != "cpu" else ["CPUExecutionProvider"]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
