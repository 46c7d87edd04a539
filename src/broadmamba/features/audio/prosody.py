"""Eight prosodic values of a sound, measured with Praat's defaults (through parselmouth).

| column              | what it is                                                                   | NaN where       |
|---------------------|------------------------------------------------------------------------------|-----------------|
| `duration`          | seconds                                                                      | never           |
| `mean_intensity`    | dB of the mean energy (Praat's default average) of `to_intensity()`          | under 64 ms     |
| `intensity_sd`      | dB, population SD of all frames, those of digital silence (−300 dB) too      | under 64 ms     |
| `mean_f0`           | Hz, of the voiced frames of `to_pitch()`, which looks from 75 to 600 Hz      | no voiced frame |
| `f0_sd`             | Hz, population SD of the voiced frames; 0 where there are fewer than two     | under 40 ms     |
| `f0_range`          | Hz, highest less lowest voiced frame; 0 where there are fewer than two       | under 40 ms     |
| `articulation_rate` | syllable nuclei a second of phonation (see `syllables`)                      | no nucleus      |
| `mean_hnr`          | dB, of the frames of `to_harmonicity()` that are not silent (−200 dB)        | none such       |

A sound too short for an analysis leaves what that analysis gives NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import MissingExtraError
from broadmamba.features.audio.extractor import AudioExtractor
from broadmamba.media.recording import SAMPLE_RATE

PROSODY_COLUMNS = (
    "duration",
    "mean_intensity",
    "intensity_sd",
    "mean_f0",
    "f0_sd",
    "f0_range",
    "articulation_rate",
    "mean_hnr",
)
"""The eight values in their order."""

_SILENT_HNR = -200.0
"""What Praat writes for a frame too quiet to have a harmonicity, in dB."""

T = TypeVar("T")


def prosody_extractor() -> AudioExtractor:
    """The extractor of the feature `prosody`.

    Raises:
        MissingExtraError: parselmouth is not installed.
    """
    try:
        import parselmouth
    except ImportError:
        raise MissingExtraError(
            "the feature prosody needs Praat (package praat-parselmouth, GPL-3): pip install 'broadmamba[praat]'"
        ) from None
    spec = FeatureSpec(
        name="prosody",
        modality="audio",
        width=len(PROSODY_COLUMNS),
        version=f"praat {parselmouth.PRAAT_VERSION}",
        licence="GPL-3.0-or-later",
        columns=PROSODY_COLUMNS,
        gaps=True,
    )
    notice = "prosody is measured with Praat through parselmouth, which is under GPL-3.0-or-later"
    return AudioExtractor(spec, lambda samples: prosody(samples, SAMPLE_RATE), notice)


def prosody(samples: NDArray[np.floating], rate: float) -> NDArray[np.float32]:
    """The eight values of one sound.

    Args:
        samples: `(samples,)`, mono, in −1…1; at least one.
        rate: samples a second.

    Returns:
        `(8,)` in the order of `PROSODY_COLUMNS`; what cannot be measured is NaN.
    """
    import parselmouth

    from broadmamba.features.audio.syllables import articulation_rate

    sound = parselmouth.Sound(np.asarray(samples, dtype=np.float64), rate)
    row = np.full(len(PROSODY_COLUMNS), np.nan)
    row[0] = sound.duration
    if intensity := _unless_too_short(sound.to_intensity):
        row[1:3] = intensity.get_average(), intensity.values.std()
    if pitch := _unless_too_short(sound.to_pitch):
        voiced = pitch.selected_array["frequency"]
        voiced = voiced[voiced > 0]
        row[3:6] = (voiced.mean(), voiced.std(), np.ptp(voiced)) if len(voiced) else (np.nan, 0, 0)
    row[6] = _unless_too_short(lambda: articulation_rate(sound)) or np.nan
    if harmonicity := _unless_too_short(sound.to_harmonicity):
        heard = harmonicity.values[harmonicity.values != _SILENT_HNR]
        row[7] = heard.mean() if len(heard) else np.nan
    return row.astype(np.float32)


def _unless_too_short(analyse: Callable[[], T]) -> T | None:
    """What the analysis gives, or None where Praat refuses it, as it does with too short a sound.

    Praat warns of sounds whose loudness hardly changes; the row says as much.
    """
    import parselmouth

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", parselmouth.PraatWarning)
            return analyse()
    except parselmouth.PraatError:
        return None
