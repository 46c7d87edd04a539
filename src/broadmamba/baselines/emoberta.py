"""EmoBERTa: an encoder that reads an utterance between those before and after it, each with its speaker's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.baselines.baseline import Reading
from broadmamba.baselines.token_encoder import TokenConfig, TokenSystem
from broadmamba.baselines.token_passages import Passages, Turns, padded
from broadmamba.data.batching import Batch
from broadmamba.model.settings import require_whole


@dataclass(frozen=True, kw_only=True)
class EmoBertaConfig(TokenConfig):
    """Settings of `EmoBerta`.

    Attributes:
        past: tokens of the turns before, at the most; the nearest are read.
        future: of those after, likewise; they get what the turn itself and those before it leave of `limit`.
    """

    past: int = 24
    future: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole({"past": self.past, "future": self.future}, 0)


class EmoBerta(TokenSystem):
    """EmoBERTa (Kim, Vossen 2021, "EmoBERTa: Speaker-Aware Emotion Recognition in Conversation with RoBERTa").

    1. The passage of utterance t, [CLS] past [SEP][SEP] t [SEP][SEP] future [SEP], every turn after the name of its
       speaker and a colon.
    2. p = softmax(W·tanh(W_h·h + b)), h the mean of the encoder's states of t's own tokens.

    Parameters: 499 M in the paper's Table 1, for the encoder RoBERTa-large (of which EmoBERTa's own account is 355 M);
    ours are beside it in `results/`. Theirs learns whole and reads 512 tokens, ours is smaller, learns through low-rank
    additions to its upper layers and reads `limit` tokens (see `token_encoder.py`), since it is trained on CPUs.
    Theirs reads h off [CLS]; the encoders at hand are made to be read by the mean of tokens.
    Left open: a speaker's name, which is a letter here, A for who speaks first; the length of h is brought to that of
    a normalised vector, since sentence encoders' is small.
    """

    config: EmoBertaConfig

    def __init__(self, config: EmoBertaConfig) -> None:
        super().__init__(config, colon=True)
        self.dense = nn.Linear(self.encoder.width, config.hidden)
        self.emotion = nn.Linear(config.hidden, config.classes)
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        turns = self.turns(features, present, batch)
        h = self.encoder(self.passages(turns))
        fused = torch.tanh(self.dense(self.dropout(F.layer_norm(h, (self.encoder.width,)))))
        return Reading(padded(self.emotion(self.dropout(fused)), batch.mask), padded(fused, batch.mask))

    def passages(self, turns: Turns) -> Passages:
        """What is read for each utterance."""
        room = self.config.limit - 6
        own = (turns.end - turns.start).clamp(max=room)
        past = torch.minimum(turns.start - turns.first, room - own).clamp(max=self.config.past)
        future = torch.minimum(turns.last - turns.end, room - own - past).clamp(max=self.config.future)
        cls, sep = turns.cls, turns.sep
        before, after = (turns.start - past, past), (turns.end, future)
        return turns.join([cls, before, sep, sep, (turns.start, own), sep, sep, after, sep])
