"""Results as Markdown for people and as CSV with every seed for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from broadmamba.experiments.facts import CorpusFacts
from broadmamba.experiments.results import (
    Comparison,
    RowResults,
    Spread,
    best_by_test,
    class_f1,
    compare_with,
    weighted_f1,
    without_repeats,
)
from broadmamba.experiments.studies import Study
from broadmamba.storage import csv_text

NAMES = {"iemocap": "IEMOCAP", "meld": "MELD", "mosi": "CMU-MOSI"}
"""Corpora as the literature writes them."""

PUBLISHED = "As published, with other features and another selection; not comparable with the table above"


def corpus_name(name: str) -> str:
    """A corpus as the literature writes it."""
    return NAMES.get(name, name)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first column is text, the others are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def percent(spread: Spread | None) -> str:
    """`mean ± sd` in %."""
    if spread is None:
        return "–"
    return f"{100 * spread.mean:.2f}" + (f" ± {100 * spread.sd:.2f}" if spread.count > 1 else "")


def millions(count: float | None) -> str:
    """A number of parameters."""
    return "–" if count is None else f"{count / 1e6:.2f} M"


def probability(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def image(study: Study) -> str:
    """The figure of a study, for its page."""
    return f"\n![{study.title}]({study.name}.png)\n"


def study_page(study: Study, results: Mapping[str, Sequence[RowResults]], facts: Mapping[str, CorpusFacts]) -> str:
    """The page of a study of runs: for each corpus what was measured here and, apart from it, what the paper prints."""
    parts = [f"# {study.title}\n"]
    if study.note:
        parts.append(study.note.strip() + "\n")
    for corpus, rows in results.items():
        parts.append(f"## {corpus_name(corpus)}\n")
        parts.append(_measured(study, rows, facts[corpus]))
        if published := _published(corpus, rows, facts[corpus].labels):
            parts.append(f"{PUBLISHED}:\n")
            parts.append(published)
    parts.append(_LEGEND)
    return "\n".join(parts)


_LEGEND = """\
In %, mean ± standard deviation over seeds (the column says how many), each selected on dev. W-F1: weighted F1 on test.
By test: the same runs had the epoch been selected on test, which is not comparable and only shows how much that would
give. No repeats: W-F1 without the test utterances whose text stands verbatim in train. Difference, its 95 % interval
and the first p: paired bootstrap over conversations; the second p: paired t-test over the shared seeds; both after
Holm over the rows.
"""


def _measured(study: Study, rows: Sequence[RowResults], facts: CorpusFacts) -> str:
    reference = next((r for r in rows if r.row.name == study.reference and r.records), None)
    comparisons = compare_with(reference, rows, facts) if reference else {}
    header = ["", "seeds", "parameters", *(f"F1 {label}" for label in facts.labels)]
    header += ["accuracy", "W-F1", "by test", "no repeats"]
    if reference:
        header += [f"difference from {reference.row.name}", "95 %", "p, conversations", "p, seeds"]
    lines = []
    for result in rows:
        by_class = [percent(result.spread(class_f1(label))) for label in facts.labels]
        parameters = result.records[0]["parameters"] if result.records else None
        cells = [result.row.name, str(len(result.records)), millions(parameters), *by_class]
        cells += [percent(result.spread(lambda r: float(r["test"]["accuracy"])))]
        cells += [percent(result.spread(f)) for f in (weighted_f1, best_by_test, without_repeats)]
        if reference:
            cells += _compared(comparisons.get(result.row.name))
        lines.append(cells)
    return markdown_table(header, lines)


def _compared(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return ["–"] * 4
    found = comparison.conversations
    interval = f"{100 * found.low:+.2f} to {100 * found.high:+.2f}"
    p = [probability(value) for value in (comparison.p_conversations, comparison.p_seeds)]
    return [f"{100 * found.difference:+.2f}", interval, *p]


def _published(corpus: str, rows: Sequence[RowResults], labels: Sequence[str]) -> str:
    """What the paper prints for these rows, or nothing."""
    found = {result.row.name: result.row.paper.get(corpus, {}) for result in rows}
    order = ["parameters", *labels, "weighted_accuracy", "weighted_f1"]
    extra = sorted({figure for values in found.values() for figure in values} - set(order))
    figures = [figure for figure in [*order, *extra] if any(figure in values for values in found.values())]
    if not figures:
        return ""
    titles = {"weighted_f1": "W-F1", "weighted_accuracy": "W-Acc"}
    lines = [[name, *(_cell(f, values.get(f)) for f in figures)] for name, values in found.items() if values]
    return markdown_table(["", *(titles.get(figure, figure) for figure in figures)], lines)


def _cell(figure: str, value: Any) -> str:
    if value is None:
        return "–"
    return millions(value) if figure == "parameters" else f"{value}"


def study_csv(rows: Sequence[RowResults], labels: Sequence[str]) -> str:
    """Every seed of every row on one corpus."""
    header = ["row", "system", "seed", "epoch", "parameters", "training_seconds", "dev_weighted_f1"]
    header += ["test_weighted_f1", "test_accuracy", "test_macro_f1", "test_uar", "test_ece"]
    header += [f"test_f1_{label}" for label in labels]
    header += ["test_weighted_f1_without_repeats", "test_weighted_f1_best_epoch_by_test"]
    lines: list[list[object]] = []
    for result in rows:
        for r in result.records:
            test = r["test"]
            line = [
                result.row.name,
                r["system"],
                r["seed"],
                r["epoch"],
                r["parameters"],
                round(r["training_seconds"], 2),
            ]
            line += [r["dev"]["weighted_f1"]]
            line += [test[figure] for figure in ("weighted_f1", "accuracy", "macro_f1", "uar", "ece")]
            line += [*(test["f1"][label] for label in labels), without_repeats(r), best_by_test(r)]
            lines.append([round(cell, 6) if isinstance(cell, float) else cell for cell in line])
    return csv_text(header, lines)
