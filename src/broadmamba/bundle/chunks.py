"""The chunk matrices of a time-invariant layer (Eq. 2–5 and 11), which its graph reads in place of its parameters.

A chunk of c utterances is convolved by a matrix product; what comes from outside goes through the states, as in
`model/recurrence.py`. The matrices depend on the parameters alone and are many times larger: they are made when a
bundle is opened, in double precision, since small steps cancel in Eq. 2 and the phase of a state turns fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.bundle.layout import CHUNK
from broadmamba.errors import InputError

MOST_NUMBERS = 2**27
"""Of all the matrices of a model; parameters of a megabyte could ask for a gigabyte of them."""

_PARAMETERS = ("log_step", "log_decay", "frequency", "output", "skip")
_ABSENT = np.empty(())
_SMALLEST_EXPONENT = -40.0  # as in `model/state_space.py`: smaller powers are zero, and no denormal numbers


def chunk_shapes(d_model: int, d_state: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the matrices: D channels, N = d_state real states a direction, c = `CHUNK`.

    Returns:
        `local` `(D, c, c)`, from the utterances of a chunk to its own outputs; `absorb` `(D, c, 2N)`, from the
        utterances to what they add to the states; `emit` `(D, 2N, c)`, from the states that reach a chunk to its
        outputs; `decay` `(4, D, 1, N/2)`, Ā^c. States are forwards real, forwards imaginary, backwards real, backwards
        imaginary.
    """
    return {
        "local": (d_model, CHUNK, CHUNK),
        "absorb": (d_model, CHUNK, 2 * d_state),
        "emit": (d_model, 2 * d_state, CHUNK),
        "decay": (4, d_model, 1, d_state // 2),
    }


def layer_names(weights: Mapping[str, NDArray[Any]]) -> list[str]:
    """Beginnings of the names of the time-invariant layers' weights."""
    ending = f".{_PARAMETERS[0]}"
    return [name.removesuffix(ending) for name in weights if name.endswith(ending)]


def all_chunk_matrices(weights: Mapping[str, NDArray[Any]], discretisation: object) -> dict[str, NDArray[np.float32]]:
    """Make the matrices of all layers, by the layer's name and that of the matrix.

    Args:
        weights: of the network, by name.
        discretisation: `zoh` (Eq. 2) or `euler` (Eq. 3).

    Raises:
        InputError: the parameters of a layer do not fit each other or overflow, or ask for too many matrices.
    """
    layers = layer_names(weights)
    if layers and discretisation not in ("zoh", "euler"):
        raise InputError(f"discretisation: expected zoh or euler, found {discretisation!r:.60}")
    numbers = sum(prod(shape) for layer in layers for shape in chunk_shapes(*_sizes(weights, layer)).values())
    if numbers > MOST_NUMBERS:
        raise InputError(f"its layers take {numbers} numbers as matrices, expected at most {MOST_NUMBERS}")
    made: dict[str, NDArray[np.float32]] = {}
    for layer in layers:
        with np.errstate(over="ignore", invalid="ignore"):
            matrices = chunk_matrices(weights, layer, str(discretisation))
        if not all(np.isfinite(values).all() for values in matrices.values()):
            raise InputError(f"the parameters of {layer} are too large: its matrices have non-finite values")
        made |= {f"{layer}.{name}": values for name, values in matrices.items()}
    return made


def _sizes(weights: Mapping[str, NDArray[Any]], layer: str) -> tuple[int, int]:
    """D and N of a layer, whose parameters must fit each other."""
    shapes = [weights.get(f"{layer}.{part}", _ABSENT).shape for part in _PARAMETERS]
    D, half = shapes[1][1:] if len(shapes[1]) == 3 else (0, 0)
    if shapes != [(2, D), (2, D, half), (2, D, half), (2, D, half, 2), (D,)]:
        raise InputError(f"the parameters of {layer} have the shapes {shapes}, expected those of one layer")
    if odd := [part for part in _PARAMETERS if weights[f"{layer}.{part}"].dtype != np.float32]:
        raise InputError(f"{layer}.{odd[0]} is {weights[f'{layer}.{odd[0]}'].dtype}, expected float32")
    return D, 2 * half


def chunk_matrices(
    weights: Mapping[str, NDArray[Any]], layer: str, discretisation: str
) -> dict[str, NDArray[np.float32]]:
    """Make the matrices of a layer, whose names are those of `chunk_shapes`.

    Args:
        weights: of the network, by name.
        layer: what the names of its weights begin with.
        discretisation: `zoh` (Eq. 2) or `euler` (Eq. 3).
    """
    log_step, log_decay, frequency, output, skip = (
        weights[f"{layer}.{part}"].astype(np.float64) for part in _PARAMETERS
    )
    step = np.exp(log_step)[..., None]
    A = -np.exp(log_decay) + 1j * frequency  # (2, D, N/2)
    rate = step * A
    B_bar = np.expm1(rate) / A if discretisation == "zoh" else step
    gain = 2 * (output[..., 0] + 1j * output[..., 1]) * B_bar
    exponent = rate[:, :, None] * np.arange(CHUNK + 1)[:, None]
    powers = np.where(exponent.real < _SMALLEST_EXPONENT, 0, np.exp(exponent))  # Ā^lag (2, D, c + 1, N/2)
    leave = gain[:, :, None] * powers
    kernels = leave.real.sum(-1)  # Eq. 5 (2, D, c + 1)

    middle = kernels[:, :, 0].sum(0) + skip  # lag 0 is in both sums of Eq. 11
    two_sided = np.concatenate([kernels[1, :, CHUNK - 1 : 0 : -1], middle[:, None], kernels[0, :, 1:CHUNK]], axis=1)
    place = np.arange(CHUNK)
    # Forwards, place j of a chunk is c - 1 - j steps from the chunk's end and j + 1 steps from the end of the one
    # before; backwards, j steps from the chunk's start and c - j steps from the start of the one after.
    absorb = _parts(powers[0, :, CHUNK - 1 :: -1]) + _parts(powers[1, :, :CHUNK])
    emit = _parts(leave[0, :, 1:].conj()) + _parts(leave[1, :, :0:-1].conj())  # Re(ab) = Re a Re b - Im a Im b
    matrices = {
        "local": two_sided[:, CHUNK - 1 + place[None, :] - place[:, None]],
        "absorb": np.concatenate(absorb, axis=2),
        "emit": np.concatenate(emit, axis=2).transpose(0, 2, 1),
        "decay": np.stack(_parts(powers[0, :, -1:]) + _parts(powers[1, :, -1:])),
    }
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in matrices.items()}


def _parts(values: NDArray[np.complex128]) -> list[NDArray[np.float64]]:
    return [values.real, values.imag]
