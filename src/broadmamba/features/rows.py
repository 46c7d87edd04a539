"""The rows of a feature as worker processes bring them, stored in parts so that a kill costs seconds of work."""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.features.parts import PartStore
from broadmamba.features.workers import Job, Load, Remark, Row, Trouble, run_jobs

TIME_LIMIT = 300.0
"""Seconds that one utterance may take; what takes longer hangs."""

PARTS = 2
"""Version of what is stored of rows."""

_TRIES = 2
"""Of a row that fails for a reason that may pass; the next run tries again."""

_PART_ROWS = 64
_PART_SECONDS = 5.0
"""A part is stored when it has so many rows or is so old: that much work a kill costs."""


class RowStore:
    """The rows of a feature as they come, stored in parts.

    Attributes:
        values: `(utterances, width)`, NaN where there is none (yet).
        reasons: row → why there is none.
        remarks: row → what users should know of its recording, in words and details (`workers.Remark`).
    """

    def __init__(self, store: PartStore, width: int, fingerprints: Sequence[int]) -> None:
        """Begin with what an earlier run left.

        Args:
            store: of the feature.
            width: of a row.
            fingerprints: for each row, 64 bits of a digest of all that decides it besides its extractor.
        """
        self.values = np.full((len(fingerprints), width), np.nan, dtype=np.float32)
        self.reasons: dict[int, str] = {}
        self.remarks: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
        self._fingerprints = fingerprints
        self._undone = set(range(len(fingerprints)))
        self._store = store
        self._unstored: list[int] = []
        self._stored_at = time.monotonic()
        row_of = {fingerprint: row for row, fingerprint in enumerate(fingerprints)}
        for part in store.read_all():
            words = json.loads(part["words"].tobytes())
            for fingerprint, values, (reason, remarks) in zip(part["fingerprints"], part["values"], words, strict=True):
                if (row := row_of.get(int(fingerprint))) is not None:
                    self.remarks[row] += [(said, details) for said, details in remarks]
                    self.settle(row, Trouble(reason) if reason else values)

    @property
    def done(self) -> int:
        """How many rows are settled."""
        return len(self._fingerprints) - len(self._undone)

    def undone(self) -> list[int]:
        """The rows that are not."""
        return sorted(self._undone)

    def settle(self, row: int, result: Row | Trouble) -> None:
        """Take in a row, or why there is none, without storing it."""
        if isinstance(result, Trouble):
            self.reasons[row] = result.reason
        else:
            self.values[row] = result
        self._undone.discard(row)

    def fill(
        self,
        load: Load,
        jobs: Sequence[Job],
        workers: int,
        progress: Callable[[int, int], object] | None = None,
        limit: float = TIME_LIMIT,
    ) -> None:
        """Have the rows of jobs extracted, and store them as they come.

        A row that fails for a reason that may pass is tried once more after the others, and is never stored as done.

        Args:
            load: makes the extractor.
            jobs: of rows that are not done.
            workers: processes at once.
            progress: called with (rows done, all rows) whenever the first has grown.
            limit: seconds that one row may take.

        Raises:
            InputError: a worker cannot start.
        """
        try:
            for tries_left in reversed(range(_TRIES)):
                again = set()
                for found in run_jobs(load, jobs, workers, limit):
                    if isinstance(found, Remark):
                        self.remarks[found.row].append((found.words, found.details))
                        continue
                    row, result = found
                    if tries_left and isinstance(result, Trouble) and result.again == "now":
                        again.add(row)
                        continue
                    self._put(row, result)
                    if progress:
                        progress(self.done, len(self._fingerprints))
                jobs = [left for job in jobs if (left := job.only(again)) is not None]
        finally:
            self._store_rows()

    def _put(self, row: int, result: Row | Trouble) -> None:
        self.settle(row, result)
        if not isinstance(result, Trouble) or result.again == "never":
            self._unstored.append(row)
        if len(self._unstored) >= _PART_ROWS or time.monotonic() > self._stored_at + _PART_SECONDS:
            self._store_rows()

    def _store_rows(self) -> None:
        """Write what is settled and not stored yet as one part."""
        if self._unstored:
            words = json.dumps([[self.reasons.get(row, ""), self.remarks.get(row, [])] for row in self._unstored])
            fingerprints = np.array([self._fingerprints[row] for row in self._unstored], dtype=np.int64)
            arrays: dict[str, NDArray[Any]] = {
                "fingerprints": fingerprints,
                "values": self.values[self._unstored],
                "words": np.frombuffer(words.encode(), dtype=np.uint8),
            }
            self._store.write(hashlib.sha256(fingerprints.tobytes()).hexdigest()[:16], arrays)
        self._unstored.clear()
        self._stored_at = time.monotonic()


def fingerprint(decisive: Sequence[object]) -> int:
    """64 bits of a digest of JSON values."""
    digest = hashlib.sha256(json.dumps(decisive).encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)
