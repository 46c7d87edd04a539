"""GraphSmile: graphs of two modalities, inter- and intra-modal by turns, and the dynamics of sentiment beside them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.baselines.baseline import Baseline, BaselineConfig, Reading, lags, speaker_one_hot
from broadmamba.data.batching import UNLABELLED, Batch
from broadmamba.errors import InputError
from broadmamba.model.interface import Output
from broadmamba.model.settings import require_whole

POLARITIES = "-0+"
"""Negative, neutral, positive: the coarse sentiments."""


@dataclass(frozen=True, kw_only=True)
class GraphSmileConfig(BaselineConfig):
    """Settings of `GraphSmile`; but for `hidden` they start as its authors have them for MELD.

    Attributes:
        layers: of each graph, inter- and intra-modal by turns, inter-modal first.
        past: how many utterances back an edge reaches.
        future: how many utterances ahead.
        speakers: how many speakers of a conversation have an embedding of their own; later ones share the last.
        polarity: the sentiment of each emotion in the order of labels, such as `+-0-`; left out, each emotion is a
            sentiment of its own.
        shift_window: how many utterances back shifts of sentiment are looked for.
        sentiment: weight of the loss of sentiments.
        shift: weight of the loss of shifts.
    """

    hidden: int = 128
    dropout: float = 0.2
    layers: int = 5
    past: int = 3
    future: int = 3
    speakers: int = 9
    polarity: str = ""
    shift_window: int = 3
    sentiment: float = 0.5
    shift: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole({"layers": self.layers, "speakers": self.speakers, "shift_window": self.shift_window})
        require_whole({"past": self.past, "future": self.future}, least=0)
        for name, weight in (("sentiment", self.sentiment), ("shift", self.shift)):
            if not weight >= 0:
                raise InputError(f"{name}: expected a weight of at least 0, found {weight}")
        if self.polarity and (len(self.polarity) != self.classes or set(self.polarity) - set(POLARITIES)):
            raise InputError(
                f"polarity: expected + 0 or - for each of {self.classes} emotions, found {self.polarity!r}"
            )

    @property
    def sentiments(self) -> tuple[int, ...]:
        """The number of each emotion's sentiment, in the order of labels."""
        return tuple(map(POLARITIES.index, self.polarity)) if self.polarity else tuple(range(self.classes))


