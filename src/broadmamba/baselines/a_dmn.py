"""A-DMN: what moves a speaker from within and from the others, apart, and a memory that asks both several times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from broadmamba.baselines.baseline import (
    Baseline,
    BaselineConfig,
    Reading,
    joined,
    masked_softmax,
    pairs,
    same_speaker,
)
from broadmamba.baselines.recurrent import run_recurrent
from broadmamba.data.batching import Batch
from broadmamba.model.packing import Packing, SpeakerTurns
from broadmamba.model.settings import require_whole


@dataclass(frozen=True, kw_only=True)
class ADmnConfig(BaselineConfig):
    """Settings of `ADmn`.

    Attributes:
        episodes: how often the memory asks.
    """

    episodes: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole({"episodes": self.episodes})


class ADmn(Baseline):
    """Adapted Dynamic Memory Network (Xing, Mai, Hu 2022, IEEE Trans. Affective Computing 13(3), pp. 1426–1439).

    With x_t all modalities of utterance t side by side and u_t = tanh(W x_t + b):

    1. influence of the others, facts f^g = biGRU_g(u) over the whole conversation;
    2. influence of oneself, facts f^s = biGRU_s(u) over the utterances of each speaker alone;
    3. episode k for the question q = u_t: from the facts of either kind, a^{g,k}_i = softmax_i(f^g_iᵀ (W^g_q q +
       W^g_m m^{k−1}) / √H) and e^{g,k} = Σ_i a^{g,k}_i f^g_i, over all utterances i; e^{s,k} likewise with weights of
       its own, over those of t's speaker;
    4. the memory, m^k = GRU_m(e^{g,k} ⊕ e^{s,k}, m^{k−1}), starting from m^0 = q;
    5. p_t = softmax(W·ReLU(W_h m^K)).

    Parameters: the paper's Table 1 gives none; ours are beside it in `results/`. Left open: that the GRUs read in both
    directions, their two states being added; that all speakers share the weights of GRU_s, since those of the test
    split are new; that an episode is a weighted sum rather than an attention GRU, since the facts know their order;
    that the gate compares by products alone; how often it asks (K = 3, with the same weights); and dropout (on facts
    and before each dense layer of the answer). The modalities are joined side by side in place of the paper's
    convolution. Utterances whose speaker is unknown are one speaker's.
    """

    config: ADmnConfig

    def __init__(self, config: ADmnConfig) -> None:
        super().__init__(config)
        H = config.hidden
        self.utterance = nn.Linear(sum(config.widths.values()), H)
        self.others = nn.GRU(H, H, batch_first=True, bidirectional=True)
        self.oneself = nn.GRU(H, H, batch_first=True, bidirectional=True)
        self.gates = nn.ModuleList(Gate(H) for _ in range(2))
        self.memory = nn.GRUCell(2 * H, H)
        self.dense = nn.Linear(H, H)
        self.emotion = nn.Linear(H, config.classes)
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        mask, speakers = batch.mask, batch.speakers
        u = torch.tanh(self.utterance(joined(features)))
        facts = [
            _added(run_recurrent(self.others, u, mask)),
            _added(run_by_speaker(self.oneself, u, mask, speakers)),
        ]
        m = self.recall(u, [self.dropout(f) for f in facts], [pairs(mask), pairs(mask) & same_speaker(speakers)])
        fused = self.dense(self.dropout(m)).relu()
        return Reading(self.emotion(self.dropout(fused)), fused)

    def recall(self, question: Tensor, facts: list[Tensor], where: list[Tensor]) -> Tensor:
        """m^K, the memory after all episodes.

        Args:
            question: `(B, L, H)`.
            facts: of the others and of oneself, each `(B, L, H)`.
            where: `(B, L, L)` bool for each of them, whether the question of the one utterance asks the other.

        Returns:
            `(B, L, H)`.
        """
        memory = question
        for _ in range(self.config.episodes):
            asked = zip(self.gates, facts, where, strict=True)
            episode = torch.cat([gate(question, memory, f, w) for gate, f, w in asked], dim=-1)
            memory = self.memory(episode.flatten(0, 1), memory.flatten(0, 1)).view_as(question)
        return memory


class Gate(nn.Module):
    """What a question, in the light of the memory, recalls of facts of one kind."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.question = nn.Linear(hidden, hidden, bias=False)
        self.memory = nn.Linear(hidden, hidden, bias=False)

    def forward(self, question: Tensor, memory: Tensor, facts: Tensor, where: Tensor) -> Tensor:
        """`(B, L, H)` each and `(B, L, L)` → `(B, L, H)`."""
        asked = (self.question(question) + self.memory(memory)) * facts.shape[-1] ** -0.5
        return masked_softmax(asked @ facts.mT, where) @ facts


def run_by_speaker(layer: nn.RNNBase, x: Tensor, mask: Tensor, speakers: Tensor) -> Tensor:
    """Run a recurrent layer (`batch_first`) over the utterances of each speaker of each conversation by themselves.

    Args:
        layer: an LSTM or GRU.
        x: `(B, L, d)`.
        mask: `(B, L)` bool, utterances first.
        speakers: `(B, L)`, those below 0 taken for one.

    Returns:
        `(B, L, H)`, or `(B, L, 2H)` for a bidirectional layer; zero on padding.
    """
    packing = Packing(mask)
    turns = SpeakerTurns(packing, packing.pack(speakers))
    said = turns.split(torch.ones_like(packing.pack(speakers), dtype=torch.bool))
    return packing.pad(turns.join(run_recurrent(layer, turns.split(packing.pack(x)), said)))


def _added(both: Tensor) -> Tensor:
    """The states of both directions, added: `(B, L, 2H)` → `(B, L, H)`."""
    ahead, behind = both.chunk(2, dim=-1)
    return ahead + behind
