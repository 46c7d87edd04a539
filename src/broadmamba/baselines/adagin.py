"""AdaIGN: a directed graph of utterances and modalities, of which a policy selects the nodes and edges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.baselines.baseline import (
    Baseline,
    BaselineConfig,
    Reading,
    labelled_mean,
    lags,
    masked_softmax,
    pairs,
    same_speaker,
    speaker_one_hot,
)
from broadmamba.baselines.recurrent import run_recurrent
from broadmamba.data.batching import Batch
from broadmamba.model.interface import Output
from broadmamba.model.settings import require_positive, require_whole


@dataclass(frozen=True, kw_only=True)
class AdaGinConfig(BaselineConfig):
    """Settings of `AdaGin`.

    Attributes:
        layers: of both graph networks.
        speakers: how many have an embedding of their own, the last of which all further ones share.
        temperature: τ of the Gumbel softmax.
        thrift: λ, what a selected node costs whose modality is not the first, and a selected edge between speakers.
    """

    layers: int = 2
    speakers: int = 9
    dropout: float = 0.2
    temperature: float = 1.0
    thrift: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole({"layers": self.layers, "speakers": self.speakers})
        require_positive({"temperature": self.temperature})


class Graph(NamedTuple):
    """Which of the nodes (i, m), utterance i in modality m, hear which.

    Attributes:
        within: `(B, M, L, L)` bool: whether (i, m) hears (j, m), which then is present, and j ≤ i.
        across: `(B, L, M, M)` bool: whether (i, m) hears (i, n), which then is present.
        same: `(B, 1, L, L)` bool: whether i and j are of one speaker.
    """

    within: Tensor
    across: Tensor
    same: Tensor


class Selection(NamedTuple):
    """How far the edges of a `Graph` are selected, each 0 or 1, or a probability; a node always hears itself.

    Attributes:
        within: `(B, M, L, L)`.
        across: `(B, L, M, M)`.
    """

    within: Tensor
    across: Tensor


class AdaGin(Baseline):
    """AdaIGN (Tu, Xie, Liang, Wang, Xu 2024, AAAI 38(17), pp. 19089–19097).

    1. Nodes: h_i^m = GRU_m(W_m x^m)_i + e_speaker(i), a recurrent layer that runs forward only.
    2. Directed graph: node (i, m) hears the nodes (j, m) with j ≤ i, and the nodes (i, n) of its own utterance. One
       layer of the interactive graph network (IGN), with r whether i and j are of one speaker, and k of all nodes:
       h' = LN(h + ReLU(Σ_j α_ij W_r(i,j) h_j^m + Σ_n β_mn W_x h_i^n)), α and β attention among those heard,
       α_ij ∝ s_ij exp(LeakyReLU(a·h_i + b·h_j + c_r)), with s the selection.
    3. Node- and edge-level policy: a node speaks with logit w·h, an edge is kept with logit (W_q h)·(W_k h)/√H + w_r.
       s is the product of both; each is drawn in training by the straight-through Gumbel softmax with two categories.
    4. Graph-level policy: z = g·h_IGN + (1 − g)·h_selected, where g is drawn likewise from the two networks' nodes.
    5. p = softmax(W·ReLU(W_z [z^t | z^a | z^v])).
    6. L = CE + λ·(share of nodes selected that are not of text + share of edges selected between speakers), so that
       text and a speaker's own past are preferred.

    Parameters: 6.3 M in the paper's Table 1; ours are beside it in `results/`. How it is read here: in evaluation
    nothing is drawn, and s and g are what a draw is on average, the probabilities themselves, so that rounding cannot
    flip a choice. The two networks have weights of their own, each shared by all modalities. The policy reads the nodes
    of step 1 once, for all layers. Where there is no text, the first modality is preferred in its stead; with one
    modality, there are no edges across. Left open: the paper's pseudo labels, made beforehand by self-supervision,
    which only spare the policy some of the nodes; the encoder of step 1; the form of the policies; λ, and dropout.
    """

    config: AdaGinConfig

    def __init__(self, config: AdaGinConfig) -> None:
        super().__init__(config)
        H, M = config.hidden, len(config.widths)
        self.projections = nn.ModuleDict({m: nn.Linear(width, H) for m, width in config.widths.items()})
        self.contexts = nn.ModuleDict({m: nn.GRU(H, H, batch_first=True) for m in config.widths})
        self.speaker = nn.Linear(config.speakers, H, bias=False)
        self.whole = nn.ModuleList([GraphLayer(H, M > 1) for _ in range(config.layers)])
        self.selected = nn.ModuleList([GraphLayer(H, M > 1) for _ in range(config.layers)])
        self.policy = Policy(H, M > 1)
        self.which = nn.Linear(2 * H, 1)
        self.joint = nn.Linear(M * H, H)
        self.emotion = nn.Linear(H, config.classes)
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        h = self.nodes(features, batch)
        here = torch.stack(list(present.values()), dim=1)
        graph = directed_graph(here, batch.mask, batch.speakers)
        nodes, within, across = (self._draw(logit) for logit in self.policy(h, graph.same))
        selection = Selection(within * nodes[:, :, None, :], across * nodes.mT[:, :, None, :])
        everything = Selection(torch.ones_like(within), torch.ones_like(across))
        whole = self._run(self.whole, h, graph, everything)
        chosen = self._run(self.selected, h, graph, selection)
        g = self._draw(self.which(torch.cat([whole, chosen], dim=-1)))
        z = g * whole + (1 - g) * chosen
        fused = self.joint(self.dropout(z.transpose(1, 2).flatten(2))).relu()
        cost = share(nodes[:, 1:], here[:, 1:], (1,)) + share(within, graph.within & ~graph.same, (1, 3))
        return Reading(self.emotion(self.dropout(fused)), fused, parts={"cost": cost})

    def nodes(self, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Step 1: `(B, M, L, H)`."""
        nodes = []
        for m, x in features.items():
            context = self.contexts[m]
            assert isinstance(context, nn.GRU)
            x = run_recurrent(context, self.dropout(self.projections[m](x)), batch.mask)
            nodes.append(x + self.speaker(speaker_one_hot(batch.speakers, self.config.speakers, x.dtype)))
        return torch.stack(nodes, dim=1)

    def auxiliary(self, output: Output, labels: Tensor) -> dict[str, Tensor]:
        """See `Baseline`."""
        return {"thrift": self.config.thrift * labelled_mean(output.terms["cost"], labels)}

    def _draw(self, logit: Tensor) -> Tensor:
        return draw(logit, self.config.temperature) if self.training else logit.sigmoid()

    def _run(self, layers: nn.ModuleList, h: Tensor, graph: Graph, selection: Selection) -> Tensor:
        for layer in layers:
            h = layer(self.dropout(h), graph, selection)
        return h


