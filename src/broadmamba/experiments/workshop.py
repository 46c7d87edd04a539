"""What studies are made with: corpora or their facts, settings, and the records of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.evaluation.leaks import refuse_leaks
from broadmamba.experiments.facts import CorpusFacts
from broadmamba.experiments.jobs import Job, Progress, record_path
from broadmamba.experiments.pool import run_jobs
from broadmamba.experiments.records import read_run
from broadmamba.experiments.results import RowResults
from broadmamba.experiments.settings import corpus_settings
from broadmamba.experiments.studies import Row, Study, load_study, studies
from broadmamba.locks import remove_leftovers
from broadmamba.training.config import TrainingConfig
from broadmamba.training.options import changed

Results = Mapping[str, Sequence[RowResults]]
"""Corpus → the rows of a study, each with its records."""


@dataclass(frozen=True)
class Workshop:
    """What studies are made with.

    Attributes:
        out: folder of records, facts and what is made of them.
        corpora: corpus → folder; what has none is made from records alone.
        seeds: declared beforehand.
        workers: processes at once.
        features: modality → features in place of those that the settings name; empty for those.
        progress: told after each run.
        say: told what is at work otherwise.
    """

    out: Path
    corpora: Mapping[str, Path]
    seeds: Sequence[int]
    workers: int
    progress: Progress
    say: Callable[[str], object]
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _seen: dict[str, CorpusFacts] = field(default_factory=dict)

    def facts(self, study: Study) -> dict[str, CorpusFacts]:
        """Facts of the corpora that a study is made for: the given ones, or where none is given, those with records.

        A study is made for the corpora that it names, and for any that no study knows by name.

        Raises:
            InputError: a corpus leaks, or none is left.
        """
        folder = self.out / "corpora"
        for leftover in (self.out, folder):
            remove_leftovers(leftover)
        found = {}
        for name in self.corpora or sorted(path.stem for path in folder.glob("*.json")):
            if name in study.corpora or name not in _known_corpora():
                found[name] = self._measured(name, folder) if self.corpora else CorpusFacts.read(folder, name)
        if not found and self.corpora:
            raise InputError(f"{study.name} is made for {', '.join(study.corpora)}, found {', '.join(self.corpora)}")
        if not found:
            example = study.corpora[0]
            raise InputError(f"{self.out}: holds no runs yet; give a corpus, such as --corpus {example}=FOLDER")
        return found

    def _measured(self, name: str, folder: Path) -> CorpusFacts:
        if name not in self._seen:
            corpus = Corpus.open(self.corpora[name])
            refuse_leaks(corpus)
            excerpts = [study.conversation for study in map(load_study, studies()) if study.conversation]
            self._seen[name] = CorpusFacts.of(name, corpus, excerpts)
            self._seen[name].write(folder)
        return self._seen[name]

    def configs(self, study: Study, facts: CorpusFacts) -> list[tuple[Row, TrainingConfig]]:
        """Each row with its settings on a corpus.

        A row of modalities that the corpus has not is left out, and so is one of a system that reads a feature of its
        own which the corpus lacks.
        """
        settings = corpus_settings(facts.name)
        found = []
        for row in study.rows:
            if lacking := settings.lacking(row.system, facts.features):
                self.say(f"{facts.name}: {row.name} is left out, it reads {lacking[0]}, which the corpus lacks")
                continue
            config = changed(settings.config(row.system, self.features), row.set)
            names = dict(config.features) or _all_features(facts)
            if not set(row.modalities) <= set(names):
                continue
            if row.modalities:
                config = changed(config, {"features": {m: names[m] for m in names if m in row.modalities}})
            found.append((row, config))
        return found


def _known_corpora() -> set[str]:
    """Names of corpora that a study is of."""
    return {name for study in map(load_study, studies()) for name in study.corpora}


def _all_features(facts: CorpusFacts) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, modality in facts.modalities.items():
        found[modality] = (*found.get(modality, ()), name)
    return found


def _run(study: Study, workshop: Workshop, facts: Mapping[str, CorpusFacts]) -> Results:
    """Run what is missing where corpora are given, and read all records that there are."""
    plan: dict[str, list[tuple[Row, list[Job]]]] = {
        corpus: [
            (row, [Job(corpus, config, seed, study.losses) for seed in workshop.seeds[: row.seeds]])
            for row, config in workshop.configs(study, known)
        ]
        for corpus, known in facts.items()
    }
    if workshop.corpora:
        jobs = [job for rows in plan.values() for _, some in rows for job in some]
        run_jobs(jobs, workshop.corpora, facts, workshop.out, workers=workshop.workers, progress=workshop.progress)
    return {
        corpus: [RowResults(row, records_of(jobs, facts[corpus], workshop.out)) for row, jobs in rows]
        for corpus, rows in plan.items()
    }


def records_of(jobs: Sequence[Job], facts: CorpusFacts, out: Path) -> list[dict[str, Any]]:
    """The records that there are of some jobs on a corpus."""
    paths = [record_path(out, job.corpus, job.key(facts)) for job in jobs]
    return [read_run(path, facts.labels, len(facts.support)) for path in paths if path.is_file()]


def study_runs(study: Study, workshop: Workshop) -> tuple[dict[str, CorpusFacts], Results]:
    """Facts of the corpora, and all records of a study; what is missing is run first where corpora are given.

    Raises:
        InputError: there is no record at all, or see `Workshop.facts`.
    """
    facts = workshop.facts(study)
    results = {corpus: rows for corpus, rows in _run(study, workshop, facts).items() if any(r.records for r in rows)}
    if not results:
        raise InputError(f"{workshop.out}: holds no run of {study.name} yet; give a corpus with --corpus NAME=FOLDER")
    return facts, results
