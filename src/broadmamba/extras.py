"""The optional parts of an installation, and what is said where one is missing."""

from __future__ import annotations

from broadmamba.errors import MissingExtraError

EXTRAS = {
    "recording": "recordings: decoding, speech to text, who spoke when, faces",
    "praat": "the audio feature prosody (its package is under the GPL-3)",
    "opensmile": "the audio features is10, egemaps and compare (for research only)",
    "hub": "models of the Hugging Face hub by owner/name",
    "train": "training, export, text encoders of your own",
    "studies": "the tables and figures of the paper",
}
"""Extra of the package → what it is for."""

_EXTRA_OF = {
    "torch": "train",
    "transformers": "train",
    "onnx": "train",
    "onnxscript": "train",
    "matplotlib": "studies",
    "sklearn": "studies",
}
"""Module → the extra that brings it, where whole parts of broadmamba are made with it."""


def missing_extra(what: str, error: ModuleNotFoundError) -> MissingExtraError | None:
    """The error to raise for a module that is not installed; None where no extra would bring it.

    Args:
        what: needs the module, such as a command.
        error: tells which module it is.
    """
    module = (error.name or "").partition(".")[0]
    if module not in _EXTRA_OF:
        return None
    return MissingExtraError(f"{what} needs {module}: pip install 'broadmamba[{_EXTRA_OF[module]}]'")
