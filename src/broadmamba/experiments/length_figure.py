"""How accuracy depends on the length of a conversation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from broadmamba.experiments import pages, plots
from broadmamba.experiments.results import Spread
from broadmamba.experiments.studies import Study
from broadmamba.experiments.workshop import Workshop, study_runs
from broadmamba.storage import csv_text, write_text

BINS = 4
"""Groups of conversations by length, of about as many conversations each."""


def make_length(study: Study, workshop: Workshop) -> list[Path]:
    """Accuracy by the number of labelled utterances of a conversation."""
    facts, results = study_runs(study, workshop)
    path = workshop.out / study.name
    parts = [f"# {study.title}\n", study.note]
    lines: list[list[object]] = []
    with plots.figure(path, 4.8 * len(results), 3.2, len(results)) as axes:
        for ax, (corpus, rows) in zip(axes, results.items(), strict=True):
            lengths = np.array(facts[corpus].support).sum(1)
            edges = np.unique(np.quantile(lengths, np.linspace(0, 1, BINS + 1)).round().astype(int))
            group = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, len(edges) - 2)
            names = [_span(edges, i) for i in range(len(edges) - 1)]
            shown: dict[str, list[tuple[float, float] | None]] = {}
            for result in rows:
                right = [np.array(r["counts"]["right"]).sum(1) for r in result.records]
                values = [
                    [float(hits[group == i].sum() / lengths[group == i].sum()) for hits in right]
                    for i in range(len(names))
                ]
                spreads = [Spread.of(v) if v else None for v in values]
                shown[result.row.name] = [(s.mean, s.sd) if s else None for s in spreads]
                for name, seeds in zip(names, values, strict=True):
                    pairs = zip(result.seeds, seeds, strict=True)
                    lines += [[corpus, result.row.name, seed, name, round(value, 6)] for seed, value in pairs]
            plots.points_with_bars(ax, names, shown, pages.corpus_name(corpus), "accuracy on test, %")
            counted = [f"{name} utterances ({(group == i).sum()} conversations)" for i, name in enumerate(names)]
            body = [
                [name, *(pages.percent(Spread(v[0], v[1], 2)) if v else "–" for v in values)]
                for name, values in shown.items()
            ]
            parts += [f"## {pages.corpus_name(corpus)}\n", pages.markdown_table(["", *counted], body)]
    table, page = path.with_suffix(".csv"), path.with_suffix(".md")
    write_text(table, csv_text(["corpus", "row", "seed", "utterances", "accuracy"], lines))
    write_text(page, "\n".join([*parts, pages.image(study)]))
    return [page, table, path.with_suffix(".png"), path.with_suffix(".svg")]


def _span(edges: Any, place: int) -> str:
    """The lengths of a group, such as `5–9`; the last group has its upper edge, the others end before it."""
    last = place == len(edges) - 2
    low, high = int(edges[place]), int(edges[place + 1]) - (0 if last else 1)
    return f"{low}–{high}" if high > low else str(low)
