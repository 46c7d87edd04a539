"""Neural networks at work: the one module that imports ONNX Runtime.

A graph holds no large weights of its own: it names them, and they come from wherever the caller keeps them. It may come
from anybody: `graphs` says whether it is run, and a session takes no more memory than it is given.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba import privacy  # noqa: F401  (first: ONNX Runtime reads its switch when it is imported)
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.graphs import check_graph

DEVICES = ("auto", "cpu", "cuda")
"""Where a network can run; `auto` takes the graphics processor where ONNX Runtime was built for one."""

MEMORY = 2 << 30
"""Bytes that a network may take on the processor while it runs, beside its weights and a rearranged copy of them."""

_LARGE = 8 << 20
"""Bytes of inputs after which a network gives back the memory that it took; for small inputs that takes too long."""

_registering = Lock()


class Session:
    """A graph with its weights, ready to run.

    Args:
        graph: an ONNX model. Tensors that it declares as external are taken from `weights`.
        weights: name of a tensor → its values; C-contiguous. They are not copied, and must not change. There may be
            more than the graph needs.
        what: the network is, for messages: "the text encoder minilm".
        device: one of `DEVICES`.
        threads: on the processor; 0 for `$OMP_NUM_THREADS`, or else for as many as this process may run at once.

    Raises:
        InputError: the graph cannot be used or is none that `check_graph` lets through, or there is not enough memory
            or no such device.
        MissingExtraError: ONNX Runtime knows the device, and something that it needs for it is missing.
    """

    def __init__(
        self, graph: bytes, weights: Mapping[str, NDArray[Any]], *, what: str, device: str = "auto", threads: int = 0
    ) -> None:
        import onnxruntime as ort

        weights = {name: weights[name] for name in check_graph(graph, weights, what)}
        providers = _providers(device)
        self.what = what
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is told by an error
        options.intra_op_num_threads = threads or _threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(
            "session.load_model_format", "ONNX"
        )  # what was checked, not what else it may be
        options.add_session_config_entry("session.use_env_allocators", "1")
        memory = MEMORY + 2 * sum(values.nbytes for values in weights.values())
        try:
            self._values = [ort.OrtValue.ortvalue_from_numpy(values) for values in weights.values()]  # not copied
            options.add_external_initializers(list(weights), self._values)
            with _limited(memory), warnings.catch_warnings():  # in this order: one thread at a time may catch warnings
                warnings.simplefilter("ignore")
                self._session = ort.InferenceSession(
                    graph,
                    options,
                    providers=providers,
                    disabled_optimizers=["ConstantFolding"],  # which takes as much memory as it likes
                    enable_fallback=0,  # which prints
                    read_config_from_model=0,
                )
        except Exception as error:  # ONNX Runtime has no error of its own to catch
            raise InputError(f"{what}: its graph cannot be used ({_reason(error)})") from None
        if device == "cuda" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise MissingExtraError(
                "device 'cuda': ONNX Runtime cannot use a graphics processor here; it needs one, and the libraries "
                "CUDA and cuDNN in versions that fit it"
            )
        self._giving_back = ort.RunOptions()
        self._giving_back.log_severity_level = 4
        self._giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
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
        options = self._giving_back if sum(values.nbytes for values in inputs.values()) > _LARGE else None
        try:
            found: list[NDArray[np.float32]] = self._session.run(list(outputs), dict(inputs), options)
        except Exception as error:
            raise InputError(f"{self.what} cannot be run ({_reason(error)})") from None
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


def check_device(device: str) -> None:
    """Refuse a device that networks cannot run on here.

    Raises:
        InputError: it is none of `DEVICES`, or ONNX Runtime was not built for it.
    """
    if device not in DEVICES:
        raise InputError(f"device {device!r}: expected one of {', '.join(DEVICES)}")
    if device == "cuda" and not has_graphics_processor():
        raise InputError("device 'cuda': this ONNX Runtime knows no graphics processor (pip install onnxruntime-gpu)")


def _providers(device: str) -> list[str]:
    check_device(device)
    there = has_graphics_processor()
    return ["CUDAExecutionProvider", "CPUExecutionProvider"] if there and device != "cpu" else ["CPUExecutionProvider"]


@contextmanager
def _limited(memory: int) -> Iterator[None]:
    """A session that is made in the block takes at most so many bytes of memory on the processor, now and later."""
    import onnxruntime as ort

    where = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    with _registering:
        ort.create_and_register_allocator(where, ort.OrtArenaCfg({"max_mem": memory}))
        try:
            yield
        finally:  # then the memory belongs to the session alone, and goes with it
            ort.create_and_register_allocator(where, ort.OrtArenaCfg({"max_mem": MEMORY}))


def _reason(error: BaseException) -> str:
    said = str(error).strip() or type(error).__name__
    if "smaller than requested bytes" in said or "bad_alloc" in said:
        return f"it takes more memory than there is, or than {MEMORY >> 20} MiB beside its weights"
    return said.splitlines()[0][:200]
