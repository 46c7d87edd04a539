"""How large a model may be: what asks for more is refused while it is made, before memory is filled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from broadmamba.errors import InputError
from broadmamba.memory import enough_memory

LARGEST = 8192
"""Of any size or count among a model's settings."""

DEEPEST = 256
"""Layers, one after another, of a kind."""

WIDEST = 2**20
"""Numbers that an utterance has in a modality."""

MOST_NUMBERS = 2**29
"""Of a model to train: two gigabytes."""

MOST_TENSORS = 50_000


@contextmanager
def bounded(numbers: int = MOST_NUMBERS, tensors: int = MOST_TENSORS) -> Iterator[None]:
    """Refuse a model that is made in this block as soon as it has too many parameters.

    PyTorch tells of a layer's parameter when its memory is asked for and before it is written to, so that a model of
    a terabyte is refused as fast as a small one is made.

    Args:
        numbers: of all parameters.
        tensors: that the parameters are.

    Raises:
        InputError: there are more, or there is not enough memory.
    """
    found = [0, 0]

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is None:
            return
        found[0] += parameter.numel()
        found[1] += 1
        if found[0] > numbers or found[1] > tensors:
            kind, most = ("numbers", numbers) if found[0] > numbers else ("tensors", tensors)
            raise InputError(f"the settings ask for a model of more than {most} {kind}, which is the most here")

    hook = register_module_parameter_registration_hook(count)
    try:
        with enough_memory("this model"):
            yield
    finally:
        hook.remove()
