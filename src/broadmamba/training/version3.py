"""Model folders of version 3, which need torch: read once, to be written as bundles."""

from __future__ import annotations

from pathlib import Path

from broadmamba.bundle.folder import VERSION_3, WEIGHTS, damaged, split_arrays
from broadmamba.bundle.manifest import MOST_MANIFEST_BYTES, checked_manifest
from broadmamba.errors import BroadMambaError, InputError
from broadmamba.storage import map_arrays, read_json
from broadmamba.training.checkpoint import Checkpoint

_FORMAT = ("broadmamba-model", 3)


def load_version_3(path: Path) -> Checkpoint:
    """Read an older model folder.

    Raises:
        CheckpointError: it is damaged, or of another version still.
    """
    try:
        values = read_json(path / VERSION_3, MOST_MANIFEST_BYTES)
        found = (values.pop("format", None), values.pop("version", None)) if isinstance(values, dict) else None
        if found != _FORMAT:
            raise InputError(f"expected a model of version 3, found {found!r:.80}")
        manifest = checked_manifest(values)
        weights, normalisers = split_arrays(manifest, map_arrays(path / WEIGHTS))
        return Checkpoint.of(manifest, weights, normalisers, {})
    except (BroadMambaError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise damaged(path, error) from None
