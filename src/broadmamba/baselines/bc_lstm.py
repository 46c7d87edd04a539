"""bc-LSTM: contextual LSTMs of each modality, and one over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from broadmamba.baselines.baseline import Baseline, BaselineConfig, Reading
from broadmamba.baselines.recurrent import run_recurrent, started_by_width
from broadmamba.data.batching import Batch


@dataclass(frozen=True, kw_only=True)
class BcLstmConfig(BaselineConfig):
    """Settings of `BcLstm`, all of them those of `BaselineConfig`."""


class BcLstm(Baseline):
    """bc-LSTM, hierarchical (Poria, Cambria, Hazarika, Majumder, Zadeh, Morency 2017, ACL, pp. 873–883).

    1. Each modality by itself, h^m = biLSTM_m(x^m), then z^m = tanh(W_m h^m + b_m).
    2. All of them together, h = biLSTM([z^t | z^a | z^v]), p = softmax(W·ReLU(W_h h)).

    Parameters: 1.28 M in the paper's Table 1; ours are beside it in `results/`. Both steps are learnt at once; the
    paper trains the first by itself. Left open: how wide the dense layers are (H), and where dropout stands (before
    each dense layer).
    """

    config: BcLstmConfig

    def __init__(self, config: BcLstmConfig) -> None:
        super().__init__(config)
        H, M = config.hidden, len(config.widths)
        self.contexts = nn.ModuleDict(
            {
                m: started_by_width(nn.LSTM(width, H, batch_first=True, bidirectional=True))
                for m, width in config.widths.items()
            }
        )
        self.dense = nn.ModuleDict({m: nn.Linear(2 * H, H) for m in config.widths})
        self.together = nn.LSTM(M * H, H, batch_first=True, bidirectional=True)
        self.fused = nn.Linear(2 * H, H)
        self.emotion = nn.Linear(H, config.classes)
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        z = [torch.tanh(self.dense[m](self.dropout(self.context(m, x, batch.mask)))) for m, x in features.items()]
        h = run_recurrent(self.together, torch.cat(z, dim=-1), batch.mask)
        fused = self.fused(self.dropout(h)).relu()
        return Reading(self.emotion(self.dropout(fused)), fused)

    def context(self, modality: str, x: Tensor, mask: Tensor) -> Tensor:
        """One modality's utterances in the light of those around them, `(B, L, width)` → `(B, L, 2H)`."""
        layer = self.contexts[modality]
        assert isinstance(layer, nn.LSTM)
        return run_recurrent(layer, x, mask)
