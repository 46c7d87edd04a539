"""What a shell offers for a value when Tab is pressed: names that are known without importing anything slow.

Where none of them begins as what was typed, the shell offers files.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

FORMATS = ("table", "jsonl", "csv", "vtt", "eaf", "textgrid", "html")
CORPUS_FORMATS = ("meld", "table", "pickle")
ENCODERS = ("minilm", "mpnet")
POOLINGS = ("mean", "cls", "max", "layers", "all", "tokens")
AUDIO = ("prosody", "logmel", "egemaps", "is10", "compare")
VIDEO = ("expression", "densenet121")
DEVICES = ("auto", "cpu", "cuda")
RUNTIMES = ("onnx", "torch")
CHANNELS = ("mix", "best")
SPLITS = ("train", "dev", "test")
PRECISIONS = ("int8", "float32")
FETCHED = ("expression", "mpnet")

Complete = Callable[[str], list[str]]


def among(*names: str) -> Complete:
    """Offer those of some names that begin as what was typed."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def models(incomplete: str) -> list[str]:
    """Offer the models that come with the package."""
    from broadmamba.recognition.pretrained import shipped_models

    return among(*shipped_models())(incomplete)


def presets(incomplete: str) -> list[str]:
    """Offer the presets of training."""
    return among(*_settings("training", "presets"))(incomplete)


def studies(incomplete: str) -> list[str]:
    """Offer the tables and figures of the paper."""
    return among(*_settings("experiments", "studies"), "all")(incomplete)


def _settings(room: str, folder: str) -> list[str]:
    files = (resources.files("broadmamba") / room / folder).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))
