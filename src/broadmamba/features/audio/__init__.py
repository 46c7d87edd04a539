"""Audio extractors by name: what is heard in a span of a recording, as one row of numbers.

Every one of them gives a row that is missing (NaN throughout) where nothing is to be heard: no audio stream, a
span beyond the recording's end, or samples that are all equal (digital silence).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from broadmamba.data.conversation import near
from broadmamba.errors import InputError
from broadmamba.features.audio.extractor import AudioExtractor
from broadmamba.features.audio.logmel import logmel_extractor
from broadmamba.features.audio.opensmile import opensmile_extractor
from broadmamba.features.audio.prosody import prosody_extractor

AUDIO_EXTRACTORS: Mapping[str, Callable[[], AudioExtractor]] = {
    "prosody": prosody_extractor,
    "logmel": logmel_extractor,
    "egemaps": partial(opensmile_extractor, "egemaps"),
    "is10": partial(opensmile_extractor, "is10"),
    "compare": partial(opensmile_extractor, "compare"),
}
"""Name of the feature → what makes its extractor."""


def load_audio(name: str) -> AudioExtractor:
    """An audio extractor by the name of its feature.

    Raises:
        InputError: there is none of this name; the message lists those there are.
        MissingExtraError: the library that it measures with is not installed.
    """
    if name not in AUDIO_EXTRACTORS:
        known = list(AUDIO_EXTRACTORS)
        raise InputError(f"unknown audio feature {name!r}{near(name, known)}: expected one of {', '.join(known)}")
    return AUDIO_EXTRACTORS[name]()
