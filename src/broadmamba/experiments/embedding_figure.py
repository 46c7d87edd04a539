"""Fig. 7: the fused representation of test utterances, in two dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from broadmamba.data.corpus import Corpus
from broadmamba.errors import InputError
from broadmamba.experiments import pages, plots
from broadmamba.experiments.embedding import PERPLEXITY, SEED, embed
from broadmamba.experiments.jobs import Job, record_path, write_record
from broadmamba.experiments.records import EMBEDDING
from broadmamba.experiments.studies import Study
from broadmamba.experiments.workshop import Workshop
from broadmamba.schema import read_checked
from broadmamba.storage import csv_text, write_text


def make_embedding(study: Study, workshop: Workshop) -> list[Path]:
    """t-SNE of what our model reads of each corpus, its coordinates kept."""
    facts = workshop.facts(study)
    found: dict[str, Any] = {}
    for corpus, known in facts.items():
        ((_, config),) = workshop.configs(study, known)
        job = Job(corpus, config, workshop.seeds[0])
        path = record_path(workshop.out, corpus, f"tsne-{job.key(known)}")
        if not path.is_file():
            if corpus not in workshop.corpora:
                continue
            workshop.say(f"{corpus}: training, then t-SNE")
            write_record(path, embed(job, Corpus.open(workshop.corpora[corpus])))
        found[corpus] = read_checked(path, EMBEDDING)
    if not found:
        raise InputError(f"{workshop.out}: holds no coordinates yet; give a corpus with --corpus")
    path = workshop.out / study.name
    lines: list[list[object]] = []
    with plots.figure(path, 4.8 * len(found), 3.4, len(found)) as axes:
        for ax, (corpus, record) in zip(axes, found.items(), strict=True):
            points = list(zip(record["labels"], record["x"], record["y"], strict=True))
            clouds = {label: [(x, y) for name, x, y in points if name == label] for label in facts[corpus].labels}
            plots.scatter(ax, clouds, pages.corpus_name(corpus))
            lines += [[corpus, *point] for point in points]
    table, page = path.with_suffix(".csv"), path.with_suffix(".md")
    write_text(table, csv_text(["corpus", "label", "x", "y"], lines))
    silhouettes = [f"- {pages.corpus_name(c)}: silhouette {record['silhouette']:.3f}" for c, record in found.items()]
    about = (
        f"t-SNE with perplexity {PERPLEXITY}, seed {SEED}, seed {workshop.seeds[0]} of the training; `{table.name}`."
    )
    write_text(page, "\n".join([f"# {study.title}\n", study.note, about, "", *silhouettes, pages.image(study)]))
    return [page, table, path.with_suffix(".png"), path.with_suffix(".svg")]
