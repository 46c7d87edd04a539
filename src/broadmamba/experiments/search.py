"""The search for settings: every system is given the same trials on dev."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from broadmamba.experiments import pages
from broadmamba.experiments.jobs import Job
from broadmamba.experiments.pool import run_jobs
from broadmamba.experiments.settings import corpus_settings
from broadmamba.experiments.studies import Study
from broadmamba.experiments.workshop import Workshop, records_of
from broadmamba.storage import csv_text, write_text


def make_search(study: Study, workshop: Workshop) -> list[Path]:
    """What every trial of every system gave on dev, and which is the best; test is not looked at."""
    facts = workshop.facts(study)
    seed = workshop.seeds[0]
    parts = [f"# {study.title}\n", study.note]
    jobs: dict[tuple[str, str, str], Job] = {}
    for corpus in facts:
        settings = corpus_settings(corpus)
        for row in study.rows:
            for trial in settings.tried(row.system):
                jobs[corpus, row.system, trial] = Job(
                    corpus, settings.trial(row.system, trial, workshop.features), seed
                )
    if workshop.corpora:
        run_jobs(
            list(jobs.values()),
            workshop.corpora,
            facts,
            workshop.out,
            workers=workshop.workers,
            progress=workshop.progress,
        )
    lines: list[list[object]] = []
    for corpus, known in facts.items():
        settings = corpus_settings(corpus)
        rows, chosen = [], []
        for row in study.rows:
            dev: dict[str, float] = {}
            seconds = 0.0
            for trial in settings.tried(row.system):
                for record in records_of([jobs[corpus, row.system, trial]], known, workshop.out):
                    dev[trial] = float(record["dev"]["weighted_f1"])
                    seconds += record["training_seconds"]
                    lines.append([corpus, row.system, trial, seed, round(dev[trial], 6), record["training_seconds"]])
            best = max(dev, key=lambda name: dev[name]) if dev else ""
            if best:
                chosen.append(f'{row.system} = "{best}"')
            cells = [
                f"**{100 * dev[t]:.2f}**" if t == best else f"{100 * dev[t]:.2f}" if t in dev else "–"
                for t in settings.trials
            ]
            rows.append([row.name, *cells, f"{seconds:.0f}"])
        trials = [f"- `{name}`: {_words(change)}" for name, change in settings.trials.items()]
        starts = ", ".join(f"{k} = {v}" for k, v in settings.start.items())
        parts += [
            f"## {pages.corpus_name(corpus)}\n",
            f"Start: {starts}.\n",
            *trials,
            "",
            "Weighted F1 on dev, in %:\n",
        ]
        parts += [pages.markdown_table(["", *settings.trials, "seconds of training"], rows)]
        parts += ["```toml", "[chosen]", *chosen, "```\n"]
    page, table = (workshop.out / f"{study.name}.{ending}" for ending in ("md", "csv"))
    write_text(page, "\n".join(parts))
    write_text(table, csv_text(["corpus", "system", "trial", "seed", "dev_weighted_f1", "training_seconds"], lines))
    return [page, table]


def _words(change: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in change.items()) or "nothing is changed"
