"""Corpora: MELD's tables, a table with features, and pickles of features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from broadmamba.data.readers import read_corpus
from broadmamba.errors import InputError
from made_by.talk import tool

SAID = [
    ("train", 0, 0, "Anna", "Well, “nearly” isn’t done; is it?", "anger"),
    ("train", 0, 1, "Ben", 'R&D says "no", naïvely.', "neutral"),
    ("dev", 1, 0, "Ben", "No.", "sadness"),
    ("test", 2, 0, "Anna", "Who wrote that?", "surprise"),
]
"""Split, conversation, utterance, speaker, text, emotion."""


@dataclass(frozen=True)
class MadeCorpus:
    """A corpus of `SAID`, and perhaps a feature of three columns."""

    format: str
    path: Path
    values: np.ndarray | None = None
    refused: str = ""

    def trouble(self) -> str:
        """What is wrong with what is read; nothing if it is right."""
        try:
            corpus = read_corpus(self.path)
        except InputError as error:
            return f"refused: {error}"
        read = [(u.speaker, u.text, u.label) for c in corpus.conversations for u in c]
        expected = [(speaker, text, label) for *_, speaker, text, label in SAID]
        if read != expected:
            return f"read {read} instead of {expected}"
        splits = {name: len(ids) for name, ids in corpus.splits.items()}
        if splits != {"train": 1, "dev": 1, "test": 1}:
            return f"splits {splits}"
        if self.values is not None:
            (feature,) = corpus.features
            if not np.array_equal(corpus.features[feature].values, self.values):
                return f"feature {feature} differs"
        return ""


@tool("pandas, corpora")
def pandas(folder: Path) -> Iterator[MadeCorpus]:
    import pandas as library

    meld = folder / "meld"
    meld.mkdir(exist_ok=True)
    for split in ("train", "dev", "test"):
        rows = [
            {"Sr No.": n, "Utterance": text, "Speaker": speaker, "Emotion": emotion, "Sentiment": "neutral",
             "Dialogue_ID": dialogue, "Utterance_ID": utterance, "Season": 1, "Episode": 1,
             "StartTime": "00:00:01,000", "EndTime": "00:00:02,500"}
            for n, (of, dialogue, utterance, speaker, text, emotion) in enumerate(SAID, start=1)
            if of == split
        ]  # fmt: skip
        library.DataFrame(rows).to_csv(meld / f"{split}_sent_emo.csv", index=False)
    yield MadeCorpus("MELD's tables", meld)
    table = folder / "table"
    table.mkdir(exist_ok=True)
    keys = ("split", "dialogue", "utterance", "speaker", "text", "emotion")
    named = [(split, f"d{d}", f"d{d}_u{u}", *rest) for split, d, u, *rest in SAID]
    rows = [dict(zip(keys, row, strict=True)) for row in named]
    library.DataFrame(rows).to_json(table / "utterances.jsonl", orient="records", lines=True)
    values = np.random.default_rng(0).normal(size=(len(SAID), 3)).astype(np.float32)
    np.save(table / "audio.npy", values)
    yield MadeCorpus("table with NumPy's features", table, values)
