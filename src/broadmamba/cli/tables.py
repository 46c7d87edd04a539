"""Tables and progress bars that several commands show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from broadmamba.cli.printing import console, say

if TYPE_CHECKING:
    from broadmamba.training.fit import Epoch

_FIGURES = {
    "weighted_f1": "weighted F1",
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "uar": "UAR",
    "ece": "calibration error",
}
_BEFORE = "… before calibration"


@contextmanager
def training_progress(seeds: int, epochs: int) -> Iterator[Callable[[int, Epoch], None]]:
    """A bar on standard error that moves with each epoch; a line for each tenth epoch where there is no terminal."""
    screen = console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("Training", total=seeds * epochs)
        begun: list[int] = []

        def on_epoch(seed: int, epoch: Epoch) -> None:
            if seed not in begun:
                begun.append(seed)
            dev = f"seed {seed}, epoch {epoch.epoch}: dev W-F1 {100 * epoch.dev['weighted_f1']:.1f}"
            bar.update(task, completed=(len(begun) - 1) * epochs + epoch.epoch, description=dev)
            if not screen.is_terminal and epoch.epoch % 10 == 0:
                say(dev)

        yield on_epoch


def figures_table(summary: Mapping[str, Any]) -> Table:
    """Mean ± standard deviation over seeds, for dev and test; of one seed there is no deviation."""
    count = len(summary["seeds"])
    table = Table(title=f"{count} seed{'s' if count != 1 else ''}, each selected on dev (in %)")
    splits = [split for split in ("dev", "test") if split in summary]
    table.add_column("")
    for split in splits:
        table.add_column(split, justify="right")
    for key, title in _FIGURES.items():
        table.add_row(title, *(_spread(summary[split][key]) for split in splits))
    table.add_row(_BEFORE, *(_spread(summary[split]["ece_before_calibration"]) for split in splits))
    table.add_section()
    for name in summary[splits[0]]["f1"]:
        table.add_row(f"F1 {name}", *(_spread(summary[split]["f1"][name]) for split in splits))
    if "subsets" in summary[splits[0]]:
        table.add_section()
        for name in summary[splits[0]]["subsets"]:
            figures = (summary[split]["subsets"][name]["weighted_f1"] for split in splits)
            table.add_row(f"weighted F1 with {name}", *map(_spread, figures))
    return table


def subsets_table(subsets: Mapping[str, Mapping[str, float]]) -> Table:
    """A row a subset of modalities, with its figures."""
    table = Table(title="With some of the modalities (in %)")
    table.add_column("given")
    figures = [key for key in _FIGURES if key in next(iter(subsets.values()))]
    for key in figures:
        table.add_column(_FIGURES[key], justify="right")
    for name, values in subsets.items():
        table.add_row(name, *(f"{100 * values[key]:.1f}" for key in figures))
    return table


def report_tables(report: Mapping[str, Any]) -> list[Table]:
    """Figures of one split, beside those without repeated texts; and the confusion matrix."""
    rest = report.get("without_repeats")
    figures = Table(title=f"{report['utterances']} utterances (in %)")
    figures.add_column("")
    figures.add_column("all", justify="right")
    if rest:
        figures.add_column(f"{rest['utterances']} whose text is not in train", justify="right")
    columns = [report, rest] if rest else [report]
    for key, title in _FIGURES.items():
        figures.add_row(title, *(f"{100 * column[key]:.1f}" for column in columns))
    figures.add_row(_BEFORE, f"{100 * report['ece_before_calibration']:.1f}", *(["–"] if rest else []))
    figures.add_section()
    for number, name in enumerate(report["f1"]):
        figures.add_row(f"F1 {name}", *(_f1_of(column, number, name) for column in columns))
    confusion = Table(title="Confusion: rows are the labels, columns the predictions")
    confusion.add_column("")
    for name in report["f1"]:
        confusion.add_column(name, justify="right")
    for name, row in zip(report["f1"], report["confusion"], strict=True):
        confusion.add_row(name, *map(str, row))
    return [figures, confusion]


def _f1_of(report: Mapping[str, Any], number: int, name: str) -> str:
    """The F1 of a label; none where no utterance has it."""
    return f"{100 * report['f1'][name]:.1f}" if any(report["confusion"][number]) else "–"


def comparison_table(result: Mapping[str, Any]) -> Table:
    """A row a run, with what tells it apart from the first."""
    first, *others = result["runs"]
    adjusted = ", Holm" if len(others) > 1 else ""
    table = Table(title=f"Weighted F1 on {result['utterances']} test utterances (in %)")
    table.add_column("run", overflow="fold")
    headings = ("seeds", "mean ± sd", "difference", "95 % interval", f"p, dialogues{adjusted}", f"p, seeds{adjusted}")
    for heading in (*headings, "effect size"):
        table.add_column(heading, justify="right")
    for row in (first, *others):
        cells = [row["run"], str(len(row["seeds"])), _spread(row)]
        if found := row.get("comparison"):
            over_seeds = found["seeds"] or {}
            effect = over_seeds.get("effect")
            cells += [
                f"{100 * found['difference']:+.2f}",
                f"{100 * found['low']:+.2f} to {100 * found['high']:+.2f}",
                _p(found["p_holm"]),
                _p(over_seeds.get("p_holm")),
                "–" if effect is None else f"{effect:+.2f}",
            ]
        table.add_row(*cells)
    return table


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _spread(figure: Mapping[str, Any]) -> str:
    spread = "" if figure["sd"] is None else f" ± {100 * figure['sd']:.2f}"
    return f"{100 * figure['mean']:.2f}{spread}"
