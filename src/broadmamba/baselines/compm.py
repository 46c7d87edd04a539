"""CoMPM: an encoder that reads what was said so far, and a memory of what the speaker said before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.baselines.baseline import Reading
from broadmamba.baselines.recurrent import run_recurrent
from broadmamba.baselines.token_encoder import TokenConfig, TokenSystem
from broadmamba.baselines.token_passages import Passages, Turns, padded
from broadmamba.data.batching import Batch


@dataclass(frozen=True, kw_only=True)
class CoMpmConfig(TokenConfig):
    """Settings of `CoMpm`; `hidden` is the width of the GRU that tracks the memory."""


class CoMpm(TokenSystem):
    """CoMPM (Lee, Lee 2022, "CoMPM: Context Modeling with Speaker's Pre-trained Memory Tracking …", NAACL).

    1. Context model: c_t, the mean of the states of u_t, where an encoder reads <cls> s_1 u_1 … s_t u_t, each
       utterance u after a token s for its speaker.
    2. Pre-trained memory: each utterance by itself through an encoder that stays as it was (their CoMPM(f)), then a
       GRU over those of one speaker; k_t is its state after the speaker's last utterance before t, zero where there
       is none.
    3. o_t = c_t + W_p k_t, p = softmax(W o_t).

    Parameters: none are given in the paper's Table 1; ours are in `results/`. Theirs learns a whole RoBERTa-large, ours
    low-rank additions to the upper layers of a smaller encoder that reads `limit` tokens (see `token_encoder.py`),
    since it is trained on CPUs. The speaker's token is that of a letter, A for who speaks first: one of its own could
    not learn below frozen layers. Both c and the memory of an utterance are means over its tokens, for
    which sentence encoders are made, where theirs are states of <cls>; both vectors are brought to the length of a
    normalised one. Left open: the GRU's width (`hidden`), one layer of it.
    """

    config: CoMpmConfig

    def __init__(self, config: CoMpmConfig) -> None:
        super().__init__(config, colon=False)
        self.tracking = nn.GRU(self.encoder.width, config.hidden, batch_first=True)
        self.memory = nn.Linear(config.hidden, self.encoder.width, bias=False)
        self.emotion = nn.Linear(self.encoder.width, config.classes)
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        turns = self.turns(features, present, batch)
        shape = (self.encoder.width,)
        c = F.layer_norm(self.encoder(self.passages(turns)), shape)
        k = self.track(F.layer_norm(self.encoder.alone(self.single(turns)), shape), batch.mask, batch.speakers)
        o = c + self.memory(k)
        return Reading(padded(self.emotion(self.dropout(o)), batch.mask), padded(o, batch.mask))

    def passages(self, turns: Turns) -> Passages:
        """Each utterance with what was said before it."""
        room = self.config.limit - 2
        end = torch.minimum(turns.end, turns.start + room)
        begin = torch.maximum(turns.first, end - room)
        return turns.join([turns.cls, (begin, end - begin), turns.sep])

    def single(self, turns: Turns) -> Passages:
        """Each utterance alone, without its speaker's token."""
        words = (turns.end - turns.start - 1).clamp(max=self.config.limit - 2)
        return turns.join([turns.cls, (turns.start + 1, words), turns.sep])

    def track(self, said: Tensor, mask: Tensor, speakers: Tensor) -> Tensor:
        """What is remembered of each utterance's speaker before it: `(T, W)` → `(T, H)`."""
        who = torch.stack([mask.nonzero()[:, 0], speakers[mask]], dim=1)
        _, group, sizes = torch.unique(who, dim=0, return_inverse=True, return_counts=True)
        order = group.argsort(stable=True)
        counting = torch.arange(len(order), device=order.device)
        place = torch.empty_like(order)
        place[order] = counting - (sizes.cumsum(0) - sizes)[group[order]]
        longest = int(sizes.max())
        x = said.new_zeros(len(sizes), longest, said.shape[1])
        x[group, place] = said
        states = run_recurrent(self.tracking, x, torch.arange(longest, device=order.device) < sizes[:, None])
        return F.pad(states, (0, 0, 1, 0))[group, place]
