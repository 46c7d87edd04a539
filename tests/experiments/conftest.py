"""A small corpus on disk, and the records of a few quick runs on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from broadmamba.data.corpus import Corpus
from broadmamba.experiments.facts import CorpusFacts
from corpora import make_corpus


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpora") / "tiny"
    make_corpus(5, repeated=0.3, unlabelled=0.1, noise=2.5, sizes={"train": 14, "dev": 6, "test": 9}).save(path)
    return path


@pytest.fixture(scope="session")
def corpus(folder: Path) -> Corpus:
    return Corpus.open(folder)


@pytest.fixture(scope="session")
def facts(corpus: Corpus) -> CorpusFacts:
    return CorpusFacts.of("tiny", corpus, ["test-3"])
