"""What every model of conversations is called with and gives, ours and those that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from broadmamba.data.batching import Batch
from broadmamba.model.loss import LossConfig, Losses
from broadmamba.model.settings import ModelConfig


@dataclass(frozen=True)
class Output:
    """What a model says of a batch. Values on padding are zero.

    Attributes:
        logits: `(B, L, C)` of the fused prediction.
        probabilities: `(B, L, C)`, their softmax.
        modality_weights: `(B, L, M)`, each modality's share in hᶠ; sums to 1 where any is present.
        fused: `(B, L, ·)`, the fused representation hᶠ.
        modality_probabilities: `(B, L, M, C)`, each modality's own class probabilities (ω scaled to sum 1).
        packed_logits: `(T, C)`, `logits` of the utterances alone, for the loss.
        terms: what else the losses of this kind of model are computed from, by name.
    """

    logits: Tensor
    probabilities: Tensor
    modality_weights: Tensor
    fused: Tensor
    modality_probabilities: Tensor
    packed_logits: Tensor
    terms: Mapping[str, Any]


class EmotionModel(nn.Module):
    """A model that recognises the emotion of every utterance of a batch.

    Attributes:
        config: all its settings, from which `type(model)(config)` makes another one.
        reads_tokens: whether its text is token ids, since it trains an encoder itself; it reads nothing else then.
    """

    config: ModelConfig
    reads_tokens: ClassVar[bool] = False

    def forward(self, batch: Batch) -> Output:
        """Recognise; any subset of the model's modalities may be given."""
        raise NotImplementedError

    def loss(self, output: Output, batch: Batch, config: LossConfig) -> Losses:
        """What training minimises, for what `forward` gave on this batch: a mean over labelled utterances."""
        raise NotImplementedError
