"""From the name of a table or figure to its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from broadmamba.experiments.conversation_figure import make_conversation
from broadmamba.experiments.cost_table import make_costs
from broadmamba.experiments.embedding_figure import make_embedding
from broadmamba.experiments.length_figure import make_length
from broadmamba.experiments.search import make_search
from broadmamba.experiments.studies import Study, load_study
from broadmamba.experiments.tables import make_bars, make_losses, make_table
from broadmamba.experiments.workshop import Workshop

KINDS: dict[str, Callable[[Study, Workshop], list[Path]]] = {
    "table": make_table,
    "bars": make_bars,
    "losses": make_losses,
    "costs": make_costs,
    "embedding": make_embedding,
    "conversation": make_conversation,
    "length": make_length,
    "search": make_search,
}
"""Kind of a study → what makes it."""


def reproduce(name: str, workshop: Workshop) -> list[Path]:
    """Make one table or figure.

    Args:
        name: of the study.
        workshop: what it is made with.

    Returns:
        The files written, the page first.

    Raises:
        InputError: there is no such study, a corpus does not fit, or nothing was run yet.
    """
    study = load_study(name)
    return KINDS[study.kind](study, workshop)
