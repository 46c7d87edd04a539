"""Fig. 3: the whole network, from features to emotions."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from broadmamba.data.batching import Batch
from broadmamba.model.broad_learning import BroadNodes
from broadmamba.model.config import BroadMambaConfig
from broadmamba.model.encoder import Encoder
from broadmamba.model.fusion import FUSIONS, Evidence
from broadmamba.model.interface import EmotionModel, Output
from broadmamba.model.loss import LossConfig, Losses, ModalityTerms, RidgeTerms, training_loss
from broadmamba.model.packing import Packing, SpeakerTurns
from broadmamba.model.sequence import SEQUENCE_MODELS


class ContextLayer(nn.Module):
    """A bidirectional state-space layer, ξ̄ = BiSSM(ξ̂) (Eq. 11), with the additions that are named in the config."""

    def __init__(self, config: BroadMambaConfig) -> None:
        super().__init__()
        steps = {"discretisation": config.discretisation, "dt_min": config.dt_min, "dt_max": config.dt_max}
        options = steps if config.ssm == "convolution" else {}  # a selective scan finds its steps from the data
        self.sequence = SEQUENCE_MODELS[config.ssm](config.d_model, config.d_state, **options)
        own = SEQUENCE_MODELS[config.ssm](config.d_model, config.d_state, **options) if config.own_turns else None
        self.own_sequence = own
        self.residual = config.residual
        self.norm = nn.LayerNorm(config.d_model) if config.layer_norm else nn.Identity()
        self.dropout = nn.Dropout(config.dropout if config.residual else 0.0)

    def forward(self, x: Tensor, mask: Tensor, packing: Packing, turns: SpeakerTurns | None) -> Tensor:
        """ξ̂ `(B, L, D)`, zero where the mask is False → ξ̄ `(B, L, D)`, any value there."""
        y = self.sequence(x, mask)
        if self.own_sequence is not None and turns is not None:
            own = self.own_sequence(turns.split(packing.pack(x)), turns.split(packing.pack(mask)))
            y = y + packing.pad(turns.join(own))
        y = self.dropout(y)
        out: Tensor = self.norm(x + y if self.residual else y)
        return out


class ModalityBranch(nn.Module):
    """One modality from features to what it brings to the fusion: the upper half of Fig. 3.

    Args:
        width: of the modality's features.
        config: all settings.
    """

    def __init__(self, width: int, config: BroadMambaConfig) -> None:
        super().__init__()
        D, C = config.d_model, config.classes
        self.encoder = Encoder(
            width,
            D,
            config.kernel_size,
            position=config.position,
            speakers=config.speakers,
            dropout=config.dropout,
        )
        self.own_turns = config.own_turns
        self.contexts = nn.ModuleList(ContextLayer(config) for _ in range(config.depth))
        self.broad = (
            BroadNodes(D, n=config.n, m=config.m, d_z=config.d_z, d_h=config.d_h, random=config.random_nodes)
            if config.broad
            else None
        )
        K = D if self.broad is None else self.broad.width
        self.representation = nn.Linear(K, D)
        # W_b reads labels where Eq. 14 asks for them or the fusion is of read-outs; else nothing would train it.
        reads_labels = config.fusion == "class" or (config.broad and config.targets == "labels")
        self.readout = nn.Linear(K, C, bias=False) if reads_labels else None
        reconstructs = config.broad and config.targets == "reconstruct"
        self.reconstruction = nn.Linear(K, K, bias=False) if reconstructs else None
        self.classifier = nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, C))
        self.dropout = nn.Dropout(config.dropout)

    def nodes(self, x: Tensor, present: Tensor, speakers: Tensor, packing: Packing) -> Tensor:
        """From features to broad nodes A = [Zⁿ|Hᵐ], or ξ̄ itself without a broad learning system.

        Args:
            x: `(B, L, width)`.
            present: `(B, L)` bool, where the modality is.
            speakers: `(T,)`, packed.
            packing: which places are utterances.

        Returns:
            `(T, K)`.
        """
        # What stands where the modality is missing would reach the neighbours through the convolution.
        x = x.masked_fill(~present[..., None], 0.0)
        hidden = self.encoder(packing.pack(x), speakers, packing)
        turns = SpeakerTurns(packing, speakers) if self.own_turns else None
        for layer in self.contexts:
            # Masked after bias, positions and norm: what stands on padding would leak through the backward kernel.
            hidden = layer(hidden * present[..., None], present, packing, turns)
        xi = packing.pack(hidden)
        return xi if self.broad is None else self.broad(xi)

    def forward(self, x: Tensor, present: Tensor, speakers: Tensor, packing: Packing) -> tuple[Evidence, ModalityTerms]:
        """Evidence for the fusion, and what this modality's losses are computed from; arguments as for `nodes`."""
        A = self.dropout(self.nodes(x, present, speakers, packing))
        Y = self.dropout(self.representation(A))
        scores = self.classifier(Y)
        R = None if self.readout is None else self.readout(A)
        packed = packing.pack(present)
        rows = packed[:, None].to(scores.dtype)
        ridge = None
        if self.reconstruction is not None:
            ridge = RidgeTerms(self.reconstruction(A), A, self.reconstruction.weight)
        elif self.broad is not None and self.readout is not None and R is not None:
            ridge = RidgeTerms(R, None, self.readout.weight)
        return (
            Evidence(omega=scores.sigmoid() * rows, representation=Y, readout=R, present=rows),
            ModalityTerms(scores=scores, ridge=ridge, present=packed),
        )


