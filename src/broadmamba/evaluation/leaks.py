"""Whether what is tested was also learnt from: conversations that stand in two splits under different names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError

SHORTEST = 3
"""Utterances of a conversation from which on two equal ones are no chance: many begin and end with "Hey." """


def shared_conversations(corpus: Corpus) -> list[tuple[str, str]]:
    """Pairs of conversations of different splits that are the same but for their names.

    Two are the same if all their texts and all rows of all features are, bit by bit. (The same script spoken by other
    people is another conversation: its audio differs.)

    Returns:
        `(split/conversation, split/conversation)`, in the order of splits.
    """
    seen: dict[str, tuple[str, str]] = {}
    found = []
    for split, id, content in _conversations(corpus):
        first = seen.setdefault(content, (split, id))
        if first[0] != split:
            found.append((f"{first[0]}/{first[1]}", f"{split}/{id}"))
    return found


def refuse_leaks(corpus: Corpus) -> None:
    """Refuse a corpus that has a conversation in two splits.

    Raises:
        InputError: it has; the message names the first one.
    """
    shared = shared_conversations(corpus)
    if shared:
        first, second = shared[0]
        more = f" (and {len(shared) - 1} more)" if len(shared) > 1 else ""
        raise InputError(
            f"corpus {corpus.name!r}: {second} is {first} again{more}; expected splits without a shared conversation, "
            "since what is tested must not have been learnt from"
        )


def _conversations(corpus: Corpus) -> Iterator[tuple[str, str, str]]:
    """Split, conversation and a hash of its content."""
    for name in corpus.splits:
        split = corpus.split(name)
        row = 0
        for conversation in split.conversations:
            rows = slice(row, row + len(conversation))
            row += len(conversation)
            if len(conversation) < SHORTEST:
                continue
            content = hashlib.sha256("\x00".join(u.text for u in conversation).encode())
            for feature in sorted(split.features):
                content.update(split.features[feature].values[rows].tobytes())
            yield name, conversation.id, content.hexdigest()
