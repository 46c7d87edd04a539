"""RGAT: graph attention by relation, told of the order of utterances by relational position encodings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.baselines.baseline import Baseline, BaselineConfig, Reading, joined, masked_softmax
from broadmamba.baselines.graph import RELATIONS, relations, window
from broadmamba.data.batching import Batch
from broadmamba.model.settings import require_divisors, require_whole


@dataclass(frozen=True, kw_only=True)
class RgatConfig(BaselineConfig):
    """Settings of `Rgat`.

    Attributes:
        window: utterances before, and after, that an utterance attends to.
        heads: of attention; they share the channels.
        layers: of graph attention.
    """

    hidden: int = 128
    dropout: float = 0.3
    window: int = 10
    heads: int = 4
    layers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole({"window": self.window, "heads": self.heads, "layers": self.layers})
        require_divisors("hidden", self.hidden, {"heads": self.heads})


class Rgat(Baseline):
    """RGAT (Ishiwatari, Yasuda, Miyazaki, Goto 2020, EMNLP, pp. 7360–7370).

    1. u = W_u x, x all modalities side by side: it stands for their BERT, which reads each utterance by itself.
    2. In each layer and head, over the four `RELATIONS` r of a window,
       α_ij = softmax_j(LeakyReLU(a_rᵀ[W_r u_i | W_r u_j]) + P_r(n_ij)), u'_i = Σ_r Σ_{j∈N_i^r} α_ij W_r u_j,
       then u ← LN(u + u'), u ← LN(u + FFN(u)).
    3. p = softmax(W·ReLU(W_h [W_u x | u])).

    P is the relational position encoding: n_ij is how many utterances of relation r stand between i and j.

    Parameters: 15.28 M in the paper's Table 1; ours are beside it in `results/`. Left open: the softmax is over the
    neighbours of all relations together; P is a learned number for each relation, position and head; heads, layers
    and how wide the feed-forward layers are (2H).
    """

    config: RgatConfig

    def __init__(self, config: RgatConfig) -> None:
        super().__init__(config)
        H = config.hidden
        self.encode = nn.Linear(sum(config.widths.values()), H)
        self.layers = nn.ModuleList([RelationalAttention(config) for _ in range(config.layers)])
        self.fused = nn.Linear(2 * H, H)
        self.emotion = nn.Linear(H, config.classes)
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        start = u = self.encode(self.dropout(joined(features)))
        edges = relations(batch.speakers, window(batch.mask, self.config.window, self.config.window))
        for layer in self.layers:
            u = layer(u, edges)
        fused = self.fused(self.dropout(torch.cat([start, u], dim=-1))).relu()
        return Reading(self.emotion(self.dropout(fused)), fused)


class RelationalAttention(nn.Module):
    """One layer of `Rgat`: attention by relation, then a feed-forward layer."""

    def __init__(self, config: RgatConfig) -> None:
        super().__init__()
        H, R = config.hidden, len(RELATIONS)
        self.split = (R, config.heads, H // config.heads)
        self.value = nn.Linear(H, R * H, bias=False)
        self.asking = nn.Parameter(torch.randn(self.split) / self.split[-1] ** 0.5)
        self.asked = nn.Parameter(torch.randn(self.split) / self.split[-1] ** 0.5)
        self.position = nn.Parameter(torch.zeros(R * (config.window + 1), config.heads))
        self.attended = nn.LayerNorm(H)
        self.feed = nn.Sequential(nn.Linear(H, 2 * H), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(2 * H, H))
        self.fed = nn.LayerNorm(H)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, u: Tensor, edges: Tensor) -> Tensor:
        """`(B, L, H)` and `(B, R, L, L)` bool → `(B, L, H)`."""
        u = self.attended(u + self.dropout(self.attend(u, edges)))
        fed: Tensor = self.fed(u + self.dropout(self.feed(u)))
        return fed

    def attend(self, u: Tensor, edges: Tensor) -> Tensor:
        """u', see `Rgat`."""
        values = self.value(u).unflatten(-1, self.split)
        # aᵀ[x | y] is a sum of a number for each utterance, so no pair of utterances is ever put side by side.
        asking, asked = ((values * a).sum(-1).permute(0, 3, 2, 1) for a in (self.asking, self.asked))
        scores = F.leaky_relu(asking[..., :, None] + asked[..., None, :], 0.2)  # (B, heads, R, L, L)
        kind = edges.to(u.dtype)
        scores = (scores * kind[:, None]).sum(2) + self.encoding(edges)
        shares = masked_softmax(scores, edges.any(1)[:, None])
        return torch.einsum("bhij,brij,bjrhd->bihd", shares, kind, values).flatten(2)

    def encoding(self, edges: Tensor) -> Tensor:
        """P_r(n_ij), `(B, heads, L, L)`."""
        kind = torch.arange(edges.shape[1], device=edges.device)[:, None, None]
        rows = self.position.shape[0] // edges.shape[1] * kind + relational_positions(edges)
        return F.embedding((rows * edges).sum(1), self.position).permute(0, 3, 1, 2)


def relational_positions(edges: Tensor) -> Tensor:
    """n_ij: how many utterances of j's relation to i are nearer to i, `(B, R, L, L)`, right on edges alone."""
    upto = edges.cumsum(-1)
    later = torch.ones_like(edges[0, 0]).triu(1)
    return torch.where(later, upto - 1, upto[..., -1:] - upto)
