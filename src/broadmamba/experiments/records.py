"""The files of `reproduce`: what they look like, so that no page is made of a damaged one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from broadmamba.errors import InputError
from broadmamba.schema import ANY, read_checked

COSTS: Mapping[str, Any] = {
    "environment": {"platform": str, "threads": int, "torch": str},
    "conversations": int,
    "rows": {
        ANY: {
            "parameters": int,
            "flops": int,
            "epochs": int,
            "pass_seconds": [float],
            "epoch_seconds": [float],
            "peak_memory": (int, None),
        },
    },
}
"""What was measured of the costs of systems."""

EMBEDDING: Mapping[str, Any] = {"labels": [str], "x": [float], "y": [float], "silhouette": float}
"""Coordinates of utterances."""

FACTS: Mapping[str, Any] = {
    "name": str,
    "labels": [str],
    "sha256": str,
    "features": {ANY: str},
    "modalities": {ANY: str},
    "utterances": {ANY: int},
    "support": [[int]],
    "excerpts": {ANY: {"place": int, "speakers": [str], "labels": [str]}},
}
"""What is known of a corpus."""


def read_run(path: Path, labels: Sequence[str], conversations: int) -> dict[str, Any]:
    """Read the record of a run, as far as pages are made of it.

    Args:
        path: of the record.
        labels: of the corpus, in class order.
        conversations: in its test split.

    Raises:
        InputError: it is damaged, or of other labels or conversations.
    """
    figures = {"weighted_f1": float, "accuracy": float, "macro_f1": float, "uar": float, "ece": float}
    figures_by_class = {**figures, "f1": dict.fromkeys(labels, float)}
    schema = {
        "system": str,
        "seed": int,
        "epoch": int,
        "dev": figures_by_class,
        "test": {**figures_by_class, "without_repeats": ({"weighted_f1": float}, None)},
        "counts": {"right": [[int]], "predicted": [[int]]},
        "predictions": [str],
        "history": [{"watched": {"test_weighted_f1": float}}],
        "parameters": int,
        "training_seconds": float,
    }
    run = read_checked(path, schema)
    counts = [run["counts"][part] for part in ("right", "predicted")]
    known = {np.base_repr(number, 36) for number in range(len(labels))}
    fits = all(len(rows) == conversations and all(len(row) == len(labels) for row in rows) for rows in counts)
    if not fits or len(run["predictions"]) != conversations or not set("".join(run["predictions"])) <= known:
        raise InputError(f"{path}: expected {len(labels)} classes and {conversations} conversations, found others")
    return run