class Policy(nn.Module):
    """Step 3: the logits by which nodes and edges are selected.

    Args:
        hidden: H.
        across: whether there are several modalities.
    """

    def __init__(self, hidden: int, across: bool) -> None:
        super().__init__()
        self.node = nn.Linear(hidden, 1)
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.relation = nn.Parameter(torch.zeros(2))
        self.modality = nn.Parameter(torch.zeros(1)) if across else None

    def forward(self, h: Tensor, same: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of nodes, `(B, M, L)`, of edges within modalities, `(B, M, L, L)`, and across, `(B, L, M, M)`."""
        q, k = self.query(h) / math.sqrt(h.shape[-1]), self.key(h)
        within = q @ k.mT + torch.where(same, *self.relation)
        across = q.transpose(1, 2) @ k.transpose(1, 2).mT
        if self.modality is not None:
            across = across + self.modality
        return self.node(h).squeeze(-1), within, across


class GraphLayer(nn.Module):
    """Step 2: one layer of the interactive graph network.

    Args:
        hidden: H.
        across: whether there are several modalities.
    """

    def __init__(self, hidden: int, across: bool) -> None:
        super().__init__()
        self.own, self.other = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden, bias=False)
        self.score = nn.Linear(hidden, 2, bias=False)
        self.relation = nn.Parameter(torch.zeros(2))
        self.cross = nn.Linear(hidden, hidden, bias=False) if across else None
        self.cross_score = nn.Linear(hidden, 2, bias=False) if across else None
        self.norm = nn.LayerNorm(hidden)

    def forward(self, h: Tensor, graph: Graph, selection: Selection) -> Tensor:
        """Nodes `(B, M, L, H)` → nodes."""
        hears, heard = self.score(h).unbind(-1)
        scores = F.leaky_relu(hears[..., :, None] + heard[..., None, :] + torch.where(graph.same, *self.relation), 0.2)
        shares = selected_softmax(scores, graph.within, selection.within)
        message = (shares * graph.same) @ self.own(h) + (shares * ~graph.same) @ self.other(h)
        if self.cross is not None and self.cross_score is not None:
            utterance = h.transpose(1, 2)
            hears, heard = self.cross_score(utterance).unbind(-1)
            scores = F.leaky_relu(hears[..., :, None] + heard[..., None, :], 0.2)
            shares = selected_softmax(scores, graph.across, selection.across)
            message = message + (shares @ self.cross(utterance)).transpose(1, 2)
        out: Tensor = self.norm(h + message.relu())
        return out


def directed_graph(here: Tensor, mask: Tensor, speakers: Tensor) -> Graph:
    """Who hears whom.

    Args:
        here: `(B, M, L)` bool, where a modality is present.
        mask: `(B, L)` bool, where there are utterances.
        speakers: `(B, L)`.
    """
    past = pairs(mask) & (lags(mask.shape[1], mask.device) <= 0)
    M = here.shape[1]
    across = here.mT[:, :, None, :].expand(-1, -1, M, -1)
    return Graph(past[:, None] & here[:, :, None, :], across, same_speaker(speakers)[:, None])


def draw(logit: Tensor, temperature: float) -> Tensor:
    """1 with probability σ(logit), else 0, and the gradient of the relaxed draw: straight-through Gumbel softmax.

    Of two categories, keep and drop, only the difference of their logits counts, and that of two Gumbel variables is
    logistic: the share of `keep` is σ((logit + noise) / τ).
    """
    u = torch.rand_like(logit).clamp(min=torch.finfo(logit.dtype).eps, max=1 - torch.finfo(logit.dtype).eps)
    soft = ((logit + u.log() - (-u).log1p()) / temperature).sigmoid()
    return (soft > 0.5).to(soft.dtype) + soft - soft.detach()


def selected_softmax(scores: Tensor, where: Tensor, selection: Tensor) -> Tensor:
    """Attention among the selected: s·exp(score) / Σ s·exp(score) over the last axis.

    Args:
        scores: `(…, N, N)`.
        where: `(…, N, N)` bool, among which others there is anything to hear; all zero where there is nothing.
        selection: `(…, N, N)` s, from 0 to 1; that of a node for itself is taken for 1, so that something is left.
    """
    itself = torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device)
    shares = masked_softmax(scores, where) * selection.masked_fill(itself, 1.0)
    return shares / shares.sum(-1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)


def share(selected: Tensor, where: Tensor, axes: tuple[int, ...]) -> Tensor:
    """How much is selected among the places where `where` holds, from 0 to 1; 0 where it holds nowhere."""
    return (selected * where).sum(axes) / where.sum(axes).clamp(min=1)
