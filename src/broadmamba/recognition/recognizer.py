"""The main job: a conversation in, the emotion of each utterance out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from broadmamba.bundle.folder import Bundle
from broadmamba.data.conversation import Conversation
from broadmamba.data.corpus import Feature
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError, MissingExtraError
from broadmamba.extras import missing_extra
from broadmamba.memory import enough_memory
from broadmamba.recognition.prediction import ConversationPrediction, UtterancePrediction
from broadmamba.recognition.pretrained import DEFAULT, find_model, name_of
from broadmamba.runtime import Runtime, open_runtime


class ConversationEncoder(Protocol):
    """Makes text features: an exported encoder, or one that runs with torch."""

    def encode_conversation(self, conversation: Conversation) -> NDArray[np.float32]:
        """`(utterances, width)`; NaN throughout where a row is missing."""


class Recognizer:
    """Labels conversations with a trained model.

    Args:
        bundle: the model.
        name: what the model is called in its predictions.
        encoder: text encoder in place of the model's own: a folder or a Hugging Face id.
        runtime: see `open_runtime`.
        device: `auto`, `cpu` or `cuda`.

    Example:
        >>> recognizer = Recognizer.from_pretrained()
        >>> prediction = recognizer.predict(read_transcript("meeting.vtt"))
    """

    def __init__(
        self, bundle: Bundle, name: str, encoder: str | None = None, runtime: str | None = None, device: str = "auto"
    ) -> None:
        self.bundle = bundle
        self.name = name
        self._encoder_source = encoder
        self._device = device
        self._runtime_name = runtime
        self._runtime: Runtime = open_runtime(bundle, runtime, device)
        self._encoders: dict[str, ConversationEncoder] = {}
        self._loading = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the model's folder again."""
        return _reopened, (self.bundle.path, self.name, self._encoder_source, self._runtime_name, self._device)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = DEFAULT,
        *,
        encoder: str | Path | None = None,
        runtime: str | None = None,
        device: str = "auto",
    ) -> Recognizer:
        """Load a model: a folder, one that comes with the package, or one on the Hugging Face Hub.

        Args:
            model: a model folder, the name of a model that comes with the package, or `owner/name` on the Hub, which
                is downloaded once (extra `hub`).
            encoder: text encoder in place of the model's own: a folder or a Hugging Face id (extra `train`).
            runtime: `onnx` or `torch` (extra `train`); None takes what the model is made for.
            device: `auto`, `cpu` or `cuda`.

        Raises:
            InputError: there is no such model, runtime or device, or not enough memory.
            CheckpointError: the model's folder is damaged, or of an earlier version.
            MissingExtraError: an extra is needed that is not installed.
        """
        for what, value in (("a model", model), ("an encoder", encoder or "")):
            if not isinstance(value, (str, Path)):
                raise InputError(f"expected {what} as a name or folder, found {type(value).__name__}")
        folder = find_model(model)
        with enough_memory(f"the model {model}"):
            return cls(Bundle.load(folder), name_of(model), str(encoder) if encoder else None, runtime, device)

    def predict(
        self, conversation: Conversation, features: Mapping[str, Feature] | None = None
    ) -> ConversationPrediction:
        """Recognise the emotion of each utterance.

        Args:
            conversation: with text; speakers and times are optional.
            features: by name, what was computed elsewhere, one row an utterance. Text features that the model needs
                and that are not given are made here; other modalities that are not given are missing.

        Raises:
            InputError: the conversation has no utterances, something in it is not what it should be, or a feature does
                not fit it.
            IncompatibleError: a feature is not what the model was trained on, or the model can use none of them.
        """
        if not isinstance(conversation, Conversation):
            raise InputError(
                "expected a Conversation, such as read_transcript(path) reads or Conversation(id, utterances) makes, "
                f"found {type(conversation).__name__}"
            )
        conversation.check()
        conversation.check_times()
        ids = [u.id for u in conversation]
        given = dict(features or {})
        for name, feature in given.items():
            if not isinstance(feature, Feature):
                raise InputError(f"feature {name!r}: expected a Feature, found {type(feature).__name__}")
            feature.check(ids)
        for spec in self.bundle.features.get("text", ()):
            if spec.name not in given:
                given[spec.name] = Feature(spec, self._encoder(spec).encode_conversation(conversation))
        with enough_memory(f"the conversation {conversation.id!r}"):
            found = self._runtime.scores(self.bundle.rows([conversation], given))
        scores = found.calibrated(self.bundle.manifest.temperature, self.name)
        labels, modalities = self.bundle.labels, self.bundle.modalities
        rows = zip(conversation, scores.probabilities, scores.modality_weights, scores.present, strict=True)
        return ConversationPrediction(
            conversation.id,
            tuple(
                UtterancePrediction(
                    utterance=utterance,
                    label=labels[int(probabilities.argmax())],
                    probability=float(probabilities.max()),
                    probabilities=dict(zip(labels, map(float, probabilities), strict=True)),
                    modality_weights=dict(zip(modalities, map(float, weights), strict=True)),
                    present=tuple(m for m, there in zip(modalities, present, strict=True) if there),
                )
                for utterance, probabilities, weights, present in rows
            ),
            self.name,
        )

    def _encoder(self, spec: FeatureSpec) -> ConversationEncoder:
        """The text encoder of a feature, loaded when it is first needed, by one thread alone."""
        with self._loading:
            if spec.name not in self._encoders:
                self._encoders[spec.name] = self._load_encoder(spec)
            return self._encoders[spec.name]

    def _load_encoder(self, spec: FeatureSpec) -> ConversationEncoder:
        """The encoder in the model's folder, or one that runs with torch."""
        own = None if self._encoder_source else self.bundle.text_encoder(spec.name)
        if own is not None:
            from broadmamba.features.text.exported import ExportedTextEncoder

            return ExportedTextEncoder.for_spec(spec, own, self._device)
        try:
            from broadmamba.features.text.encoder import TextEncoder
        except ModuleNotFoundError as error:
            if self._encoder_source:
                raise (missing_extra(f"the text encoder {self._encoder_source}", error) or error) from None
            raise MissingExtraError(
                f"{self.bundle.path}: holds no text encoder for {spec.name}, and others need {error.name}: "
                "pip install 'broadmamba[train]', or where that is make a bundle that holds it: "
                f"broadmamba export {self.bundle.path} --out BUNDLE"
            ) from None
        return TextEncoder.for_spec(spec, self._encoder_source)


def _reopened(path: Path, *settings: Any) -> Recognizer:
    return Recognizer(Bundle.load(path), *settings)
