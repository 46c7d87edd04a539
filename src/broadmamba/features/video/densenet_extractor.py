"""The feature `densenet121`: what a DenseNet-121 with the user's weights sees in the face of a span.

The paper takes its video features from a DenseNet that was trained on facial expressions, after the practice of its
field; those weights were never published. What is made here is the layer before the classes, 1024 wide, its mean over
the span's pictures. (The 342 columns of the field's feature files are the last layer of a smaller DenseNet, of 100
layers and growth 12.)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.features.video.densenet import DenseNet
from broadmamba.features.video.detector import FaceDetector
from broadmamba.features.video.face_extractor import FaceExtractor
from broadmamba.storage import sha256

INPUT_SIZE = 224
"""Height and width of the face that the net sees."""

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_NOT_NEEDED = re.compile(r"classifier\.|.*\.num_batches_tracked$")
_OLD_NAME = re.compile(r"(.*\.denselayer\d+\.(?:norm|conv))\.(\d)\.(.*)")


def load_densenet121(weights: Path) -> FaceExtractor:
    """The extractor of `densenet121`: faces of 224×224, normalised as ImageNet's pictures.

    Args:
        weights: a state dict of torchvision's DenseNet-121 with any number of classes, as safetensors or as PyTorch
            writes it; names from before 2017 (`norm.1`), a `module.` before them, and a `state_dict` around them
            are understood.

    Raises:
        InputError: the file is missing, damaged, or holds other weights.
        MissingExtraError: the face detector is not installed.
    """
    network = DenseNet()
    network.load_state_dict(read_state(weights, network), strict=False)
    network.eval().requires_grad_(False)
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (_MEAN, _DEVIATION))

    @torch.inference_mode()
    def numbers(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        pictures = torch.from_numpy(faces).permute(0, 3, 1, 2).float()  # channels last in memory
        output: NDArray[np.float32] = network((pictures / 255 - mean) / deviation).numpy()
        return output

    spec = FeatureSpec(
        name="densenet121", modality="video", width=network.width, pooling="mean", sha256=sha256(weights)
    )
    return FaceExtractor(spec, INPUT_SIZE, numbers, _mean, FaceDetector())


def read_state(weights: Path, network: DenseNet) -> dict[str, Tensor]:
    """The tensors that a network needs, out of a file of weights.

    Raises:
        InputError: the file cannot be read, or its tensors are not those of the network.
    """
    found = {_modern(name): tensor for name, tensor in _read(weights).items()}
    found = {name: tensor for name, tensor in found.items() if not _NOT_NEEDED.match(name)}
    needed = {name: tensor for name, tensor in network.state_dict().items() if not _NOT_NEEDED.match(name)}
    wrong = sorted(needed.keys() ^ found.keys())
    if wrong:
        raise InputError(
            f"{weights}: expected the weights of a DenseNet-121, found {len(wrong)} names that differ, "
            f"such as {wrong[0]!r}, which is {'missing' if wrong[0] in needed else 'too many'}"
        )
    for name, tensor in needed.items():
        if found[name].shape != tensor.shape:
            raise InputError(
                f"{weights}: {name} has the shape {tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
            )
        if not torch.isfinite(found[name]).all():
            raise InputError(f"{weights}: {name} holds values that are not finite")
    return found


def _read(weights: Path) -> dict[str, Tensor]:
    if not weights.is_file():
        raise InputError(f"{weights}: expected a file of weights, found {'a folder' if weights.exists() else 'none'}")
    try:
        state = _read_safetensors(weights) if weights.suffix == ".safetensors" else _read_pytorch(weights)
    except Exception as error:  # torch raises nearly anything on damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{weights}: cannot be read as a file of weights ({reason})") from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) and isinstance(k, str) for k, v in state.items()):
        raise InputError(f"{weights}: expected a state dict, names with a tensor each, found something else")
    return state


def _read_safetensors(weights: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(weights)


def _read_pytorch(weights: Path) -> Any:
    return torch.load(weights, map_location="cpu", weights_only=True)


def _modern(name: str) -> str:
    """Today's name of a tensor: `module.…denselayer1.norm.1.weight` is `…denselayer1.norm1.weight`."""
    return _OLD_NAME.sub(r"\1\2.\3", name.removeprefix("module."))


def _mean(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    average: NDArray[np.float32] = numbers.mean(axis=0)
    return average
