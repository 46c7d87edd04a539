"""A fine-tuned text encoder on disk: a folder of a few megabytes that goes with the encoder it began as.

`encoder.json` names that encoder by the SHA-256 of its weights and says how much of a conversation is read at once;
`adapter.safetensors` holds what was learnt (`lora.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broadmamba.errors import IncompatibleError, InputError
from broadmamba.features.text.encoder_files import KNOWN_ENCODERS, EncoderFiles, clean_name, load_encoder_files
from broadmamba.features.text.exported_folder import FORMAT as EXPORTED
from broadmamba.features.text.lora import merge
from broadmamba.features.text.passages import Reading
from broadmamba.storage import map_arrays, read_json, save_arrays, sha256, write_json

FORMAT = "broadmamba-text-encoder"
VERSION = 1
_SETTINGS = "encoder.json"
LEARNT = "adapter.safetensors"
_MOST_SETTINGS = 2**24  # bytes; a real one has some thousands


def is_tuned(source: str | Path) -> bool:
    """Whether this is the folder of a fine-tuned encoder."""
    return bool(str(source)) and os.path.isfile(Path(source) / _SETTINGS)  # noqa: PTH113 - pathlib's raises for long


def save_tuned(
    folder: Path,
    base: EncoderFiles,
    base_source: str,
    reading: Reading,
    learnt: Mapping[str, NDArray[np.float32]],
    provenance: Mapping[str, Any],
) -> None:
    """Write the folder; its settings come last, so that a folder that has them is whole.

    Args:
        folder: made where it does not exist.
        base: the encoder it began as.
        base_source: where that came from: a name, a folder or a Hugging Face id.
        reading: how conversations were read in training.
        learnt: of `lora.additions_to_arrays`.
        provenance: corpus, settings, seed and figures; only told, never read back.
    """
    save_arrays(folder / LEARNT, learnt)
    write_json(
        folder / _SETTINGS,
        {
            "format": FORMAT,
            "version": VERSION,
            "base": {"source": base_source, "sha256": base.sha256, "licence": base.licence},
            "reading": reading.to_dict(),
            "provenance": dict(provenance),
        },
    )


def read_provenance(folder: Path) -> dict[str, Any]:
    """How the encoder of a folder came about.

    Raises:
        InputError: the folder is damaged.
    """
    settings = read_json(folder / _SETTINGS, _MOST_SETTINGS)
    if not isinstance(settings, dict) or not isinstance(settings.get("provenance"), dict):
        raise InputError(f"{folder / _SETTINGS}: expected the settings of a fine-tuned encoder")
    found: dict[str, Any] = settings["provenance"]
    return found


def load_tuned(folder: str | Path, base: str | None = None) -> tuple[EncoderFiles, Reading]:
    """Load the encoder that a folder goes with, and add what was learnt.

    Args:
        folder: as `save_tuned` wrote it.
        base: where the encoder it began as is, if it cannot be found by itself.

    Returns:
        The encoder, its SHA-256 that of all that decides its values, and how it reads conversations.

    Raises:
        InputError: the folder is damaged or of another version.
        IncompatibleError: the encoder it began as was not found, or another one was given.
    """
    folder = Path(os.path.normpath(Path.cwd() / folder))
    try:
        settings = read_json(folder / _SETTINGS, _MOST_SETTINGS)
        if not isinstance(settings, dict) or (settings.get("format"), settings.get("version")) != (FORMAT, VERSION):
            exported = isinstance(settings, dict) and settings.get("format") == EXPORTED
            raise InputError(
                "it is an exported one, which predicts and is not trained on: take the one that it was made of"
                if exported
                else f"expected format {FORMAT!r} version {VERSION}"
            )
        reading = Reading.from_dict(settings["reading"])
        source, expected = settings["base"]["source"], settings["base"]["sha256"]
        if not isinstance(source, str) or not isinstance(expected, str):
            raise InputError("expected the source and SHA-256 of the encoder it began as")
        learnt = map_arrays(folder / LEARNT)
    except (InputError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: no whole fine-tuned text encoder ({error})") from None
    known = next((name for name, encoder in KNOWN_ENCODERS.items() if encoder.sha256 == expected), None)
    files = load_encoder_files(base or known or source, named_by_file=base is None)
    if files.sha256 != expected:
        earlier = ", of an earlier version, when an encoder was known by its weights alone; fine-tune it again"
        raise IncompatibleError(
            f"{folder}: began as an encoder with SHA-256 {expected[:12]}…, {base or source} has {files.sha256[:12]}…"
            f"{earlier if files.weights == expected else ''}"
        )
    try:
        merge(files.model, learnt)
    except InputError as error:
        raise InputError(f"{folder / LEARNT}: {error}") from None
    decisive = json.dumps([expected, reading.to_dict(), sha256(folder / LEARNT)], sort_keys=True)
    digest = hashlib.sha256(decisive.encode()).hexdigest()
    return replace(files, name=clean_name(folder.name), version="", sha256=digest), reading
