"""The feature `expression`: what a small expression net sees in the face of a span.

For each picture the net gives the probabilities of seven expressions and the 256 features before them; the row is
their mean, maximum and standard deviation over the span's pictures.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from broadmamba.data.spec import FeatureSpec
from broadmamba.features.video.detector import FaceDetector
from broadmamba.features.video.expression_net import CLASSES, FEATURES, INPUT_SIZE, ExpressionNet
from broadmamba.features.video.expression_weights import PACKAGE_VERSION, WEIGHTS_SHA256, load_weights
from broadmamba.features.video.face_extractor import FaceExtractor
from broadmamba.features.video.faces import one_thread

_NUMBERS = (*CLASSES, *(f"feature{number}" for number in range(FEATURES)))
COLUMNS = tuple(f"{name}_{statistic}" for statistic in ("mean", "max", "sd") for name in _NUMBERS)
"""Names of the 789 columns: `neutral_mean`, …, `feature255_sd`."""


def load_expression() -> FaceExtractor:
    """The extractor of `expression`.

    Raises:
        MissingExtraError: its weights have not been fetched, or the face detector is not installed.
        InputError: the weights in the cache are damaged.
    """
    network = load_expression_net()
    spec = FeatureSpec(
        name="expression",
        modality="video",
        width=len(COLUMNS),
        version=PACKAGE_VERSION,
        pooling="mean-max-sd",
        sha256=WEIGHTS_SHA256,
        licence="MIT",
        columns=COLUMNS,
    )

    def numbers(faces: Tensor) -> Tensor:
        with one_thread():
            return torch.cat(network(faces), dim=1)

    return FaceExtractor(spec, INPUT_SIZE, numbers, mean_max_sd, FaceDetector())


def load_expression_net() -> ExpressionNet:
    """The net with its weights out of the cache, for inference.

    Raises:
        MissingExtraError: the weights have not been fetched.
        InputError: the weights in the cache are damaged.
    """
    network = ExpressionNet()
    network.load_state_dict({name: torch.from_numpy(values) for name, values in load_weights().items()})
    return network.eval().requires_grad_(False)


def mean_max_sd(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean, maximum and standard deviation over pictures, side by side.

    Args:
        numbers: `(pictures, n)`, at least one picture.

    Returns:
        `(3 n,)`; the deviation is that of the pictures themselves (zero for one).
    """
    return np.concatenate([numbers.mean(axis=0), numbers.max(axis=0), numbers.std(axis=0)])
