"""Labels as people write them: what is none, and what is the same one in another spelling."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

_NO_LABELS = frozenset({"nan", "null", "<na>", "n/a", "#n/a"})
"""What tables and programs write where there is nothing; in small letters."""

_DOUBTFUL = frozenset({"na", "none", "-", "?", "xxx", "unknown"})
"""What may be a label, and may say that there is none; in small letters."""


def plain_label(written: str | None) -> str | None:
    """A label in composed Unicode without blanks around it or doubled in it, or None where there is none.

    An empty text and blanks are none, and so is what programs write for nothing: nan, null, n/a.
    """
    label = " ".join(unicodedata.normalize("NFC", written or "").replace("\u200b", "").replace("\ufeff", "").split())
    return None if label.casefold() in ("", *_NO_LABELS) else label


def join_labels(written: Sequence[str | None], notes: list[str]) -> list[str | None]:
    """The labels of a corpus; those that differ in case, blanks or Unicode form alone become one, the most frequent.

    Args:
        written: for each utterance, None where there is none.
        notes: gets a sentence for what was joined, taken for no label, or may have been meant as none.

    Returns:
        The label of each utterance.
    """
    labels = [plain_label(label) for label in written]
    spellings: dict[str, Counter[str]] = {}
    for before, label in zip(written, labels, strict=True):
        if before is not None and label is not None:
            spellings.setdefault(label.casefold(), Counter())[before] += 1
    chosen: dict[str, str] = {}
    for key, counts in spellings.items():
        chosen[key] = plain_label(counts.most_common(1)[0][0]) or key
        if len(counts) > 1:
            told = ", ".join(f"{spelling!r} ({count})" for spelling, count in counts.most_common())
            notes.append(f"labels that differ in case, blanks or Unicode form alone are one, {chosen[key]!r}: {told}")
    empty = Counter(before for before, label in zip(written, labels, strict=True) if before is not None and not label)
    if empty:
        told = ", ".join(f"{spelling!r} ({count})" for spelling, count in empty.most_common(5))
        notes.append(f"taken for no label: {told}")
    for key in sorted(_DOUBTFUL & chosen.keys()):
        count = spellings[key].total()
        notes.append(f"{chosen[key]!r} ({count}) is taken for a label: leave it out where it says there is none")
    return [None if label is None else chosen[label.casefold()] for label in labels]
