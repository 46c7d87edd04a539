"""Requirements on numbers, each with the sentence that says what is broken."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
"""How far two results may differ, relative to the largest number of the two."""


def require(holds: bool, sentence: str) -> None:
    """Raise an AssertionError with this sentence unless it holds; unlike `assert`, under `python -O` too."""
    if not holds:
        raise AssertionError(sentence)


def require_close(found: Tensor, expected: Tensor, sentence: str) -> None:
    """Both must be the same but for rounding."""
    size = max(float(found.abs().max()), float(expected.abs().max()), torch.finfo(found.dtype).tiny)
    difference = float((found - expected).abs().max()) / size
    limit = TOLERANCE[found.dtype]
    # Written so that NaN fails.
    require(difference <= limit, f"{sentence}, found a relative difference of {difference:.1e} (at most {limit:.0e})")


def require_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], sentence: str) -> None:
    """All of the expected outputs must be found but for rounding."""
    for name, value in expected.items():
        require_close(found[name], value, f"{sentence} ({name})")
