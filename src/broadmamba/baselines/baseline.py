"""What the compared systems share: how they are called, what happens to what is missing, and the common loss.

Shapes: `B` conversations in a batch, `L` utterances in the longest of them, `M` modalities, `C` emotions, `H` the
channels of `config.hidden`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from broadmamba.data.batching import UNLABELLED, Batch
from broadmamba.model.interface import EmotionModel, Output
from broadmamba.model.loss import LossConfig, Losses, emotion_loss
from broadmamba.model.settings import ModelConfig, require_share, require_whole


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(ModelConfig):
    """Settings that every compared system has.

    Attributes:
        hidden: H, channels inside.
        dropout: where the system has it.
    """

    hidden: int = 100
    dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole({"hidden": self.hidden})
        require_share({"dropout": self.dropout})


@dataclass(frozen=True)
class Reading:
    """What a compared system makes of a batch, padded; what stands on padding is never used.

    Attributes:
        logits: `(B, L, C)`.
        fused: `(B, L, ·)`, what the last classifier reads.
        weights: `(B, L, M)`, how strongly each modality acts, at least 0; None for a system that weighs none, of
            which each present modality is given an equal share.
        own: `(B, L, M, C)`, each modality's own probabilities; None for a system whose modalities have no
            classifiers, of which each is said to hold every emotion for equally likely.
        parts: what else the system's own losses are computed from.
    """

    logits: Tensor
    fused: Tensor
    weights: Tensor | None = None
    own: Tensor | None = None
    parts: Mapping[str, Tensor] = field(default_factory=dict)


class Baseline(EmotionModel):
    """A compared system: a subclass says what it reads out of a batch and, if it has any, its own losses."""

    config: BaselineConfig

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.config = config

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """The system itself.

        Args:
            features: modality → `(B, L, width)`, each of the config's; zero on padding and where it is missing.
            present: modality → `(B, L)` bool, likewise.
            batch: for its `mask` and `speakers`, no more.
        """
        raise NotImplementedError

    def auxiliary(self, output: Output, labels: Tensor) -> dict[str, Tensor]:
        """Losses besides that of the prediction, each a mean over labelled utterances, weighted as they shall count.

        Args:
            output: what `forward` gave; `output.terms` are the reading's `parts`.
            labels: `(B, L)`, `UNLABELLED` where there is none and on padding.
        """
        return {}

    def forward(self, batch: Batch) -> Output:
        """See `EmotionModel`."""
        mask = batch.mask
        like = next(p for p in self.parameters() if p.is_floating_point())
        present, features = {}, {}
        for m, width in self.config.widths.items():
            if m in batch.features:
                present[m] = batch.present[m] & mask
                features[m] = batch.features[m].masked_fill(~present[m][..., None], 0.0)
            else:
                present[m] = torch.zeros_like(mask)
                features[m] = like.new_zeros(*mask.shape, width)
        reading = self.read(features, present, batch)
        rows = mask[..., None]
        here = torch.stack(list(present.values()), dim=-1)
        weights = here.to(like.dtype) if reading.weights is None else reading.weights.masked_fill(~here, 0.0)
        even = here[..., None].expand(*here.shape, self.config.classes)
        own = even / self.config.classes if reading.own is None else reading.own.masked_fill(~here[..., None], 0.0)
        return Output(
            logits=reading.logits.masked_fill(~rows, 0.0),
            probabilities=reading.logits.softmax(-1).masked_fill(~rows, 0.0),
            modality_weights=weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny),
            fused=reading.fused.masked_fill(~rows, 0.0),
            modality_probabilities=own,
            packed_logits=reading.logits[mask],
            terms=reading.parts,
        )

    def loss(self, output: Output, batch: Batch, config: LossConfig) -> Losses:
        """Cross-entropy of the prediction plus the system's own losses; of `config`, only `smoothing` counts here."""
        emotion = emotion_loss(output.packed_logits, batch.labels[batch.mask], config.smoothing)
        own = self.auxiliary(output, batch.labels)
        return Losses(emotion + sum(own.values(), start=torch.zeros_like(emotion)), {"emotion": emotion, **own})


def joined(features: Mapping[str, Tensor]) -> Tensor:
    """All modalities side by side: `(B, L, sum of widths)`."""
    return torch.cat(list(features.values()), dim=-1)


def speaker_one_hot(speakers: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """`(B, L)` speaker numbers → `(B, L, count)`; speakers from `count` on share the last, nobody known is all zero."""
    known = (speakers >= 0)[..., None]
    return torch.nn.functional.one_hot(speakers.clamp(0, count - 1), count).to(dtype) * known


def same_speaker(speakers: Tensor) -> Tensor:
    """`(B, L)` → `(B, L, L)` bool: whether both utterances are of one speaker; unknown ones are taken for one."""
    return speakers[:, :, None] == speakers[:, None, :]


def pairs(mask: Tensor) -> Tensor:
    """`(B, L)` → `(B, L, L)` bool: whether both places hold utterances."""
    return mask[:, :, None] & mask[:, None, :]


def lags(length: int, device: torch.device | None = None) -> Tensor:
    """`(L, L)`: j − i, how many utterances after i utterance j is."""
    place = torch.arange(length, device=device)
    return place[None, :] - place[:, None]


def masked_softmax(scores: Tensor, where: Tensor) -> Tensor:
    """Softmax over the last axis among the places where `where` holds; all zero where it holds nowhere."""
    scores = scores.masked_fill(~where, -torch.inf)
    highest = scores.amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    shares = (scores - highest.detach()).exp()
    return shares / shares.sum(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)


def labelled_mean(values: Tensor, labels: Tensor) -> Tensor:
    """Mean of `(B, L)` values over the labelled utterances, given `(B, L)` labels; 0 if there are none."""
    labelled = labels != UNLABELLED
    return values.masked_fill(~labelled, 0.0).sum() / labelled.sum().clamp(min=1)
