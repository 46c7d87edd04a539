"""Table 2: what a pass costs, from one interleaved run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from broadmamba.experiments import pages
from broadmamba.experiments.costs import measure_costs, middle
from broadmamba.experiments.jobs import Job, record_path, write_record
from broadmamba.experiments.records import COSTS
from broadmamba.experiments.studies import Study
from broadmamba.experiments.workshop import Workshop
from broadmamba.schema import read_checked
from broadmamba.storage import csv_text, write_text


def make_costs(study: Study, workshop: Workshop) -> list[Path]:
    """A page and a CSV of what systems cost; measured again only where settings or the corpus are others."""
    facts = workshop.facts(study)
    parts = [f"# {study.title}\n", study.note]
    lines: list[list[object]] = []
    for corpus, known in facts.items():
        configs = {row.name: config for row, config in workshop.configs(study, known)}
        keys = json.dumps([Job(corpus, config, 0).key(known) for config in configs.values()])
        path = record_path(workshop.out, corpus, "costs-" + hashlib.sha256(keys.encode()).hexdigest()[:16])
        if not path.is_file():
            if corpus not in workshop.corpora:
                continue
            write_record(path, measure_costs(workshop.corpora[corpus], configs, workshop.say))
        record = read_checked(path, COSTS)
        parts.append(_cost_table(study, corpus, record))
        for name, row in record["rows"].items():
            for what in ("pass_seconds", "epoch_seconds"):
                lines += [[corpus, name, what, number, round(value, 5)] for number, value in enumerate(row[what])]
    page, table = (workshop.out / f"{study.name}.{ending}" for ending in ("md", "csv"))
    write_text(page, "\n".join(parts))
    write_text(table, csv_text(["corpus", "row", "what", "round", "seconds"], lines))
    return [page, table]


def _cost_table(study: Study, corpus: str, record: Mapping[str, Any]) -> str:
    ours = record["rows"][study.reference]
    header = ["", "parameters", "operations, G", "G a conversation", "pass, s", "× ours", "peak memory, MiB"]
    header += ["epoch, s", "training, s", "paper: G", "paper: s"]
    rows = []
    for row in study.rows:
        found = record["rows"][row.name]
        seconds, epoch, printed = (
            middle(found["pass_seconds"]),
            middle(found["epoch_seconds"]),
            row.paper.get(corpus, {}),
        )
        memory = found["peak_memory"]
        rows.append(
            [
                row.name,
                pages.millions(found["parameters"]),
                f"{found['flops'] / 1e9:.2f}",
                f"{found['flops'] / 1e9 / record['conversations']:.4f}",
                f"{seconds:.3f}",
                f"{seconds / middle(ours['pass_seconds']):.1f}",
                "–" if memory is None else f"{memory / 2**20:.0f}",
                f"{epoch:.2f}",
                f"{epoch * found['epochs']:.0f}",
                *(str(printed.get(figure, "–")) for figure in ("gigaflops", "seconds")),
            ]
        )
    machine = record["environment"]
    where = f"{machine['platform']}, {machine['threads']} threads, torch {machine['torch']}"
    return f"## {pages.corpus_name(corpus)}\n\n{where}; medians over rounds.\n\n" + pages.markdown_table(header, rows)
