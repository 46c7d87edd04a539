"""Emotion recognition in conversation from words, voice and faces, with Broad Mamba.

The names below are imported when they are first used, so that `import broadmamba` takes no time, and what labels
conversations needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from broadmamba import privacy  # noqa: F401  (first of all: libraries read its switches when they are imported)

if TYPE_CHECKING:
    from broadmamba.data.conversation import Conversation, LabelSet, Utterance
    from broadmamba.data.corpus import Corpus, Feature
    from broadmamba.data.readers import read_corpus
    from broadmamba.data.spec import FeatureSpec
    from broadmamba.errors import (
        BroadMambaError,
        CheckpointError,
        IncompatibleError,
        InputError,
        MissingExtraError,
        PassingError,
    )
    from broadmamba.features.extract_text import extract_text
    from broadmamba.features.text.encoder import TextEncoder
    from broadmamba.media.tracks import SoundChoice
    from broadmamba.media.transcripts import read_transcript
    from broadmamba.model.config import BroadMambaConfig
    from broadmamba.model.network import BroadMamba
    from broadmamba.recognition.front_door import recognize
    from broadmamba.recognition.prediction import ConversationPrediction, UtterancePrediction
    from broadmamba.recognition.pretrained import shipped_models
    from broadmamba.recognition.recognizer import Recognizer
    from broadmamba.recognition.recording import Listening
    from broadmamba.training.checkpoint import Checkpoint
    from broadmamba.training.config import TrainingConfig, preset
    from broadmamba.training.export import export_model
    from broadmamba.training.runs import train_seeds

__version__ = "0.1.0"

_HOMES = {
    "BroadMamba": "model.network",
    "BroadMambaConfig": "model.config",
    "BroadMambaError": "errors",
    "Checkpoint": "training.checkpoint",
    "CheckpointError": "errors",
    "Conversation": "data.conversation",
    "ConversationPrediction": "recognition.prediction",
    "Corpus": "data.corpus",
    "Feature": "data.corpus",
    "FeatureSpec": "data.spec",
    "IncompatibleError": "errors",
    "InputError": "errors",
    "LabelSet": "data.conversation",
    "Listening": "recognition.recording",
    "MissingExtraError": "errors",
    "PassingError": "errors",
    "Recognizer": "recognition.recognizer",
    "SoundChoice": "media.tracks",
    "TextEncoder": "features.text.encoder",
    "TrainingConfig": "training.config",
    "Utterance": "data.conversation",
    "UtterancePrediction": "recognition.prediction",
    "export_model": "training.export",
    "extract_text": "features.extract_text",
    "preset": "training.config",
    "read_corpus": "data.readers",
    "read_transcript": "media.transcripts",
    "recognize": "recognition.front_door",
    "shipped_models": "recognition.pretrained",
    "train_seeds": "training.runs",
}
"""Name → the module that it comes from."""

__all__ = [
    "BroadMamba",
    "BroadMambaConfig",
    "BroadMambaError",
    "Checkpoint",
    "CheckpointError",
    "Conversation",
    "ConversationPrediction",
    "Corpus",
    "Feature",
    "FeatureSpec",
    "IncompatibleError",
    "InputError",
    "LabelSet",
    "Listening",
    "MissingExtraError",
    "PassingError",
    "Recognizer",
    "SoundChoice",
    "TextEncoder",
    "TrainingConfig",
    "Utterance",
    "UtterancePrediction",
    "export_model",
    "extract_text",
    "preset",
    "read_corpus",
    "read_transcript",
    "recognize",
    "shipped_models",
    "train_seeds",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'broadmamba' has no attribute {name!r}")
    try:
        return getattr(import_module(f"broadmamba.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        from broadmamba.extras import missing_extra

        raise (missing_extra(f"broadmamba.{name}", error) or error) from None


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
