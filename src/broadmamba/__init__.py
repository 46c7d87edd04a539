"""Emotion recognition in conversation from words, voice and faces, with Broad Mamba.

The names below are imported when they are first used, so that `import broadmamba` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from broadmamba import privacy  # noqa: F401  (first of all: libraries read its switches when they are imported)

if TYPE_CHECKING:
    from broadmamba.data.conversation import Conversation, LabelSet, Utterance
    from broadmamba.data.corpus import Corpus
    from broadmamba.media.transcripts import read_transcript
    from broadmamba.model.config import BroadMambaConfig
    from broadmamba.model.network import BroadMamba
    from broadmamba.recognition.recognizer import Recognizer
    from broadmamba.training.checkpoint import Checkpoint
    from broadmamba.training.config import TrainingConfig, preset
    from broadmamba.training.runs import train_seeds

__version__ = "0.1.0"

_HOMES = {
    "BroadMamba": "model.network",
    "BroadMambaConfig": "model.config",
    "Checkpoint": "training.checkpoint",
    "Conversation": "data.conversation",
    "Corpus": "data.corpus",
    "LabelSet": "data.conversation",
    "Recognizer": "recognition.recognizer",
    "TrainingConfig": "training.config",
    "Utterance": "data.conversation",
    "preset": "training.config",
    "read_transcript": "media.transcripts",
    "train_seeds": "training.runs",
}

__all__ = [
    "BroadMamba",
    "BroadMambaConfig",
    "Checkpoint",
    "Conversation",
    "Corpus",
    "LabelSet",
    "Recognizer",
    "TrainingConfig",
    "Utterance",
    "preset",
    "read_transcript",
    "train_seeds",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'broadmamba' has no attribute {name!r}")
    return getattr(import_module(f"broadmamba.{_HOMES[name]}"), name)
