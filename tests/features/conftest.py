"""Fixtures of the tests of features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_encoders import build_encoder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny encoder of a kind, made once."""
    folder = tmp_path_factory.mktemp("encoders")
    return lambda kind: folder / kind if (folder / kind).exists() else build_encoder(kind, folder / kind)
