"""Unfinished training on disk: everything that the next step depends on, whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from broadmamba.errors import CheckpointError
from broadmamba.storage import atomic_write


def write_state(path: Path, content: Mapping[str, Any]) -> None:
    """Store tensors and plain values by name."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


@contextmanager
def stored_state(path: Path) -> Iterator[dict[str, Any]]:
    """What `write_state` stored, to be taken in while the block runs.

    Raises:
        CheckpointError: the file is damaged, or what is in it cannot be taken in.
    """
    try:
        yield torch.load(path, weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # torch.load and load_state_dict raise many kinds; each means the same here
        raise CheckpointError(
            f"{path}: this saved state cannot be read ({type(error).__name__}); remove it to start anew"
        ) from None
