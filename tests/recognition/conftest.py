"""Fixtures of the tests of recognition."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora import make_text_model


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of a tiny text encoder and of a model trained on its feature."""
    return make_text_model(tmp_path_factory.mktemp("text_model"))
