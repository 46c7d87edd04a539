"""The main job: a conversation in, the emotion of each utterance out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from broadmamba.data.conversation import Conversation
from broadmamba.data.corpus import Feature
from broadmamba.data.spec import FeatureSpec
from broadmamba.errors import InputError
from broadmamba.features.text.encoder import TextEncoder
from broadmamba.features.text.tuned import is_tuned
from broadmamba.memory import enough_memory
from broadmamba.recognition.prediction import ConversationPrediction, UtterancePrediction
from broadmamba.recognition.pretrained import DEFAULT, find_model, name_of
from broadmamba.training.checkpoint import ENCODER, Checkpoint


class Recognizer:
    """Labels conversations with a trained model.

    Args:
        checkpoint: the model.
        name: what the model is called in its predictions.
        encoder: text encoder, where the model's own is no known one: a folder or a Hugging Face id.
        beside: the fine-tuned text encoder that came with the model, or None.

    Example:
        >>> recognizer = Recognizer.from_pretrained()
        >>> prediction = recognizer.predict(read_transcript("meeting.vtt"))
    """

    def __init__(
        self, checkpoint: Checkpoint, name: str, encoder: str | None = None, beside: Path | None = None
    ) -> None:
        self.checkpoint = checkpoint
        self.name = name
        self._encoder_source = encoder
        self._beside = beside

    @classmethod
    def from_pretrained(cls, model: str | Path = DEFAULT, *, encoder: str | Path | None = None) -> Recognizer:
        """Load a model folder, or a model that comes with the package, by name.

        Args:
            model: a model folder or a name.
            encoder: text encoder, where the model's own is no known one: a folder or a Hugging Face id; only what is
                given here may be downloaded.

        Raises:
            InputError: there is no such model, or not enough memory for it.
            CheckpointError: its folder is damaged.
        """
        for what, value in (("a model", model), ("an encoder", encoder or "")):
            if not isinstance(value, (str, Path)):
                raise InputError(f"expected {what} as a name or folder, found {type(value).__name__}")
        folder = find_model(model)
        own = folder / ENCODER
        with enough_memory(f"the model {model}"):
            checkpoint = Checkpoint.load(folder)
        return cls(checkpoint, name_of(model), str(encoder) if encoder else None, own if is_tuned(own) else None)

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
        for spec in self.checkpoint.features.get("text", ()):
            if spec.name not in given:
                given[spec.name] = self._encode(spec, conversation)
        with enough_memory(f"the conversation {conversation.id!r}"):
            scores = self.checkpoint.score(self.checkpoint.prepare([conversation], given), self.name)
        labels, modalities = self.checkpoint.labels, self.checkpoint.modalities
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

    def _encode(self, spec: FeatureSpec, conversation: Conversation) -> Feature:
        encoder = self._encoders.get(spec.name)
        if encoder is None:
            encoder = self._encoders[spec.name] = TextEncoder.for_spec(spec, self._encoder_source, self._beside)
        return Feature(spec, encoder.encode_conversation(conversation))

    @cached_property
    def _encoders(self) -> dict[str, TextEncoder]:
        """Text encoders by feature, loaded when first needed."""
        return {}
