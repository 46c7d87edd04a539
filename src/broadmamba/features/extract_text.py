"""Adding a text feature to a corpus on disk, so that a kill at any moment costs little work.

Passages are encoded in parts, each stored on its own when it is done (`parts.py`), and a part is always encoded in
the same batches: a run that was killed goes on to the bit-equal result of an unbroken one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.corpus import Corpus, Feature
from broadmamba.errors import InputError
from broadmamba.features.parts import PartStore, extracting
from broadmamba.features.present import has_feature
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.passages import Passage

PART_SIZE = 256
"""Utterances a part: some seconds of work."""


def extract_text(
    corpus: Corpus,
    encoder: TextEncoder,
    batch_size: int = 64,
    progress: Callable[[int, int], object] | None = None,
) -> Corpus:
    """Add the encoder's feature to a corpus; what an earlier run left is used, and each passage is encoded once.

    Args:
        corpus: opened from its folder.
        encoder: its spec names the feature.
        batch_size: passages encoded at once (a text, for an encoder that reads each utterance alone).
        progress: called with (different passages done, all of them) whenever the first has grown.

    Returns:
        The corpus with the feature.

    Raises:
        InputError: the corpus is not on disk, has another feature of that name, all that the encoder gives is
            non-finite, or another process makes this feature.
    """
    if corpus.path is None:
        raise InputError(f"corpus {corpus.name!r} is only in memory; save it before adding a text feature")
    if has_feature(corpus, encoder.spec, encoder.weights):
        return corpus
    with extracting(corpus.path, encoder.spec.name):
        return _extract(corpus, corpus.path, encoder, batch_size, progress)


def _extract(
    corpus: Corpus,
    folder: Path,
    encoder: TextEncoder,
    batch_size: int,
    progress: Callable[[int, int], object] | None,
) -> Corpus:
    needed = [passage for conversation in corpus.conversations for passage in encoder.reading.passages(conversation)]
    passages = sorted(set(needed), key=lambda passage: (-sum(map(len, passage.turns)), passage.turns, passage.scored))
    turns = [[passage.turns, passage.scored] for passage in passages]
    store = PartStore(folder, encoder.spec, [batch_size, PART_SIZE, turns])
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, len(passages))

    rows: dict[Passage, NDArray[np.float32]] = {}
    for number, part in enumerate(_parts(passages)):
        sizes = [passage.scored for passage in part]
        values = _stored(store, str(number), (sum(sizes), encoder.spec.width))
        if values is None:
            values = np.concatenate(encoder.encode_passages(part, batch_size, advance))
            store.write(str(number), {"values": values})
        else:
            advance(len(part))
        rows |= zip(part, np.split(values, np.cumsum(sizes)[:-1]), strict=True)
    values = np.concatenate([rows[passage] for passage in needed])
    try:
        encoder.tell_missing(values)
    except InputError:
        store.clear()
        raise
    extended = corpus.add_feature(Feature(encoder.spec, values))
    store.clear()
    return extended


def _parts(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    """Passages in parts of about `PART_SIZE` utterances."""
    part: list[Passage] = []
    for passage in passages:
        part.append(passage)
        if sum(one.scored for one in part) >= PART_SIZE:
            yield part
            part = []
    if part:
        yield part


def _stored(store: PartStore, name: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """What an earlier run left, or None where that is missing or damaged."""
    values = (store.read(name) or {}).get("values")
    return values if values is not None and values.shape == shape and values.dtype == np.float32 else None
