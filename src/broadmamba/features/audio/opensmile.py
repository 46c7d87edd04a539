"""The openSMILE feature sets of the literature; the library is for research only."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import MissingExtraError
from broadmamba.features.audio.extractor import AudioExtractor
from broadmamba.media.recording import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class SmileSet:
    """A feature set of openSMILE, functionals over the whole span.

    Attributes:
        name: what openSMILE's `FeatureSet` calls it.
        width: numbers a span.
    """

    name: str
    width: int


SMILE_SETS = {
    "is10": SmileSet("IS10", 1582),
    "egemaps": SmileSet("eGeMAPSv02", 88),
    "compare": SmileSet("ComParE_2016", 6373),
}
"""Name of the feature → the set behind it."""


def opensmile_extractor(name: str) -> AudioExtractor:
    """The extractor of one of `SMILE_SETS`; a span of 0.05 s or less gives a missing row.

    Raises:
        MissingExtraError: opensmile is not installed.
    """
    try:
        import opensmile
    except ImportError:
        raise MissingExtraError(f"the feature {name} needs openSMILE: pip install 'broadmamba[opensmile]'") from None
    known = SMILE_SETS[name]
    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet[known.name],
        feature_level=opensmile.FeatureLevel.Functionals,
    )

    def measure(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Segment too short")  # the row says it
            row = smile.process_signal(samples, SAMPLE_RATE).to_numpy()[0]
        return np.asarray(row, dtype=np.float32)

    spec = FeatureSpec(
        name=name,
        modality="audio",
        width=known.width,
        version=f"opensmile {opensmile.__version__} {known.name}",
        licence="research only (audEERING)",
        columns=tuple(smile.column_names),
    )
    notice = (
        f"{name} is measured with openSMILE, whose licence (audEERING) allows research only, "
        "and the same of models trained on it"
    )
    return AudioExtractor(spec, measure, notice)
