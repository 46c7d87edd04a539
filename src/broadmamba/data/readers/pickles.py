"""Feature pickles of the literature: a tuple of dictionaries by conversation, and lists of split ids.

The layout is found from the content: the number of parts and what each holds (speakers are `'M'`/`'F'` in
IEMOCAP and one-hot vectors in MELD). Known are those of SDT and M3NET, DialogueRNN and MMGCN, and COSMIC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from broadmamba.data.conversation import Conversation, LabelSet, Utterance
from broadmamba.data.corpus import Corpus, Feature
from broadmamba.data.readers.conventions import (
    IEMOCAP_LABELS,
    MELD_LABELS,
    make_feature,
    modality_of,
    repair,
)
from broadmamba.data.readers.pickle_process import Part, Scalar, open_pickle
from broadmamba.errors import InputError

_Items = TypeVar("_Items", list[Scalar], NDArray[np.float32])
_FEATURES = ("roberta1", "roberta2", "roberta3", "roberta4", "text", "audio", "visual")
_ROBERTA = " ".join(_FEATURES[:4])
_KINDS = {
    "ids": "scalars",
    "labels": "scalars",
    "sentences": "scalars",
    "train": "ids",
    "dev": "ids",
    "test": "ids",
}


@dataclass(frozen=True, slots=True)
class _Layout:
    corpus: str
    labels: LabelSet
    roles: tuple[str, ...]

    def fits(self, parts: Sequence[Part]) -> bool:
        """Whether there are as many parts and each is of the kind its role needs."""
        speakers = "scalars" if self.labels is IEMOCAP_LABELS else "vectors"
        kinds = {**_KINDS, **dict.fromkeys(_FEATURES, "vectors"), "speakers": speakers}
        return len(parts) == len(self.roles) and all(
            kinds.get(role, part.kind) == part.kind and (role != "sentences" or _is_text(part))
            for role, part in zip(self.roles, parts, strict=True)
        )


_LAYOUTS = tuple(
    _Layout(corpus, labels, tuple(roles.split()))
    for corpus, labels, roles in (
        ("iemocap", IEMOCAP_LABELS, f"ids speakers labels {_ROBERTA} audio visual sentences train test"),
        ("meld", MELD_LABELS, f"ids speakers labels {_ROBERTA} audio visual sentences train test other"),
        ("iemocap", IEMOCAP_LABELS, "ids speakers labels text audio visual sentences train test"),
        ("meld", MELD_LABELS, "ids speakers labels text audio sentences train test other"),
        ("meld", MELD_LABELS, "ids speakers labels text audio visual sentences train test other"),
        ("iemocap", IEMOCAP_LABELS, "speakers labels sentences train test dev"),
        ("meld", MELD_LABELS, "speakers labels other sentences train test dev"),
    )
)


def recognises(source: Path) -> bool:
    """Whether the source is a file with the ending of a pickle."""
    return source.is_file() and source.suffix.lower() in (".pkl", ".pickle", ".p")


def read(source: Path, name: str | None = None, modalities: Mapping[str, str] | None = None) -> Corpus:
    """Read a pickle of the literature.

    Where the pickle has no dev split, a tenth of its train conversations, rounded, becomes
    dev: those whose ids have the smallest SHA-256. A note of the corpus says so.

    Args:
        source: the pickle.
        name: of the corpus; `iemocap` or `meld` if not given.
        modalities: feature name → modality, if other than the layout's.

    Raises:
        InputError: the pickle is refused, has no known layout, or its parts do not fit together.
    """
    parts = open_pickle(source)
    layout = next((layout for layout in _LAYOUTS if layout.fits(parts)), None)
    if layout is None:
        found = ", ".join(part.kind for part in parts[:20])
        raise InputError(
            f"{source}: expected a feature pickle of IEMOCAP or MELD as SDT, M3NET, DialogueRNN, MMGCN or "
            f"COSMIC have it, found {len(parts)} parts ({found})"
        )
    try:
        return _build(layout, dict(zip(layout.roles, parts, strict=True)), name, modalities or {})
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def _build(layout: _Layout, parts: Mapping[str, Part], name: str | None, modalities: Mapping[str, str]) -> Corpus:
    notes: list[str] = []
    splits = {split: list(parts[split].ids) for split in ("train", "dev", "test") if split in parts}
    if "dev" not in splits:
        splits = _draw_dev(splits, notes)
    keys = list(dict.fromkeys(key for ids in splits.values() for key in ids))
    sentences = parts["sentences"].scalars
    if unknown := [key for key in keys if key not in sentences]:
        raise InputError(f"conversation {unknown[0]!r} is in a split, but has no sentences")
    chosen = set(keys)
    if others := [key for key in sentences if key not in chosen]:
        notes.append(f"{len(others)} conversations are in no split and left out")
    conversations = tuple(_conversation(key, layout, parts) for key in keys)
    features: dict[str, Feature] = {}
    for role in (role for role in layout.roles if role in _FEATURES):
        rows = [_of(parts[role].vectors, role, key, len(sentences[key])) for key in keys]
        values = np.concatenate(rows)
        features[role] = make_feature(role, modality_of(role, modalities), values)
    named = {split: tuple(map(_conversation_id, ids)) for split, ids in splits.items()}
    return Corpus(name or layout.corpus, layout.labels, conversations, named, features, notes=tuple(notes))


def _draw_dev(splits: Mapping[str, list[Scalar]], notes: list[str]) -> dict[str, list[Scalar]]:
    train = splits["train"]
    count = max(1, round(len(train) / 10))
    drawn = set(sorted(train, key=lambda key: hashlib.sha256(str(key).encode()).hexdigest())[:count])
    notes.append(
        f"the pickle has no dev split: {count} of its {len(train)} train conversations were set aside as dev "
        "(those whose ids have the smallest SHA-256)"
    )
    return {
        "train": [key for key in train if key not in drawn],
        "dev": [key for key in train if key in drawn],
        "test": splits["test"],
    }


def _conversation(key: Scalar, layout: _Layout, parts: Mapping[str, Part]) -> Conversation:
    id = _conversation_id(key)
    sentences = parts["sentences"].scalars[key]
    labels = _of(parts["labels"].scalars, "labels", key, len(sentences))
    speakers = _speakers(parts["speakers"], key, len(sentences))
    utterances = []
    for position, (sentence, label, speaker) in enumerate(zip(sentences, labels, speakers, strict=True)):
        if label not in range(len(layout.labels)):
            raise InputError(
                f"conversation {id!r}, utterance {position}: its label is {label!r:.40}, "
                f"expected a whole number below {len(layout.labels)}"
            )
        utterances.append(
            Utterance(
                id=f"{id}_utt{position}",
                text=repair(str(sentence)),
                speaker=speaker,
                label=layout.labels[int(label)],
            )
        )
    return Conversation(id, tuple(utterances))


def _of(values: Mapping[Scalar, _Items], what: str, key: Scalar, length: int) -> _Items:
    """The items of one conversation, as many as it has sentences."""
    if key not in values:
        raise InputError(f"conversation {key!r} has sentences, but no {what}")
    if len(values[key]) != length:
        raise InputError(f"conversation {key!r} has {length} sentences, but {len(values[key])} {what}")
    return values[key]


def _conversation_id(key: Scalar) -> str:
    return key if isinstance(key, str) else f"dia{key}"


def _speakers(part: Part, key: Scalar, length: int) -> list[str | None]:
    """`M` or `F`, or the position of the one in a one-hot vector; all zeros are nobody known."""
    if part.kind == "scalars":
        return [str(code) for code in _of(part.scalars, "speakers", key, length)]
    codes = _of(part.vectors, "speakers", key, length)
    return [f"speaker{code.argmax()}" if code.any() else None for code in codes]


def _is_text(part: Part) -> bool:
    return all(isinstance(item, str) for items in part.scalars.values() for item in items)
