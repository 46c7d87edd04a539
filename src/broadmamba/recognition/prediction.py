"""What recognition gives: a label with its probability for each utterance, and what each modality weighed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from broadmamba.data.conversation import Utterance

NOTICE = "Labels say how acted dialogue like this is perceived, not what people feel; see RESPONSIBLE_USE.md."
"""One line to show wherever predictions are shown to people."""


@dataclass(frozen=True, slots=True)
class UtterancePrediction:
    """The emotion of one utterance.

    Attributes:
        utterance: what was labelled.
        label: the most probable emotion.
        probability: of `label`, 0 to 1.
        probabilities: of every label, in the model's order; they sum to 1.
        modality_weights: how much each of the model's modalities counted, 0 to 1.
        present: the modalities that this utterance had.
    """

    utterance: Utterance
    label: str
    probability: float
    probabilities: dict[str, float]
    modality_weights: dict[str, float]
    present: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConversationPrediction:
    """The emotions of one conversation.

    Attributes:
        conversation: the conversation's id.
        utterances: one prediction an utterance, in their order.
        model: name of the model that made them.
        recording: that was recognised, by its absolute path; None where only words were.
        duration: of the recording in seconds; None where there is none or it states none.
    """

    conversation: str
    utterances: tuple[UtterancePrediction, ...]
    model: str
    recording: Path | None = None
    duration: float | None = None

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[UtterancePrediction]:
        return iter(self.utterances)
