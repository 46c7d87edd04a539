"""From features to what a model reads: they must be those that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import Conversation
from broadmamba.data.corpus import Feature
from broadmamba.data.normalise import Normaliser, relative_to_speaker
from broadmamba.data.rows import Rows, rows_of
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import IncompatibleError


def model_rows(
    wanted: Mapping[str, Sequence[FeatureSpec]],
    normalisers: Mapping[str, Normaliser],
    speaker_relative: Sequence[str],
    conversations: Sequence[Conversation],
    features: Mapping[str, Feature],
) -> Rows:
    """Check that features fit a model, and normalise them.

    Args:
        wanted: modality → specs of the features that the model reads.
        normalisers: modality → what was fitted on the training split.
        speaker_relative: modalities whose values are joined by their distance from the speaker's mean.
        conversations: what the rows of the features belong to.
        features: by name; a modality of which none is given is missing throughout.

    Raises:
        IncompatibleError: a feature has another spec, part of a modality is missing, or all of them are.
    """
    given = assemble(wanted, features, conversations, speaker_relative)
    if not given:
        names = ", ".join(spec.name for specs in wanted.values() for spec in specs)
        raise IncompatibleError(f"the model reads {names}; found {', '.join(features) or 'no feature'}")
    return rows_of(conversations, normalisers, given)


def assemble(
    wanted: Mapping[str, Sequence[FeatureSpec]],
    found: Mapping[str, Feature],
    conversations: Sequence[Conversation],
    speaker_relative: Sequence[str],
) -> dict[str, NDArray[np.float32]]:
    """Put the features of each modality side by side.

    Args:
        wanted: modality → specs.
        found: features by name.
        conversations: what the rows belong to.
        speaker_relative: modalities that get distances from the speaker's mean besides.

    Returns:
        Modality → `(U, width)`; a modality of which no feature was found is left out.

    Raises:
        IncompatibleError: a feature of the same name has another spec, or only part of a modality is there.
    """
    chosen: dict[str, NDArray[np.float32]] = {}
    for m, specs in wanted.items():
        missing = [spec.name for spec in specs if spec.name not in found]
        if len(missing) == len(specs):
            continue
        if missing:
            raise IncompatibleError(
                f"{m} needs {', '.join(s.name for s in specs)} together; {', '.join(missing)} is not there"
            )
        for spec in specs:
            other = found[spec.name].spec
            differing = spec.differences(other)
            if differing:
                pairs = (f"{key} {getattr(spec, key)!r:.60} and {getattr(other, key)!r:.60}" for key in differing)
                raise IncompatibleError(
                    f"feature {spec.name!r}: the model was trained on {spec.describe()}, found {other.describe()}; "
                    f"they differ in {', '.join(pairs)}"
                )
        values = np.concatenate([found[spec.name].values for spec in specs], axis=1)
        chosen[m] = relative_to_speaker(values, conversations) if m in speaker_relative else values
    return chosen
