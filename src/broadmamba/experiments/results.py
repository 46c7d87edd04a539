"""The records of a study, row by row, and what statistics say of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from broadmamba.evaluation.significance import (
    RESAMPLES,
    BootstrapResult,
    DialogueCounts,
    TTestResult,
    bootstrap_counts,
    holm,
    paired_t_test,
)
from broadmamba.experiments.facts import CorpusFacts
from broadmamba.experiments.studies import Row

Record = Mapping[str, Any]


@dataclass(frozen=True)
class RowResults:
    """The records of one row on one corpus.

    Attributes:
        row: which.
        records: by seed, in order; may be none.
    """

    row: Row
    records: Sequence[Record]

    @property
    def seeds(self) -> list[int]:
        """Those that there are."""
        return [int(record["seed"]) for record in self.records]

    def values(self, figure: Callable[[Record], float]) -> list[float]:
        """A figure of each seed."""
        return [figure(record) for record in self.records]

    def spread(self, figure: Callable[[Record], float]) -> Spread | None:
        """Mean and standard deviation of a figure, or None where there is no record."""
        found = self.values(figure)
        return Spread.of(found) if found else None

    def counts(self, facts: CorpusFacts) -> DialogueCounts:
        """What a bootstrap over conversations needs of all seeds."""
        support = np.array(facts.support, float)
        labelled = support.sum(1) > 0  # the others do not count, as in `paired_bootstrap`
        right, predicted = (
            np.concatenate([np.array(record["counts"][part], float) for record in self.records], axis=1)[labelled]
            for part in ("right", "predicted")
        )
        return DialogueCounts(right, predicted, support[labelled])


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n − 1) of a figure over seeds; of a single seed the deviation is 0."""

    mean: float
    sd: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0, len(values))


@dataclass(frozen=True)
class Comparison:
    """How a row differs from the row of reference in weighted F1 on test.

    Attributes:
        conversations: paired bootstrap over the conversations of the test split.
        seeds: paired t-test over the seeds that both have, or None where these are fewer than two.
        p_conversations: of the bootstrap, after Holm over all rows of the table.
        p_seeds: of the t-test, likewise.
    """

    conversations: BootstrapResult
    seeds: TTestResult | None
    p_conversations: float
    p_seeds: float | None


def weighted_f1(record: Record) -> float:
    """Of the test split, by the epoch that dev chose."""
    return float(record["test"]["weighted_f1"])


def class_f1(label: str) -> Callable[[Record], float]:
    """F1 of one class on test."""
    return lambda record: float(record["test"]["f1"][label])


def best_by_test(record: Record) -> float:
    """What selecting the epoch on the test split would have given: not comparable, and only to show how much."""
    return max(float(epoch["watched"]["test_weighted_f1"]) for epoch in record["history"])


def without_repeats(record: Record) -> float:
    """Weighted F1 of the test utterances whose text does not stand verbatim in train."""
    return float((record["test"].get("without_repeats") or record["test"])["weighted_f1"])


def compare_with(
    reference: RowResults, others: Sequence[RowResults], facts: CorpusFacts, resamples: int = RESAMPLES
) -> dict[str, Comparison]:
    """Compare rows with one of reference; a difference above 0 says that the other row is better.

    Args:
        reference: with at least one record.
        others: those without a record are passed over.
        facts: of the corpus.
        resamples: of the bootstrap.

    Returns:
        Name of a row → its comparison.
    """
    compared = [other for other in others if other.records and other.row.name != reference.row.name]
    base = reference.counts(facts)
    over_conversations = [bootstrap_counts(base, other.counts(facts), resamples=resamples) for other in compared]
    over_seeds = [_over_seeds(reference, other) for other in compared]
    p_conversations = holm([found.p for found in over_conversations])
    tested = [found.p for found in over_seeds if found]
    adjusted = iter(holm(tested))
    p_seeds = [next(adjusted) if found else None for found in over_seeds]
    rows = zip(compared, over_conversations, over_seeds, p_conversations, p_seeds, strict=True)
    return {other.row.name: Comparison(one, two, p, q) for other, one, two, p, q in rows}


def _over_seeds(reference: RowResults, other: RowResults) -> TTestResult | None:
    first, second = (dict(zip(r.seeds, r.values(weighted_f1), strict=True)) for r in (reference, other))
    shared = [seed for seed in first if seed in second]
    if len(shared) < 2:
        return None
    return paired_t_test([first[seed] for seed in shared], [second[seed] for seed in shared])
