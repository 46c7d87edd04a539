"""LR-GCN: a graph of speakers, and latent graphs over all utterances that attention makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from broadmamba.baselines.baseline import Baseline, BaselineConfig, Reading, joined, masked_softmax, pairs
from broadmamba.baselines.graph import RELATIONS, gather_relations, mean_weights, relations, window
from broadmamba.baselines.recurrent import run_recurrent, started_by_width
from broadmamba.data.batching import Batch
from broadmamba.model.settings import require_divisors, require_whole


@dataclass(frozen=True, kw_only=True)
class LrGcnConfig(BaselineConfig):
    """Settings of `LrGcn`.

    Attributes:
        window: utterances before, and after, that an utterance has edges to in the graph of speakers.
        graphs: K, latent graphs, one for each head of attention.
        layers: D, of the densely connected convolution over each graph; they share the channels.
    """

    dropout: float = 0.3
    window: int = 10
    graphs: int = 4
    layers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole({"window": self.window, "graphs": self.graphs, "layers": self.layers})
        require_divisors("hidden", self.hidden, {"graphs": self.graphs, "layers": self.layers})


class LrGcn(Baseline):
    """LR-GCN (Ren, Huang, Li, Song, Nie 2022, IEEE Transactions on Multimedia 24, pp. 4422–4432).

    1. g = biGRU(x), x all modalities side by side.
    2. Graph of speakers, over the four `RELATIONS` r of a window:
       h_i = ReLU(W_0 g_i + Σ_r 1/|N_i^r| Σ_{j∈N_i^r} W_r g_j).
    3. Latent relations, K graphs over all utterances: A^k = softmax(h Q_k (h K_k)ᵀ/√d).
    4. Over each graph, D convolutions, each of which reads h and all before it:
       c^{k,l} = ReLU(A^k [h | c^{k,1} | … | c^{k,l−1}] W_{k,l} + b_{k,l}), z^k = h + [c^{k,1} | … | c^{k,D}].
    5. z = W_z[z^1 | … | z^K], p = softmax(W·ReLU(W_f [g | z])).

    Parameters: 15.77 M in the paper's Table 1; ours are beside it in `results/`. Left open: the layer of step 1 (a GRU
    learned faster than an LSTM on MELD's dev split); the window and the relations of the graph of speakers; each of
    the D convolutions gives H/D channels, as in the attention-guided networks for relation extraction of Guo, Zhang
    and Lu (2019), which have such latent graphs with dense connections too.
    """

    config: LrGcnConfig

    def __init__(self, config: LrGcnConfig) -> None:
        super().__init__(config)
        H, K, D = config.hidden, config.graphs, config.layers
        self.context = started_by_width(nn.GRU(sum(config.widths.values()), H, batch_first=True, bidirectional=True))
        self.own = nn.Linear(2 * H, H)
        self.heard = nn.Linear(2 * H, len(RELATIONS) * H, bias=False)
        self.query = nn.Linear(H, H, bias=False)
        self.key = nn.Linear(H, H, bias=False)
        self.branches = nn.ModuleList([DenseConvolution(H, D, config.dropout) for _ in range(K)])
        self.combined = nn.Linear(K * H, H)
        self.fused = nn.Linear(3 * H, H)
        self.emotion = nn.Linear(H, config.classes)
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        g = self.dropout(run_recurrent(self.context, joined(features), batch.mask))
        h = self.speaker_graph(g, relations(batch.speakers, window(batch.mask, self.config.window, self.config.window)))
        graphs = self.latent_graphs(h, batch.mask)
        z = self.combined(torch.cat([branch(h, graphs[:, k]) for k, branch in enumerate(self.branches)], dim=-1))
        fused = self.fused(torch.cat([g, z], dim=-1)).relu()
        return Reading(self.emotion(self.dropout(fused)), fused)

    def speaker_graph(self, g: Tensor, edges: Tensor) -> Tensor:
        """Step 2, h: `(B, L, 2H)` and `(B, R, L, L)` bool → `(B, L, H)`."""
        values = self.heard(g).unflatten(-1, (len(RELATIONS), self.config.hidden))
        heard = gather_relations(mean_weights(edges, g.dtype), values).sum(2)
        h: Tensor = (self.own(g) + heard).relu()
        return h

    def latent_graphs(self, h: Tensor, mask: Tensor) -> Tensor:
        """Step 3, A: `(B, K, L, L)`."""
        split = (self.config.graphs, self.config.hidden // self.config.graphs)
        query, key = (layer(h).unflatten(-1, split).transpose(1, 2) for layer in (self.query, self.key))
        return masked_softmax(query @ key.mT / split[1] ** 0.5, pairs(mask)[:, None])


class DenseConvolution(nn.Module):
    """Step 4 of `LrGcn`, over one graph.

    Args:
        channels: H.
        layers: D, a divisor of H.
        dropout: after each layer.
    """

    def __init__(self, channels: int, layers: int, dropout: float) -> None:
        super().__init__()
        part = channels // layers
        self.layers = nn.ModuleList([nn.Linear(channels + i * part, part) for i in range(layers)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, graph: Tensor) -> Tensor:
        """`(B, L, H)` and `(B, L, L)` → z^k, `(B, L, H)`."""
        read = h
        for layer in self.layers:
            read = torch.cat([read, self.dropout(layer(graph @ read).relu())], dim=-1)
        return h + read[..., h.shape[-1] :]
