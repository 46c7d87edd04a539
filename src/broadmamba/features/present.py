"""Whether a corpus has a feature already."""

from __future__ import annotations

from dataclasses import replace

from broadmamba.data.corpus import Corpus
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError


def has_feature(corpus: Corpus, spec: FeatureSpec, weights: str = "") -> bool:
    """Whether the corpus has exactly this feature already.

    Args:
        corpus: where it may be.
        spec: of the feature.
        weights: SHA-256 of a text encoder's weights alone, by which it was known in earlier versions.

    Raises:
        InputError: it has another feature of that name.
    """
    present = corpus.features.get(spec.name)
    if present is None or present.spec == spec:
        return present is not None
    if replace(present.spec, sha256=spec.sha256) == spec and present.spec.sha256 == weights:
        raise InputError(
            f"{corpus.path or corpus.name}: its feature {spec.name} is of an earlier version, when a text encoder was "
            "known by its weights alone; extract it again under another name (--name), and train models on that"
        )
    raise InputError(
        f"{corpus.path or corpus.name}: has another feature of this name already, {_tell(present.spec)}, "
        f"expected {_tell(spec)}; choose another name for the new one"
    )


def _tell(spec: FeatureSpec) -> str:
    return f"{spec.describe()} pooled by {spec.pooling}" if spec.pooling else spec.describe()