class GraphSmile(Baseline):
    """GraphSmile (Li, Wang, Zeng 2024, "Tracing Intricate Cues in Dialogue", arXiv 2407.21536; 2025, IEEE TPAMI).

    1. A node for each utterance and modality it has: x^m = ReLU(W_m u^m) + S(speaker).
    2. Graph structure: for each pair of modalities a graph of both their nodes, see `PairGraph`; one modality alone
       has a graph of its own, of intra-modal layers only. f = ReLU(W·[the nodes of all graphs]), and the emotion
       p = softmax(W_e f).
    3. Sentiment dynamics: the sentiment q = softmax(W_s f), and for each utterance j of the `shift_window` before
       utterance i whether the sentiment has shifted between them, r_ij = σ(w·ReLU(W [f_i | f_j])).

    L = L_emotion + `sentiment`·L_sentiment + `shift`·L_shift, cross-entropies all.

    Deviation: whether a sentiment shifts is known from two labels, s_i ≠ s_j, so that the loss would be a mean over
    pairs and not over labelled utterances. Here r_ij shall be 1 − q_j(s_i), how unlikely utterance j has the
    sentiment that i is labelled with: the model's own belief, through which no gradient flows, in place of the second
    label, which in training it soon comes close to. An utterance's loss is the mean over the j before it.

    Parameters: not in the paper's Table 1. Left open, as we read it: edges of a graph weigh the same and are
    normalised by the receiving node's degree; graph layers have a residual and a layer norm; how the graphs are brought
    together (side by side); speakers' embeddings, so that it knows no less than the systems it stands beside. The node
    of a modality that an utterance lacks is in no edge and stays zero.
    """

    config: GraphSmileConfig

    def __init__(self, config: GraphSmileConfig) -> None:
        super().__init__(config)
        H, M = config.hidden, len(config.widths)
        self.projections = nn.ModuleDict({m: nn.Linear(width, H) for m, width in config.widths.items()})
        self.speaker = nn.Linear(config.speakers, H, bias=False)
        self.modality_pairs = [list(pair) for pair in itertools.combinations(range(M), 2)] or [[0]]
        self.graphs = nn.ModuleList(
            PairGraph(H, config.layers, config.dropout, inter=len(pair) == 2) for pair in self.modality_pairs
        )
        self.fused = nn.Linear(sum(map(len, self.modality_pairs)) * H, H)
        self.emotion = nn.Linear(H, config.classes)
        self.sentiment = nn.Linear(H, max(config.sentiments) + 1)
        self.shift = nn.Sequential(nn.Linear(2 * H, H), nn.ReLU(), nn.Linear(H, 1))
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        here = torch.stack(list(present.values()), dim=1)
        x = torch.stack([self.projections[m](u).relu() for m, u in features.items()], dim=1)
        one_hot = speaker_one_hot(batch.speakers, self.config.speakers, x.dtype)
        x = self.dropout(x + self.speaker(one_hot)[:, None]) * here[..., None]
        lag = lags(x.shape[2], x.device)
        window = (lag >= -self.config.past) & (lag <= self.config.future)
        nodes = [
            graph(x[:, pair], here[:, pair], window)
            for graph, pair in zip(self.graphs, self.modality_pairs, strict=True)
        ]
        f = self.fused(self.dropout(torch.cat(nodes, dim=1).transpose(1, 2).flatten(2))).relu()
        h = self.dropout(f)
        before, _ = self.before(h)
        shift = self.shift(torch.cat([h[:, :, None].expand_as(before), before], dim=-1)).squeeze(-1)
        return Reading(self.emotion(h), f, parts={"sentiment": self.sentiment(h), "shift": shift})

    def auxiliary(self, output: Output, labels: Tensor) -> dict[str, Tensor]:
        """See `Baseline`."""
        labelled = labels != UNLABELLED
        sentiments = torch.tensor(self.config.sentiments, device=labels.device)[labels.clamp(min=0)]
        logits, shift = output.terms["sentiment"], output.terms["shift"]
        beliefs, there = self.before(logits.detach().softmax(-1))
        wanted = sentiments[:, :, None, None].expand(*shift.shape, 1)
        target = 1 - beliefs.gather(-1, wanted).squeeze(-1)
        shifts = F.binary_cross_entropy_with_logits(shift, target, reduction="none") * there
        losses = {
            "sentiment": self.config.sentiment * F.cross_entropy(logits.transpose(1, 2), sentiments, reduction="none"),
            "shift": self.config.shift * shifts.sum(-1) / there.sum(-1).clamp(min=1),
        }
        return {name: (each * labelled).sum() / labelled.sum().clamp(min=1) for name, each in losses.items()}

    def before(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What stands 1, 2, … `shift_window` utterances before each: `(B, L, ·)` → `(B, L, window, ·)`.

        Returns:
            This; and `(L, window)`, whether there is such an utterance.
        """
        places = torch.arange(x.shape[1], device=x.device)[:, None]
        places = places - torch.arange(1, self.config.shift_window + 1, device=x.device)
        return x[:, places.clamp(min=0)], places >= 0


class PairGraph(nn.Module):
    """The graph of two modalities (or of one): x'_i = LayerNorm(x_i + ReLU(W · mean of x_j over i's neighbours j)).

    Neighbours stand in i's window of past and future, i's own utterance included: in an inter-modal layer the nodes of
    the other modality, in an intra-modal layer those of its own. The layers are of one and the other kind by turns, so
    that no layer has to merge both.

    Args:
        H: channels.
        layers: how many.
        dropout: of what the neighbours tell.
        inter: whether there are two modalities, so that inter-modal layers come before intra-modal ones.
    """

    def __init__(self, H: int, layers: int, dropout: float, inter: bool) -> None:
        super().__init__()
        self.inter = [inter and number % 2 == 0 for number in range(layers)]
        self.maps = nn.ModuleList(nn.Linear(H, H) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(H) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, here: Tensor, window: Tensor) -> Tensor:
        """Nodes `(B, 1 or 2, L, H)`, of which those count that are `here`; `window` `(L, L)` bool. Others stay zero."""
        for inter, mapped, norm in zip(self.inter, self.maps, self.norms, strict=True):
            told = neighbours_mean(x, here, window, inter)
            x = norm(x + self.dropout(mapped(told).relu())) * here[..., None]
        return x


def neighbours_mean(x: Tensor, here: Tensor, window: Tensor, inter: bool) -> Tensor:
    """Mean of each node's neighbours in its window, of the other modality if `inter`; zero where there are none."""
    senders, told = (here.flip(1), x.flip(1)) if inter else (here, x)
    edges = (window & here[..., :, None] & senders[..., None, :]).to(x.dtype)
    return edges @ told / edges.sum(-1, keepdim=True).clamp(min=1)
