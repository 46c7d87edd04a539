"""DialogueGCN: a graph of each conversation whose relations are the pairs of speakers, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.baselines.baseline import Baseline, BaselineConfig, Reading, joined, lags, masked_softmax, pairs
from broadmamba.baselines.graph import window
from broadmamba.baselines.recurrent import run_recurrent, started_by_width
from broadmamba.data.batching import Batch
from broadmamba.model.settings import require_whole


@dataclass(frozen=True, kw_only=True)
class DialogueGcnConfig(BaselineConfig):
    """Settings of `DialogueGcn`.

    Attributes:
        window: utterances before, and after, that an utterance has edges to.
        speakers: S; speakers from the S-th on share the last number, unknown ones are taken for the first.
        bases: matrices that those of the relations are made of.
    """

    dropout: float = 0.3
    window: int = 10
    speakers: int = 9
    bases: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole({"window": self.window, "speakers": self.speakers, "bases": self.bases})


class DialogueGcn(Baseline):
    """DialogueGCN (Ghosal, Majumder, Poria, Chhaya, Gelbukh 2019, EMNLP, pp. 154–164).

    1. g = biGRU(x), x all modalities side by side.
    2. Edges from i to the utterances j of its window, itself too, weighted α_ij = softmax_j(g_iᵀ W_e g_j).
    3. Relations r, by who says i, who says j, and whether j comes after i (2·S² of them):
       h¹_i = ReLU(Σ_r Σ_{j∈N_i^r} α_ij/|N_i^r| · W_r g_j + α_ii W_0 g_i),
       h²_i = ReLU(Σ_{j∈N_i} W h¹_j + W' h¹_i).
    4. v = [g | h²], β_i = softmax_j(v_iᵀ W_β v_j) over the conversation, l_i = ReLU(W_l Σ_j β_ij v_j).

    Parameters: 12.92 M in the paper's Table 1; ours are beside it in `results/`. Left open: the relations are too many
    to have matrices of their own, so W_r = Σ_b a_rb V_b (Schlichtkrull et al. 2018); c_{i,r} is |N_i^r|, not learned.
    W_e and W_β start as the identity, so that an utterance is at first most like itself: otherwise β begins as a mean
    over the conversation, in which an utterance's own emotion is lost.
    """

    config: DialogueGcnConfig

    def __init__(self, config: DialogueGcnConfig) -> None:
        super().__init__(config)
        H, G = config.hidden, 2 * config.hidden
        self.context = started_by_width(nn.GRU(sum(config.widths.values()), H, batch_first=True, bidirectional=True))
        self.edge = nn.Linear(G, G, bias=False)
        self.shares = nn.Parameter(torch.randn(2 * config.speakers**2, config.bases) / config.bases**0.5)
        self.bases = nn.Linear(G, config.bases * H, bias=False)
        self.own = nn.Linear(G, H, bias=False)
        self.around = nn.Linear(H, H, bias=False)
        self.kept = nn.Linear(H, H)
        self.match = nn.Linear(G + H, G + H, bias=False)
        for similarity in (self.edge, self.match):
            nn.init.eye_(similarity.weight)
        self.fused = nn.Linear(G + H, H)
        self.emotion = nn.Linear(H, config.classes)
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        mask = batch.mask
        g = self.dropout(run_recurrent(self.context, joined(features), mask))
        near = window(mask, self.config.window, self.config.window)
        weights = masked_softmax(self.edge(g) @ g.mT, near)
        kinds = speaker_pairs(batch.speakers, self.config.speakers)
        heard = self.heard(g, weights / relation_sizes(kinds, near, 2 * self.config.speakers**2), kinds)
        first = (heard + weights.diagonal(dim1=1, dim2=2)[..., None] * self.own(g)).relu()
        second = (near.to(g.dtype) @ self.around(first) + self.kept(first)).relu()
        v = torch.cat([g, self.dropout(second)], dim=-1)
        fused = self.fused(masked_softmax(self.match(v) @ v.mT, pairs(mask)) @ v).relu()
        return Reading(self.emotion(self.dropout(fused)), fused)

    def heard(self, g: Tensor, weights: Tensor, kinds: Tensor) -> Tensor:
        """Σ_j weights_ij · W_{r_ij} g_j, `(B, L, H)`; the bases are applied to utterances, never to edges."""
        each = weights[..., None] * F.embedding(kinds, self.shares)
        values = self.bases(g).unflatten(-1, (self.config.bases, self.config.hidden))
        return torch.einsum("bijn,bjnh->bih", each, values)


def speaker_pairs(speakers: Tensor, count: int) -> Tensor:
    """`(B, L)` → `(B, L, L)`: the number of the relation, 2·(count·speaker of i + speaker of j) + [j after i]."""
    known = speakers.clamp(0, count - 1)
    later = lags(speakers.shape[1], speakers.device) > 0
    return 2 * (count * known[:, :, None] + known[:, None, :]) + later


def relation_sizes(kinds: Tensor, edges: Tensor, count: int) -> Tensor:
    """|N_i^r| for the relation r of each pair, at least 1: `(B, L, L)` relations and edges → `(B, L, L)`."""
    sizes = kinds.new_zeros(*kinds.shape[:2], count).scatter_add_(2, kinds, edges.to(kinds.dtype))
    return sizes.gather(2, kinds).clamp(min=1)
