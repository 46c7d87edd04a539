"""DialogueRNN: a state of the conversation, one of each party, and one of the emotion, each kept by a GRU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from broadmamba.baselines.baseline import Baseline, BaselineConfig, Reading, joined, masked_softmax
from broadmamba.data.batching import Batch


@dataclass(frozen=True, kw_only=True)
class DialogueRnnConfig(BaselineConfig):
    """Settings of `DialogueRnn`, all of them those of `BaselineConfig`."""


class DialogueRnn(Baseline):
    """DialogueRNN, bidirectional with emotion attention (Majumder et al. 2019, AAAI, pp. 6818–6825).

    With u_t all modalities of utterance t side by side and s its speaker, in each direction by itself:

    1. the conversation, g_t = GRU_G(u_t ⊕ q_{s,t−1}, g_{t−1});
    2. what was said before, α = softmax(u_tᵀ W_α [g_1 … g_{t−1}]) and c_t = Σ_i α_i g_i, zero for the first;
    3. the party that speaks, q_{s,t} = GRU_P(u_t ⊕ c_t, q_{s,t−1}); those who listen keep their states;
    4. the emotion, e_t = GRU_E(q_{s,t}, e_{t−1}).

    Both directions then stand side by side in e_t, and β_t = softmax(e_tᵀ W_β [e_1 … e_N]), ẽ_t = Σ_i β_ti e_i,
    l_t = ReLU(W_l ẽ_t + b_l), p_t = softmax(W l_t + b).

    Parameters: the paper's Table 1 does not have it; ours are beside it in `results/`. Left open: the widths of the
    states (all H), and where dropout stands (on e_t and on l_t). Utterances whose speaker is unknown are one party.
    """

    config: DialogueRnnConfig

    def __init__(self, config: DialogueRnnConfig) -> None:
        super().__init__(config)
        H, width = config.hidden, sum(config.widths.values())
        self.conversation = TwoWayCell(width, H)
        self.party = TwoWayCell(width, H)
        self.ask = nn.Parameter(torch.empty(2, width, H).uniform_(-(width**-0.5), width**-0.5))
        self.emotions = nn.ModuleList(nn.GRU(H, H, batch_first=True) for _ in range(2))
        self.match = nn.Linear(2 * H, 2 * H, bias=False)
        self.dense = nn.Linear(2 * H, H)
        self.emotion = nn.Linear(H, config.classes)
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        mask = batch.mask
        u, back = joined(features), backwards(mask)
        # Utterances stand first in both directions, so that no state has read padding before an utterance.
        utterances = torch.stack([u, u.take_along_dim(back[..., None], 1)])
        speakers = torch.stack([batch.speakers, batch.speakers.take_along_dim(back, 1)])
        q = self.parties(utterances, speakers)
        ahead, behind = (layer(states)[0] for layer, states in zip(self.emotions, q, strict=True))
        e = self.dropout(torch.cat([ahead, behind.take_along_dim(back[..., None], 1)], dim=-1))
        beta = masked_softmax(self.match(e) @ e.mT, mask[:, None, :])
        fused = self.dense(beta @ e).relu()
        return Reading(self.emotion(self.dropout(fused)), fused)

    def parties(self, u: Tensor, speakers: Tensor) -> Tensor:
        """q_{s,t}, the state of each utterance's speaker after it.

        Args:
            u: `(2, B, L, width)`, in the order in which each direction reads.
            speakers: `(2, B, L)`, likewise.

        Returns:
            `(2, B, L, H)`, in the same order.
        """
        _, B, _, _ = u.shape
        H = self.config.hidden
        # What depends on utterances alone is one product for all steps, which leaves little to each step.
        asked = _each_way(u, self.ask).unbind(2)
        heard = self.conversation.read(u).unbind(2)
        said = self.party.read(u).unbind(2)
        slots = (speakers + 1)[:, :, :, None, None].expand(-1, -1, -1, 1, H).unbind(2)
        states = u.new_zeros(2, B, int(speakers.max()) + 2, H)
        g, earlier = u.new_zeros(2, B, H), u.new_zeros(2, B, 0, H)
        found = []
        for ask, hear, say, slot in zip(asked, heard, said, slots, strict=True):
            before = states.gather(2, slot).squeeze(2)
            alpha = (earlier @ ask[..., None]).softmax(2)
            c = (alpha.mT @ earlier).squeeze(2)
            g = self.conversation(hear, before, g)
            q = self.party(say, c, before)
            earlier = torch.cat([earlier, g[:, :, None]], dim=2)
            states = states.scatter(2, slot, q[:, :, None])
            found.append(q)
        return torch.stack(found, dim=2)


class TwoWayCell(nn.Module):
    """A GRU cell for each direction, whose input u ⊕ x has a part u that is known for all steps beforehand.

    r = σ(W_r [u ⊕ x] + V_r h), z likewise, n = tanh(W_n [u ⊕ x] + r ⊙ V_n h), h' = (1 − z) ⊙ n + z ⊙ h; with biases.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        # Within what its own inputs allow, as u is far wider than h: a gate must not be shut before anything is learnt.
        self.known, self.input, self.state, self.known_bias, self.state_bias = (
            nn.Parameter(torch.empty(2, rows, 3 * hidden).uniform_(-(size**-0.5), size**-0.5))
            for rows, size in ((width, width), (hidden, hidden), (hidden, hidden), (1, hidden), (1, hidden))
        )

    def read(self, u: Tensor) -> Tensor:
        """W u and the bias of it for all steps: `(2, B, L, width)` → `(2, B, L, 3H)`."""
        return _each_way(u, self.known) + self.known_bias[:, None]

    def forward(self, read: Tensor, x: Tensor, h: Tensor) -> Tensor:
        """One step: `(2, B, 3H)` out of `read`, `(2, B, H)` and `(2, B, H)` → h', `(2, B, H)`."""
        H = h.shape[-1]
        inputs, states = torch.baddbmm(read, x, self.input), torch.baddbmm(self.state_bias, h, self.state)
        r, z = (inputs[..., : 2 * H] + states[..., : 2 * H]).sigmoid().chunk(2, dim=-1)
        n = torch.addcmul(inputs[..., 2 * H :], r, states[..., 2 * H :]).tanh()
        return torch.lerp(n, h, z)


def backwards(mask: Tensor) -> Tensor:
    """`(B, L)` bool, utterances first → `(B, L)`: their places from last to first; padding keeps its own."""
    place = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, mask.sum(1, keepdim=True) - 1 - place, place)


def _each_way(u: Tensor, weight: Tensor) -> Tensor:
    """`(2, B, L, width)` times each direction's own `(width, ·)`."""
    return (u.flatten(1, 2) @ weight).view(*u.shape[:3], -1)