class BroadMamba(EmotionModel):
    """Multi-modal emotion recognition in conversation (Fig. 3).

    Per modality: convolution and positions, bidirectional state-space layers, broad nodes A = [Zⁿ|Hᵐ]; two read-outs
    of A, the labels R = A·W_b and a representation Y; label probabilities ω = σ(MLP(Y)); then the fusion of all
    modalities and the emotion classifier.

    Args:
        config: all settings.

    Example:
        >>> model = BroadMamba(BroadMambaConfig(widths={"text": 384, "audio": 8}, classes=7))
    """

    config: BroadMambaConfig

    def __init__(self, config: BroadMambaConfig) -> None:
        super().__init__()
        self.config = config
        D, C = config.d_model, config.classes
        self.branches = nn.ModuleDict({m: ModalityBranch(width, config) for m, width in config.widths.items()})
        self.fusion = FUSIONS[config.fusion](config.modalities, D, C)
        self.emotion = self.fusion.classifier(C)

    def forward(self, batch: Batch) -> Output:
        """Recognise the emotion of every utterance of a batch.

        Args:
            batch: any subset of the model's modalities; what is missing drops out.
        """
        if self.training:
            batch = self._hide_utterances(batch)
        packing = Packing(batch.mask)
        speakers = packing.pack(batch.speakers)
        present = self._present(batch)
        evidence: dict[str, Evidence] = {}
        terms: dict[str, ModalityTerms] = {}
        for m in self.config.modalities:
            if m in batch.features:
                evidence[m], terms[m] = self.branches[m](batch.features[m], present[m], speakers, packing)
            else:
                evidence[m] = self._nothing(len(speakers))
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
            terms=terms,
        )

    def loss(self, output: Output, batch: Batch, config: LossConfig) -> Losses:
        """Eq. 18 for what `forward` gave on this batch."""
        labels = Packing(batch.mask).pack(batch.labels)
        return training_loss(output.packed_logits, labels, output.terms, config)

    def nodes(self, batch: Batch, modality: str) -> Tensor:
        """A = [Zⁿ|Hᵐ] `(T, K)` of one modality, packed: the rows that `solve_ridge` (Eq. 15) fits W_b on."""
        packing = Packing(batch.mask)
        branch = self.branches[modality]
        assert isinstance(branch, ModalityBranch)
        present = self._present(batch)[modality]
        return branch.nodes(batch.features[modality], present, packing.pack(batch.speakers), packing)

    def _hide_utterances(self, batch: Batch) -> Batch:
        """The batch with the features of random utterances at zero; the utterances stay and are to be recognised."""
        p = self.config.utterance_masking
        if p == 0:
            return batch
        kept = (torch.rand(batch.mask.shape) >= p).to(batch.mask.device)
        return replace(batch, features={m: x * kept[..., None] for m, x in batch.features.items()})

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

    def _nothing(self, utterances: int) -> Evidence:
        """The evidence of a modality that the batch does not have."""
        like = self.emotion.weight
        per_class = like.new_zeros(utterances, self.config.classes)
        per_channel = like.new_zeros(utterances, self.config.d_model)
        return Evidence(omega=per_class, representation=per_channel, readout=per_class, present=per_class[:, :1])


def _shares(strength: Tensor) -> Tensor:
    """Scale the last axis to sum 1; all zero stays zero."""
    return strength / strength.sum(-1, keepdim=True).clamp(min=torch.finfo(strength.dtype).tiny)
