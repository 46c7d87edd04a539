"""Fig. 3: the whole network, from features to emotions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.data.batching import Batch
from broadmamba.model.broad_learning import BroadNodes
from broadmamba.model.config import BroadMambaConfig
from broadmamba.model.encoder import Encoder
from broadmamba.model.fusion import FUSIONS, Evidence
from broadmamba.model.loss import LossConfig, Losses, ModalityTerms, training_loss
from broadmamba.model.packing import Packing
from broadmamba.model.sequence import build_sequence_model


@dataclass(frozen=True)
class Output:
    """What a model says of a batch. Values on padding are zero.

    Attributes:
        logits: `(B, L, C)` of the fused prediction.
        probabilities: `(B, L, C)`, their softmax.
        modality_weights: `(B, L, M)`, each modality's share in the fused representation; sums to 1 where any is present.
        fused: `(B, L, ·)`, the fused representation hᶠ.
        modality_probabilities: `(B, L, M, C)`, each modality's own class probabilities (ω scaled to sum 1).
        packed_logits: `(T, C)`, `logits` of the utterances alone, for the loss.
        terms: modality → what its losses are computed from.
    """

    logits: Tensor
    probabilities: Tensor
    modality_weights: Tensor
    fused: Tensor
    modality_probabilities: Tensor
    packed_logits: Tensor
    terms: Mapping[str, ModalityTerms]


class ContextLayer(nn.Module):
    """A bidirectional state-space layer, ξ̄ = BiSSM(ξ̂) (Eq. 11), with the additions that are named in the config."""

    def __init__(self, config: BroadMambaConfig) -> None:
        super().__init__()
        self.sequence = build_sequence_model(
            config.ssm, config.d_model, config.d_state, discretisation=config.discretisation
        )
        self.residual = config.residual
        self.norm = nn.LayerNorm(config.d_model) if config.layer_norm else nn.Identity()
        self.dropout = nn.Dropout(config.dropout if config.residual else 0.0)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """ξ̂ `(B, L, D)`, zero where the mask is False → ξ̄ `(B, L, D)`, any value there."""
        y = self.dropout(self.sequence(x, mask))
        out: Tensor = self.norm(x + y if self.residual else y)
        return out


class BroadMamba(nn.Module):
    """Multi-modal emotion recognition in conversation (Fig. 3).

    Per modality: convolution and positions, bidirectional state-space layers, broad nodes A = [Zⁿ|Hᵐ]; two read-outs
    of A, the labels R = A·W_b and a representation Y; label probabilities ω = σ(MLP(Y)); then the fusion of all
    modalities and the emotion classifier.

    Args:
        config: all settings.

    Example:
        >>> model = BroadMamba(BroadMambaConfig(widths={"text": 384, "audio": 8}, classes=7))
    """

    def __init__(self, config: BroadMambaConfig) -> None:
        super().__init__()
        self.config = config
        D, C = config.d_model, config.classes
        self.encoders = nn.ModuleDict(
            {
                m: Encoder(
                    width,
                    D,
                    config.kernel_size,
                    position=config.position,
                    speakers=config.speakers,
                    dropout=config.dropout,
                )
                for m, width in config.widths.items()
            }
        )
        self.contexts = nn.ModuleDict(
            {m: nn.ModuleList(ContextLayer(config) for _ in range(config.depth)) for m in config.modalities}
        )
        self.nodes = nn.ModuleDict({m: self._nodes() for m in config.modalities} if config.broad else {})
        K = self._node_width()
        self.representations = nn.ModuleDict({m: nn.Linear(K, D) for m in config.modalities})
        self.readouts = nn.ModuleDict({m: nn.Linear(K, C, bias=False) for m in self._readout_modalities()})
        self.reconstructions = nn.ModuleDict(
            {m: nn.Linear(K, K, bias=False) for m in self.nodes} if config.targets == "reconstruct" else {}
        )
        self.classifiers = nn.ModuleDict(
            {m: nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, C)) for m in config.modalities}
        )
        self.fusion = FUSIONS[config.fusion](config.modalities, D, C)
        self.emotion = nn.Linear(self.fusion.width, C)
        self.dropout = nn.Dropout(config.dropout)

    def _nodes(self) -> BroadNodes:
        c = self.config
        return BroadNodes(c.d_model, n=c.n, m=c.m, d_z=c.d_z, d_h=c.d_h, random=c.random_nodes)

    def _node_width(self) -> int:
        c = self.config
        return c.n * c.d_z + c.m * c.d_h if c.broad else c.d_model

    def _readout_modalities(self) -> tuple[str, ...]:
        """W_b reads labels where Eq. 14 asks for them or the fusion is of read-outs; else it would never be trained."""
        c = self.config
        return c.modalities if c.fusion == "class" or (c.broad and c.targets == "labels") else ()

    def forward(self, batch: Batch) -> Output:
        """Recognise the emotion of every utterance of a batch.

        Args:
            batch: any subset of the model's modalities; what is missing drops out.
        """
        packing = Packing(batch.mask)
        speakers = packing.pack(batch.speakers)
        present = self._present(batch)
        evidence: dict[str, Evidence] = {}
        terms: dict[str, ModalityTerms] = {}
        for m in self.config.modalities:
            evidence[m], terms[m] = self._modality(m, batch, present[m], speakers, packing)
        h, strengths = self.fusion(evidence)
        logits = self.emotion(h)
        strength = torch.stack([strengths[m] for m in evidence], dim=-1)
        omega = torch.stack([e.omega for e in evidence.values()], dim=-2)
        return Output(
            logits=packing.pad(logits),
            probabilities=packing.pad(logits.softmax(-1)),
            modality_weights=packing.pad(_shares(strength)),
            fused=packing.pad(h),
            modality_probabilities=packing.pad(_shares(omega)),
            packed_logits=logits,
            terms={m: t for m, t in terms.items() if m in batch.features},
        )

    def loss(self, output: Output, batch: Batch, config: LossConfig) -> Losses:
        """Eq. 18 for what `forward` gave on this batch."""
        labels = Packing(batch.mask).pack(batch.labels)
        return training_loss(output.packed_logits, labels, output.terms, config)

    def nodes_of(self, batch: Batch, modality: str) -> Tensor:
        """A = [Zⁿ|Hᵐ] `(T, K)` of one modality, packed: the rows that `solve_ridge` (Eq. 15) fits W_b on."""
        packing = Packing(batch.mask)
        return self._broad(modality, batch, self._present(batch)[modality], packing.pack(batch.speakers), packing)

    def _present(self, batch: Batch) -> dict[str, Tensor]:
        """Modality → `(B, L)` bool, with whole modalities dropped at random in training."""
        present = {m: batch.present.get(m, torch.zeros_like(batch.mask)) & batch.mask for m in self.config.modalities}
        p = self.config.modality_dropout
        if not self.training or p == 0 or len(batch.features) < 2:
            return present
        given = [m for m in self.config.modalities if m in batch.features]
        keep = torch.rand(len(given), len(batch.mask)) >= p
        # One modality, drawn at random, always stays.
        keep[torch.randint(len(given), (len(batch.mask),)), torch.arange(len(batch.mask))] = True
        for m, kept in zip(given, keep.to(batch.mask.device), strict=True):
            present[m] = present[m] & kept[:, None]
        return present

    def _broad(self, m: str, batch: Batch, present: Tensor, speakers: Tensor, packing: Packing) -> Tensor:
        """One modality from features to broad nodes A `(T, K)`."""
        x = self.encoders[m](packing.pack(batch.features[m]), speakers, packing)
        for layer in self.contexts[m]:  # type: ignore[union-attr] # a ModuleList
            # Masked after bias, positions and norm: what stands on padding would leak through the backward kernel.
            x = layer(x * present[..., None], present)
        xi = packing.pack(x)
        return self.nodes[m](xi) if self.config.broad else xi

    def _modality(
        self, m: str, batch: Batch, present: Tensor, speakers: Tensor, packing: Packing
    ) -> tuple[Evidence, ModalityTerms]:
        """One modality from features to what it brings to the fusion and to the loss."""
        packed = packing.pack(present)
        if m not in batch.features:
            return self._absent(packed)
        A = self.dropout(self._broad(m, batch, present, speakers, packing))
        Y = self.dropout(self.representations[m](A))
        scores = self.classifiers[m](Y)
        R = self.readouts[m](A) if m in self.readouts else None
        prediction, weight, target = R, None, None
        if m in self.reconstructions:
            prediction, weight, target = self.reconstructions[m](A), self.reconstructions[m].weight, A
        elif self.config.broad and R is not None:
            weight = self.readouts[m].weight
        rows = packed[:, None].to(scores.dtype)
        return (
            Evidence(omega=scores.sigmoid() * rows, representation=Y, readout=R, present=rows),
            ModalityTerms(scores=scores, prediction=prediction, target=target, weight=weight, present=packed),  # type: ignore[arg-type]
        )

    def _absent(self, present: Tensor) -> tuple[Evidence, ModalityTerms]:
        """The evidence of a modality that the batch does not have: nothing."""
        like = self.emotion.weight
        zeros_c = like.new_zeros(len(present), self.config.classes)
        zeros_d = like.new_zeros(len(present), self.config.d_model)
        return (
            Evidence(omega=zeros_c, representation=zeros_d, readout=zeros_c, present=zeros_c[:, :1]),
            ModalityTerms(scores=zeros_c, prediction=None, target=None, weight=None, present=present),
        )


def _shares(strength: Tensor) -> Tensor:
    """Scale the last axis to sum 1; all zero stays zero."""
    return strength / strength.sum(-1, keepdim=True).clamp(min=torch.finfo(strength.dtype).tiny)
