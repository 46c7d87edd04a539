"""M3NET: relations of many utterances and modalities at once by a hypergraph, low and high frequencies by a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from broadmamba.baselines.baseline import Baseline, BaselineConfig, Reading, masked_softmax, speaker_one_hot
from broadmamba.baselines.recurrent import run_recurrent
from broadmamba.data.batching import Batch
from broadmamba.model.settings import require_whole


@dataclass(frozen=True, kw_only=True)
class M3NetConfig(BaselineConfig):
    """Settings of `M3Net`.

    Attributes:
        hypergraph_layers: layers of the multivariate propagation.
        frequency_layers: layers of the multi-frequency propagation.
        speakers: how many speakers of a conversation have an embedding of their own; later ones share the last.
    """

    hidden: int = 128
    hypergraph_layers: int = 3
    frequency_layers: int = 3
    speakers: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        layers = {"hypergraph_layers": self.hypergraph_layers, "frequency_layers": self.frequency_layers}
        require_whole(layers | {"speakers": self.speakers})


class M3Net(Baseline):
    """M3NET (Chen, Shao, Zhu, Chen 2023, CVPR, "Multivariate, Multi-Frequency and Multimodal", pp. 10761–10770).

    1. A node for each utterance and modality it has: x^m = W_m u^m + S(speaker), text through a biGRU.
    2. Multivariate: L hypergraph convolutions of v⁰ = x, see `HypergraphConvolution`.
    3. Multi-frequency: K propagations of g⁰ = x that keep low or high frequencies, see `FrequencyPropagation`.
    4. p = softmax(W·ReLU([v^L | g^K] of all modalities) + b).

    Parameters: not in the paper's Table 1. Left open: how the weight of a node in a hyperedge comes about for
    conversations of any length (we let the node's own features say it), hyperedges' weights (one for each kind), σ of
    the hypergraph convolution (leaky ReLU), and where dropout stands (on the nodes and before the classifier). The
    node of a modality that an utterance lacks is in no edge and stays zero.
    """

    config: M3NetConfig

    def __init__(self, config: M3NetConfig) -> None:
        super().__init__(config)
        H, M = config.hidden, len(config.widths)
        self.projections = nn.ModuleDict({m: nn.Linear(width, H) for m, width in config.widths.items()})
        self.context = nn.GRU(H, H, batch_first=True, bidirectional=True) if "text" in config.widths else None
        self.text = nn.Linear(2 * H, H) if "text" in config.widths else None
        self.speaker = nn.Linear(config.speakers, H, bias=False)
        self.multivariate = nn.ModuleList(HypergraphConvolution(M, H) for _ in range(config.hypergraph_layers))
        self.multi_frequency = nn.ModuleList(FrequencyPropagation(H) for _ in range(config.frequency_layers))
        self.emotion = nn.Linear(2 * M * H, config.classes)
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        here = torch.stack(list(present.values()), dim=1)
        x = torch.stack([self.encode(m, u, batch.mask) for m, u in features.items()], dim=1)
        one_hot = speaker_one_hot(batch.speakers, self.config.speakers, x.dtype)
        x = self.dropout(x + self.speaker(one_hot)[:, None]) * here[..., None]
        v = g = x
        for layer in self.multivariate:
            v = layer(v, here)
        for layer in self.multi_frequency:
            g = layer(g, here)
        fused = torch.cat([v, g], dim=-1).transpose(1, 2).flatten(2).relu()
        return Reading(self.emotion(self.dropout(fused)), fused)

    def encode(self, modality: str, u: Tensor, mask: Tensor) -> Tensor:
        """One modality's utterances, `(B, L, width)` → `(B, L, H)`."""
        x: Tensor = self.projections[modality](u)
        if modality == "text" and self.context is not None and self.text is not None:
            x = self.text(run_recurrent(self.context, self.dropout(x), mask))
        return x


class HypergraphConvolution(nn.Module):
    """V' = σ(D⁻¹ H W B⁻¹ Ĥᵀ V Θ) over two kinds of hyperedges: a modality's context, and an utterance's modalities.

    Ĥ has the weight of each node in each of its hyperedges, γ_e(v) = exp(w·v) with w for each kind and modality; B
    sums them over a hyperedge; W has a weight for each kind of hyperedge (the contexts of M modalities are M kinds);
    D sums those over the two hyperedges that each node is in.

    Args:
        M: modalities.
        H: channels.
    """

    def __init__(self, M: int, H: int) -> None:
        super().__init__()
        self.theta = nn.Linear(H, H)
        self.in_context = nn.Parameter(torch.randn(M, H) / H**0.5)
        # The one modality of an utterance makes up its hyperedge whatever it weighs.
        self.in_utterance = nn.Parameter(torch.randn(M, H) / H**0.5) if M > 1 else None
        self.edges = nn.Parameter(torch.zeros(M + 1))

    def forward(self, v: Tensor, here: Tensor) -> Tensor:
        """Nodes `(B, M, L, H)`, of which those count that are `here` `(B, M, L)`; the others come out as zero."""
        x = self.theta(v)
        in_context = masked_softmax(_scores(v, self.in_context), here)
        in_utterance = masked_softmax(_scores(v, self.in_utterance).transpose(1, 2), here.transpose(1, 2))
        contexts = torch.einsum("bml,bmlh->bmh", in_context, x)
        utterances = torch.einsum("blm,bmlh->blh", in_utterance, x)
        context, utterance = self.edges[:-1, None, None].exp(), self.edges[-1].exp()
        told = (context * contexts[:, :, None] + utterance * utterances[:, None]) / (context + utterance)
        return nn.functional.leaky_relu(told) * here[..., None]


def _scores(v: Tensor, w: Tensor | None) -> Tensor:
    """Log of what each node weighs in a hyperedge, `(B, M, L)`; without w all weigh the same."""
    return torch.zeros_like(v[..., 0]) if w is None else (v * w[:, None]).sum(-1)


class FrequencyPropagation(nn.Module):
    """g'_i = g_i + Σ_j (r^L_ij − r^H_ij)/√(d_i d_j) · g_j, over the neighbours j of a node i.

    Neighbours are all the conversation's other nodes of i's modality, and the utterance's nodes of other modalities;
    d counts them. r^L and r^H sum to 1: how much of what both have in common (low frequency, g_i + g_j) and in which
    they differ (high frequency, g_i − g_j) is kept; r^L_ij − r^H_ij = tanh(w·[g_i | g_j]).

    Args:
        H: channels.
    """

    def __init__(self, H: int) -> None:
        super().__init__()
        self.receiver = nn.Linear(H, 1)
        self.sender = nn.Linear(H, 1, bias=False)

    def forward(self, g: Tensor, here: Tensor) -> Tensor:
        """Nodes `(B, M, L, H)`, of which those count that are `here` `(B, M, L)`; the others stay zero."""
        neighbours = here.sum(-1, keepdim=True) + here.sum(1, keepdim=True) - 2
        scale = neighbours.clamp(min=1).to(g.dtype).rsqrt()[..., None]
        in_context = self._told(g, scale * g, here)
        in_utterance = self._told(g.transpose(1, 2), (scale * g).transpose(1, 2), here.transpose(1, 2)).transpose(1, 2)
        return g + scale * (in_context + in_utterance)

    def _told(self, g: Tensor, message: Tensor, here: Tensor) -> Tensor:
        """What the nodes of each group tell one another: `(B, groups, nodes, H)`, each the `message` of its own."""
        itself = torch.eye(here.shape[-1], dtype=torch.bool, device=here.device)
        edges = here[..., :, None] & here[..., None, :] & ~itself
        return (torch.tanh(self.receiver(g) + self.sender(g).transpose(-1, -2)) * edges) @ message
