"""Video extractors by name: what is seen of the face of a span of a recording, as one row of numbers.

A row is missing (NaN throughout) where no face is to be seen: no video stream, a span beyond the recording's end, or
pictures without faces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from broadmamba.data.conversation import near
from broadmamba.errors import InputError
from broadmamba.extras import missing_extra
from broadmamba.features.video.expression import load_expression
from broadmamba.features.video.face_extractor import FaceExtractor


def _expression(weights: Path | None) -> FaceExtractor:
    if weights is not None:
        raise InputError(f"the video feature expression has weights of its own, expected none, found {weights}")
    return load_expression()


def _densenet121(weights: Path | None) -> FaceExtractor:
    if weights is None:
        raise InputError("the video feature densenet121 needs a file of weights (--weights FILE), found none")
    try:
        from broadmamba.features.video.densenet_extractor import load_densenet121
    except ModuleNotFoundError as error:
        raise missing_extra("the video feature densenet121", error) or error from None
    return load_densenet121(weights)


VIDEO_EXTRACTORS: Mapping[str, Callable[[Path | None], FaceExtractor]] = {
    "expression": _expression,
    "densenet121": _densenet121,
}
"""Name of the feature → what makes its extractor, of a file of weights where it needs one."""


def load_video(name: str, weights: Path | None = None) -> FaceExtractor:
    """A video extractor by the name of its feature.

    Args:
        name: of `VIDEO_EXTRACTORS`.
        weights: for `densenet121`, the user's file of weights.

    Raises:
        InputError: there is none of this name, or the weights are missing, damaged or not wanted.
        MissingExtraError: the face detector or, for `densenet121`, torch is not installed, or the weights of
            `expression` have not been fetched.
    """
    if name not in VIDEO_EXTRACTORS:
        known = list(VIDEO_EXTRACTORS)
        raise InputError(f"unknown video feature {name!r}{near(name, known)}: expected one of {', '.join(known)}")
    return VIDEO_EXTRACTORS[name](weights)
