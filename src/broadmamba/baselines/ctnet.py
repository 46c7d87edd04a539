"""CTNet: transformers within and across modalities, then a recurrent layer with attention over the conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor, nn

from broadmamba.baselines.attention import Attention, Transformer, positions
from broadmamba.baselines.baseline import Baseline, BaselineConfig, Reading, speaker_one_hot
from broadmamba.baselines.recurrent import run_recurrent
from broadmamba.data.batching import Batch
from broadmamba.model.settings import require_divisors, require_whole


@dataclass(frozen=True, kw_only=True)
class CtNetConfig(BaselineConfig):
    """Settings of `CtNet`.

    Attributes:
        heads: of every attention; divides `hidden`.
        speakers: how many have an embedding of their own, the last of which all further ones share.
    """

    heads: int = 4
    speakers: int = 9
    dropout: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole({"speakers": self.speakers, "heads": self.heads})
        require_divisors("hidden", self.hidden, {"heads": self.heads})


class CtNet(Baseline):
    """CTNet (Lian, Liu, Tao 2021, IEEE/ACM TASLP 29, pp. 985–1000).

    1. Single-modal transformers, h^m = T_m(W_m x^m + PE), and cross-modal ones, whose queries are of one modality and
       whose keys and values are of another, h^{n→m} = T_{n→m}(h^m, h^n).
    2. Fusion, u = ReLU(W_u [h^t | h^a | … | h^{a→t} | h^{t→a} | …]).
    3. Context and speakers, g = biGRU([u | e_speaker]), c = Attention(g, g, g), p = softmax(W·ReLU(W_g [g | c])).

    Parameters: 8.49 M in the paper's Table 1; ours are beside it in `results/`. How it is read here: the paper's
    transformers run over the words and the segments of sound within an utterance, and then pool; where each utterance
    has one vector a modality, as here, they run over the utterances of the conversation. The paper has text and
    audio; with video, there is a cross-modal transformer for each ordered pair, and with one modality there is none.
    What a modality lacks is read by nobody. Left open: the widths (H throughout), one layer a transformer.
    """

    config: CtNetConfig

    def __init__(self, config: CtNetConfig) -> None:
        super().__init__(config)
        H, heads, dropout = config.hidden, config.heads, config.dropout
        names = config.modalities
        self.pairs = list(permutations(names, 2))
        self.projections = nn.ModuleDict({m: nn.Linear(width, H) for m, width in config.widths.items()})
        self.single = nn.ModuleDict({m: Transformer(H, heads, dropout) for m in names})
        self.cross = nn.ModuleDict({f"{n}_to_{m}": Transformer(H, heads, dropout) for m, n in self.pairs})
        self.fusion = nn.Linear((len(names) + len(self.pairs)) * H, H)
        self.speaker = nn.Linear(config.speakers, H, bias=False)
        self.context = nn.GRU(2 * H, H, batch_first=True, bidirectional=True)
        self.attention = Attention(2 * H, heads, dropout)
        self.joint = nn.Linear(4 * H, H)
        self.emotion = nn.Linear(H, config.classes)
        self.dropout = nn.Dropout(dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        single, cross = self.interactions(features, present)
        u = self.fusion(self.dropout(torch.cat([*single.values(), *cross.values()], dim=-1))).relu()
        e = self.speaker(speaker_one_hot(batch.speakers, self.config.speakers, u.dtype))
        g = run_recurrent(self.context, self.dropout(torch.cat([u, e], dim=-1)), batch.mask)
        c = self.attention(g, g, batch.mask)
        fused = self.joint(self.dropout(torch.cat([g, c], dim=-1))).relu()
        return Reading(self.emotion(self.dropout(fused)), fused)

    def interactions(
        self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Step 1: modality → h^m, and name of an ordered pair → h^{n→m}, each `(B, L, H)`."""
        single: dict[str, Tensor] = {}
        for m, x in features.items():
            x = self.dropout(self.projections[m](x))
            x = x + positions(x)
            single[m] = self.single[m](x, x, present[m])
        cross = {f"{n}_to_{m}": self.cross[f"{n}_to_{m}"](single[m], single[n], present[n]) for m, n in self.pairs}
        return single, cross
