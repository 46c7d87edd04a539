"""Figures that a paper could print: vector text, and told apart in grey as well."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from broadmamba.errors import InputError
from broadmamba.storage import atomic_write

HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "+++", "ooo", "|||", "**")
LINES = ("-", "--", "-.", ":", (0, (3, 1, 1, 1)), (0, (5, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
COLOURS = ("#1b4f72", "#d68910", "#7d3c98", "#1e8449", "#922b21", "#5d6d7e", "#b7950b")
"""Of different brightness, so that they differ in grey."""


@contextmanager
def figure(path: Path, width: float, height: float, columns: int = 1) -> Iterator[list[Any]]:
    """Axes to draw on, side by side; PNG and SVG are written when the block ends.

    Args:
        path: of the files, without ending.
        width: in inches.
        height: in inches.
        columns: how many axes.

    Raises:
        InputError: matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError:
        raise InputError("figures need matplotlib: pip install 'broadmamba[studies]'") from None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings = {"svg.fonttype": "none", "svg.hashsalt": "broadmamba", "font.size": 9, "hatch.linewidth": 0.6}
    with matplotlib.rc_context(settings):
        drawing = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawing)
        axes = drawing.subplots(1, columns, squeeze=False)[0]
        for ax in axes:
            ax.spines[["top", "right"]].set_visible(False)
        yield list(axes)
        for ending, options in (("png", {"dpi": 150}), ("svg", {"metadata": {"Date": None}})):
            buffer = io.BytesIO()
            drawing.savefig(buffer, format=ending, **options)
            with atomic_write(path.with_suffix(f".{ending}")) as file:
                file.write(buffer.getbuffer())


def bars(ax: Any, names: Sequence[str], values: Sequence[tuple[float, float]], title: str, label: str) -> None:
    """A bar for each name, with its standard deviation; the axis begins where differences can be seen, and says so."""
    means, deviations = ([100 * pair[i] for pair in values] for i in (0, 1))
    drawn = ax.bar(names, means, yerr=deviations, capsize=3, color="#d5d8dc", edgecolor="black", linewidth=0.8)
    for bar, hatch in zip(drawn, HATCHES, strict=False):
        bar.set_hatch(hatch)
    lowest = min(mean - deviation for mean, deviation in zip(means, deviations, strict=True))
    ax.set_ylim(bottom=max(0.0, 5 * ((lowest - 2) // 5)))
    ax.set_title(title)
    ax.set_ylabel(f"{label} (axis begins at {ax.get_ylim()[0]:g})")
    ax.tick_params(axis="x", rotation=45)
    for tick in ax.get_xticklabels():
        tick.set_ha("right")


def curves(ax: Any, lines: Mapping[str, Sequence[Sequence[float]]], title: str, xlabel: str, ylabel: str) -> None:
    """A curve for each name: mean over seeds by position, and a band of one standard deviation."""
    import numpy as np

    for number, (name, runs) in enumerate(lines.items()):
        length = min(len(run) for run in runs)
        values = np.array([run[:length] for run in runs])
        x, mean, sd = np.arange(1, length + 1), values.mean(0), values.std(0)
        colour = COLOURS[number % len(COLOURS)]
        ax.plot(x, mean, linestyle=LINES[number % len(LINES)], color=colour, label=name)
        ax.fill_between(x, mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.legend(frameon=False, fontsize=8)


def scatter(ax: Any, points: Mapping[str, Sequence[tuple[float, float]]], title: str) -> None:
    """A cloud of points for each name, each with a marker of its own."""
    for number, (name, places) in enumerate(points.items()):
        x, y = zip(*places, strict=True) if places else ((), ())
        marker, colour = MARKERS[number % len(MARKERS)], COLOURS[number % len(COLOURS)]
        ax.scatter(x, y, s=9, marker=marker, color=colour, alpha=0.7, linewidths=0, label=name)
    ax.set(title=title, xticks=[], yticks=[])
    ax.legend(frameon=False, fontsize=7, markerscale=1.8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def points_with_bars(
    ax: Any, groups: Sequence[str], lines: Mapping[str, Sequence[tuple[float, float] | None]], title: str, ylabel: str
) -> None:
    """For each name a line over groups, with standard deviations; None leaves a gap."""
    for number, (name, values) in enumerate(lines.items()):
        here = [(i, *value) for i, value in enumerate(values) if value is not None]
        if not here:
            continue
        x, mean, sd = zip(*here, strict=True)
        style = {"linestyle": LINES[number % len(LINES)], "marker": MARKERS[number % len(MARKERS)], "capsize": 2}
        percents = ([100 * v for v in part] for part in (mean, sd))
        means, deviations = percents
        ax.errorbar(x, means, yerr=deviations, color=COLOURS[number % len(COLOURS)], label=name, markersize=4, **style)
    ax.set(title=title, ylabel=ylabel, xlabel="utterances of the conversation")
    ax.set_xticks(range(len(groups)), groups)
    ax.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def grid(ax: Any, header: Sequence[str], rows: Sequence[Sequence[str]], wrong: Sequence[Sequence[bool]]) -> None:
    """A table as a figure; wrong cells are grey and in italics."""
    ax.set_axis_off()
    table = ax.table(cellText=[list(row) for row in rows], colLabels=list(header), loc="center", cellLoc="center")
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    table.scale(1, 1.5)
    for (row, column), cell in table.get_celld().items():
        cell.set_linewidth(0.5)
        if row == 0:
            cell.set_text_props(weight="bold")
        elif wrong[row - 1][column]:
            cell.set_facecolor("#d5d8dc")
            cell.set_text_props(style="italic")
