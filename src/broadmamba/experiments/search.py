"""The search for settings: every system is given the same trials on dev."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from broadmamba.experiments import pages
from broadmamba.experiments.facts import CorpusFacts
from broadmamba.experiments.jobs import Job
from broadmamba.experiments.pool import run_jobs
from broadmamba.experiments.results import Record
from broadmamba.experiments.settings import CorpusSettings, corpus_settings
from broadmamba.experiments.studies import Study
from broadmamba.experiments.workshop import Workshop, records_of
from broadmamba.storage import csv_text, write_text

Found = Mapping[str, Mapping[str, Record]]
"""System → trial → the record of its one run."""


def make_search(study: Study, workshop: Workshop) -> list[Path]:
    """What every trial of every system gave on dev, and which is the best; test is not looked at."""
    facts = workshop.facts(study)
    plans = {corpus: _plan(study, workshop, known) for corpus, known in facts.items()}
    if workshop.corpora:
        jobs = [job for plan in plans.values() for trials in plan.values() for job in trials.values()]
        run_jobs(jobs, workshop.corpora, facts, workshop.out, workers=workshop.workers, progress=workshop.progress)
    parts, lines = [f"# {study.title}\n", study.note], []
    for corpus, plan in plans.items():
        found = {
            system: {
                t: record for t, job in trials.items() for record in records_of([job], facts[corpus], workshop.out)
            }
            for system, trials in plan.items()
        }
        parts.append(_section(study, corpus, corpus_settings(corpus), found))
        for system, records in found.items():
            for trial, record in records.items():
                figure, seconds = record["dev"]["weighted_f1"], record["training_seconds"]
                lines.append([corpus, system, trial, record["seed"], round(figure, 6), round(seconds, 1)])
    page, table = (workshop.out / f"{study.name}.{ending}" for ending in ("md", "csv"))
    write_text(page, "\n".join(parts))
    write_text(table, csv_text(["corpus", "system", "trial", "seed", "dev_weighted_f1", "training_seconds"], lines))
    return [page, table]


def best_trial(records: Mapping[str, Record]) -> str:
    """The trial with the best weighted F1 on dev, the first of equals; empty if there is none."""
    return max(records, key=lambda trial: float(records[trial]["dev"]["weighted_f1"]), default="")


def _plan(study: Study, workshop: Workshop, facts: CorpusFacts) -> dict[str, dict[str, Job]]:
    """System → trial → job."""
    settings, seed = corpus_settings(facts.name), workshop.seeds[0]
    return {
        row.system: {
            trial: Job(facts.name, settings.trial(row.system, trial, workshop.features), seed)
            for trial in settings.tried(row.system)
        }
        for row in study.rows
        if not settings.lacking(row.system, facts.features)
    }


def _section(study: Study, corpus: str, settings: CorpusSettings, found: Found) -> str:
    """The part of the page on one corpus, with what to write into its settings."""
    rows, chosen = [], []
    for row in study.rows:
        records = found.get(row.system, {})
        if best := best_trial(records):
            chosen.append(f'{row.system} = "{best}"')
        seconds = sum(float(record["training_seconds"]) for record in records.values())
        rows.append([row.name, *(_cell(records.get(t), t == best) for t in settings.trials), f"{seconds:.0f}"])
    start = ", ".join(f"{name} = {value}" for name, value in settings.start.items())
    trials = "\n".join(f"- `{name}`: {_words(change)}" for name, change in settings.trials.items())
    table = pages.markdown_table(["", *settings.trials, "seconds of training"], rows)
    settled = "\n".join(chosen)
    return (
        f"## {pages.corpus_name(corpus)}\n\nStart: {start}.\n\n{trials}\n\nWeighted F1 on dev, in %:\n\n{table}\n"
        f"```toml\n[chosen]\n{settled}\n```\n"
    )


def _cell(record: Record | None, best: bool) -> str:
    if record is None:
        return "–"
    figure = f"{100 * record['dev']['weighted_f1']:.2f}"
    return f"**{figure}**" if best else figure


def _words(change: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in change.items()) or "nothing is changed"
