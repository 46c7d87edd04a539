"""The feature `expression`: what a small expression net sees in the face of a span.

For each picture the net gives the probabilities of seven expressions and the 256 features before them; the row is
their mean, maximum and standard deviation over the span's pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.features.video.detector import FaceDetector
from broadmamba.features.video.expression_weights import PACKAGE_VERSION, WEIGHTS_SHA256, load_weights
from broadmamba.features.video.face_extractor import FaceExtractor
from broadmamba.networks import network_file
from broadmamba.sessions import Session

CLASSES = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
"""What the net tells apart, in its own order."""

INPUT_SIZE = 112
"""Height and width of the face that it sees."""

FEATURES = 256
"""Width of the layer before the classes."""

_NUMBERS = (*CLASSES, *(f"feature{number}" for number in range(FEATURES)))
COLUMNS = tuple(f"{name}_{statistic}" for statistic in ("mean", "max", "sd") for name in _NUMBERS)
"""Names of the 789 columns: `neutral_mean`, …, `feature255_sd`."""

_GRAPH_SHA256 = "a7f7da1f2ce5a4a8f77939afa996b9f9d7b54b98187b3aa1f4fbdacba1461cd0"


def load_expression() -> FaceExtractor:
    """The extractor of `expression`.

    Raises:
        MissingExtraError: its weights have not been fetched, or the face detector is not installed.
        InputError: the weights in the cache are damaged.
    """
    network = ExpressionNet()
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

    return FaceExtractor(spec, INPUT_SIZE, network, mean_max_sd, FaceDetector())


class ExpressionNet:
    """The net, with its weights out of the cache.

    Raises:
        MissingExtraError: the weights have not been fetched.
        InputError: the weights in the cache, or the graph, are damaged.
    """

    def __init__(self) -> None:
        weights = load_weights()
        for name, values in weights.items():
            if name.endswith("pointwise.weight"):  # a convolution of 1×1, stored as the matrix that it is
                weights[name] = values[:, :, None, None]
        graph = network_file("expression.onnx", _GRAPH_SHA256)
        what = "the net of the feature expression"
        self._session = Session(graph, weights, what=what, device="cpu", threads=1)  # too small for more

    def __call__(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Look at faces.

        Args:
            faces: `(batch, 112, 112, 3)`, red, green, blue.

        Returns:
            `(batch, 7 + 256)`: the probabilities in the order of `CLASSES`, and the features before them.
        """
        (numbers,) = self._session.run({"faces": faces.astype(np.float32)}, ["numbers"])
        return numbers


def mean_max_sd(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean, maximum and standard deviation over pictures, side by side.

    Args:
        numbers: `(pictures, n)`, at least one picture.

    Returns:
        `(3 n,)`; the deviation is that of the pictures themselves (zero for one).
    """
    return np.concatenate([numbers.mean(axis=0), numbers.max(axis=0), numbers.std(axis=0)])
