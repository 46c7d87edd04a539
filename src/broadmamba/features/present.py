"""Whether a corpus has a feature already."""

from __future__ import annotations

from broadmamba.data.corpus import Corpus
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError


def has_feature(corpus: Corpus, spec: FeatureSpec) -> bool:
    """Whether the corpus has exactly this feature already.

    Raises:
        InputError: it has another feature of that name.
    """
    present = corpus.features.get(spec.name)
    if present is None or present.spec == spec:
        return present is not None
    raise InputError(
        f"{corpus.path or corpus.name}: has another feature of this name already, {_tell(present.spec)}, "
        f"expected {_tell(spec)}; choose another name for the new one"
    )


def _tell(spec: FeatureSpec) -> str:
    return f"{spec.describe()} pooled by {spec.pooling}" if spec.pooling else spec.describe()
