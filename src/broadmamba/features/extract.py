"""Adding a text feature to a corpus on disk, so that a kill at any moment costs little work.

Texts are encoded in parts, each stored on its own when it is done. The parts lie in a hidden folder of the
corpus under a key of everything that decides their values, and a part is always encoded in the same batches:
a run that was killed goes on to the bit-equal result of an unbroken one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.features.text import TextEncoder
from broadmamba.storage import map_arrays, save_arrays

PART_SIZE = 256
"""Texts a part: some seconds of work."""


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


def extract_text(
    corpus: Corpus,
    encoder: TextEncoder,
    batch_size: int = 64,
    progress: Callable[[int, int], object] | None = None,
) -> Corpus:
    """Add the encoder's feature to a corpus; what an earlier run left is used, and each text is encoded once.

    Args:
        corpus: opened from its folder.
        encoder: its spec names the feature.
        batch_size: texts encoded at once.
        progress: called with (different texts done, all different texts) whenever the first has grown.

    Returns:
        The corpus with the feature.

    Raises:
        InputError: the corpus is not on disk, or has another feature of that name.
    """
    if corpus.path is None:
        raise InputError(f"corpus {corpus.name!r} is only in memory; save it before adding a text feature")
    if has_feature(corpus, encoder.spec):
        return corpus
    utterances = corpus.utterances
    texts = sorted({utterance.text for utterance in utterances}, key=lambda text: (-len(text), text))
    leftovers = corpus.path / ".extract" / encoder.spec.name
    parts = leftovers / _key(encoder.spec, batch_size, texts)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, len(texts))

    rows = np.empty((len(texts), encoder.spec.width), dtype=np.float32)
    for start in range(0, len(texts), PART_SIZE):
        part = slice(start, start + PART_SIZE)
        file = parts / f"{start}.safetensors"
        stored = _stored(file, rows[part].shape)
        if stored is None:
            rows[part] = encoder.encode(texts[part], batch_size, advance)
            save_arrays(file, {"values": rows[part]})
        else:
            rows[part] = stored
            advance(len(stored))
    row_of = {text: row for row, text in enumerate(texts)}
    values = rows[[row_of[utterance.text] for utterance in utterances]]
    extended = corpus.add_feature(Feature(encoder.spec, values))
    shutil.rmtree(leftovers, ignore_errors=True)
    with suppress(OSError):  # another feature may be under way
        leftovers.parent.rmdir()
    return extended


def _tell(spec: FeatureSpec) -> str:
    return f"{spec.describe()} pooled by {spec.pooling}" if spec.pooling else spec.describe()


def _key(spec: FeatureSpec, batch_size: int, texts: Sequence[str]) -> str:
    decisive = json.dumps([spec.to_dict(), batch_size, PART_SIZE, texts])
    return hashlib.sha256(decisive.encode()).hexdigest()[:16]


def _stored(file: Path, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """What an earlier run left, or None where that is missing or damaged."""
    try:
        values = map_arrays(file)["values"]
    except (InputError, KeyError):
        return None
    return values if values.shape == shape and values.dtype == np.float32 else None
