"""What a corpus is, in hashes of its content: figures of one corpus are never taken for those of another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from broadmamba.data.conversation import Conversation
from broadmamba.data.corpus import Corpus, Feature, Split


def conversations_sha256(corpus: Corpus) -> str:
    """SHA-256 of labels, splits, and who said what with which label in them. Times and features do not count."""
    conversations = {c.id: c for c in corpus.conversations}
    said = [_said(conversations[id]) for split in sorted(corpus.splits) for id in corpus.splits[split]]
    content = json.dumps([list(corpus.labels), {k: list(v) for k, v in sorted(corpus.splits.items())}, said])
    return hashlib.sha256(content.encode()).hexdigest()


def split_sha256(split: Split, features: Iterable[str] = ()) -> str:
    """SHA-256 of who said what with which label in a split, and of some of its features."""
    hashes = [feature_sha256(split.features[name]) for name in features]
    content = json.dumps([split.name, list(split.labels), [_said(c) for c in split.conversations], hashes])
    return hashlib.sha256(content.encode()).hexdigest()


def feature_sha256(feature: Feature) -> str:
    """SHA-256 of a feature's spec and all of its values."""
    digest = hashlib.sha256(json.dumps(feature.spec.to_dict(), sort_keys=True).encode())
    digest.update(np.ascontiguousarray(feature.values).data)
    return digest.hexdigest()


def _said(conversation: Conversation) -> list[Any]:
    return [conversation.id, [[u.id, u.text, u.speaker, u.label] for u in conversation]]
