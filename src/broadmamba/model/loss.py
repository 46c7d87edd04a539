"""Section 4.3: what training minimises (Eq. 14 and 18)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from broadmamba.data.batching import UNLABELLED


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the terms of Eq. 18.

    Attributes:
        norm: weight of L_norm, the ridge objective of the broad learning systems; 1 as in the paper, 0 for Fig. 6.
        ridge: λ of Eq. 14.
        unimodal: weight of the modality classifiers' own loss, without which ω is no probability; 0 is literal.
        smoothing: label smoothing of the fused prediction (addition).
    """

    norm: float = 1.0
    ridge: float = 1e-3
    unimodal: float = 1.0
    smoothing: float = 0.0


@dataclass(frozen=True)
class RidgeTerms:
    """What Eq. 14 is computed from, packed.

    Attributes:
        prediction: `(T, K)`, A·W_b.
        target: `(T, K)`, what A·W_b shall reach, or None for the one-hot labels (then K = C).
        weight: `(K, width of A)`, W_b transposed.
    """

    prediction: Tensor
    target: Tensor | None
    weight: Tensor


@dataclass(frozen=True)
class ModalityTerms:
    """What one modality's losses are computed from, packed.

    Attributes:
        scores: `(T, C)`, the logits of ω.
        ridge: of its broad learning system, or None where it has none.
        present: `(T,)` bool.
    """

    scores: Tensor
    ridge: RidgeTerms | None
    present: Tensor


@dataclass(frozen=True)
class Losses:
    """What training minimises.

    Attributes:
        total: the scalar that is minimised.
        terms: name → scalar, what it is made up of before weights; those of Eq. 18 are `emotion`, `norm` and
            `unimodal`.
    """

    total: Tensor
    terms: Mapping[str, Tensor]


def emotion_loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """L_emo: cross-entropy of a prediction, a mean over labelled utterances.

    Args:
        logits: `(T, C)`.
        labels: `(T,)` class indices, `UNLABELLED` where there is none.
        smoothing: of the labels.
    """
    labelled = labels != UNLABELLED
    each = F.cross_entropy(logits, labels.clamp(min=0), reduction="none", label_smoothing=smoothing)
    return (each * labelled).sum() / labelled.sum().clamp(min=1)


def training_loss(
    logits: Tensor, labels: Tensor, modalities: Mapping[str, ModalityTerms], config: LossConfig
) -> Losses:
    """L = L_emo + w_norm·L_norm + w_uni·L_uni (Eq. 18), each a mean over labelled utterances.

    Args:
        logits: `(T, C)` of the fused prediction, packed.
        labels: `(T,)` class indices, `UNLABELLED` where there is none.
        modalities: modality → its terms; may be empty for a model without any.
        config: the weights.
    """
    labelled = labels != UNLABELLED
    count = labelled.sum().clamp(min=1)
    known = labels.clamp(min=0)
    emotion = emotion_loss(logits, labels, config.smoothing)
    one_hot = F.one_hot(known, logits.shape[-1]).to(logits.dtype)
    norm = unimodal = torch.zeros_like(emotion)
    for terms in modalities.values():
        rows = (labelled & terms.present).to(logits.dtype)
        # ω is a sigmoid an emotion (Eq. 16), so its cross-entropy is the binary one, summed over the emotions.
        own = F.binary_cross_entropy_with_logits(terms.scores, one_hot, reduction="none").sum(-1)
        unimodal = unimodal + (own * rows).sum() / count
        if terms.ridge is not None:
            target = one_hot if terms.ridge.target is None else terms.ridge.target
            miss = (terms.ridge.prediction - target).square().sum(-1)
            norm = norm + (miss * rows).sum() / count + config.ridge * terms.ridge.weight.square().sum()
    total = emotion + config.norm * norm + config.unimodal * unimodal
    return Losses(total, {"emotion": emotion, "norm": norm, "unimodal": unimodal})
