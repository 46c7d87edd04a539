"""A model whose files somebody may not read is refused in a sentence that says so."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broadmamba.bundle.folder import Bundle
from broadmamba.errors import CheckpointError
from bundle.small import write_bundle, write_encoder

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A bundle where every user can come."""
    place = Path(tempfile.mkdtemp(prefix="broadmamba-test-"))
    place.chmod(0o755)
    write_bundle(place / "model", write_encoder(place / "encoder"))
    yield place / "model"
    for there in (place, *place.rglob("*")):
        there.chmod(0o755)
    shutil.rmtree(place)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Whom permissions bind, unlike the administrator."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def read(folder: Path) -> None:
    bundle = Bundle.load(folder)
    bundle.graph(), bundle.ridge(), bundle.text_encoder("tiny")


@pytest.mark.skipif(os.name != "posix", reason="needs the permissions of POSIX")
@pytest.mark.parametrize(
    "name",
    [
        "",
        "manifest.json",
        "model.safetensors",
        "graph.onnx",
        "ridge.safetensors",
        "text",
        "text/tiny",
        "text/tiny/tokenizer.json",
    ],
)
def test_what_may_not_be_read_is_told(folder: Path, name: str) -> None:
    read(folder)
    (folder / name).chmod(0)
    with ordinary_user(), pytest.raises(CheckpointError, match=r"cannot be read \(Permission denied\)$") as caught:
        read(folder)
    assert str(folder) in str(caught.value)
