"""Studies of runs: a table, a table with bars, and a table with losses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from broadmamba.experiments import pages, plots
from broadmamba.experiments.facts import CorpusFacts
from broadmamba.experiments.results import weighted_f1
from broadmamba.experiments.studies import Study
from broadmamba.experiments.workshop import Results, Workshop, study_runs
from broadmamba.storage import csv_text, write_text


def make_table(study: Study, workshop: Workshop) -> list[Path]:
    """A page and, for each corpus, a CSV."""
    return _write_table(study, workshop, *study_runs(study, workshop))


def _write_table(
    study: Study, workshop: Workshop, facts: Mapping[str, CorpusFacts], results: Results, end: str = ""
) -> list[Path]:
    page = workshop.out / f"{study.name}.md"
    write_text(page, pages.study_page(study, results, facts) + end)
    written = [page]
    for corpus, rows in results.items():
        written.append(workshop.out / f"{study.name}-{corpus}.csv")
        write_text(written[-1], pages.study_csv(rows, facts[corpus].labels))
    return written


def make_bars(study: Study, workshop: Workshop) -> list[Path]:
    """A table, and a bar for each row."""
    facts, results = study_runs(study, workshop)
    written = _write_table(study, workshop, facts, results, pages.image(study))
    path = workshop.out / study.name
    with plots.figure(path, 4.2 * len(results), 3.4, len(results)) as axes:
        for ax, (corpus, rows) in zip(axes, results.items(), strict=True):
            found = [(r.row.name, r.spread(weighted_f1)) for r in rows]
            shown = {name: (spread.mean, spread.sd) for name, spread in found if spread}
            plots.bars(ax, list(shown), list(shown.values()), pages.corpus_name(corpus), "weighted F1 on test")
    return [*written, path.with_suffix(".png"), path.with_suffix(".svg")]


def make_losses(study: Study, workshop: Workshop) -> list[Path]:
    """A table, and the losses of train and dev by epoch."""
    facts, results = study_runs(study, workshop)
    written = _write_table(study, workshop, facts, results, pages.image(study))
    path = workshop.out / study.name
    lines: list[list[object]] = []
    with plots.figure(path, 4.2 * len(results), 3.2, len(results)) as axes:
        for ax, (corpus, rows) in zip(axes, results.items(), strict=True):
            shown: dict[str, list[list[float]]] = {}
            for result in rows:
                for split in ("train", "dev"):
                    runs = [[e["watched"][f"{split}_emotion"] for e in r["history"]] for r in result.records]
                    if runs:
                        shown[f"{split}, {result.row.name}"] = runs
                    for seed, run in zip(result.seeds, runs, strict=True):
                        lines += [[corpus, result.row.name, seed, split, i, round(v, 6)] for i, v in enumerate(run, 1)]
            plots.curves(ax, shown, pages.corpus_name(corpus), "epoch", "cross-entropy")
    table = path.with_suffix(".csv")
    write_text(table, csv_text(["corpus", "row", "seed", "split", "epoch", "cross_entropy"], lines))
    return [*written, table, path.with_suffix(".png"), path.with_suffix(".svg")]
