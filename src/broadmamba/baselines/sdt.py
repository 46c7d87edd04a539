"""SDT: a transformer for each pair of modalities, gates over them, and each modality a student of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from broadmamba.baselines.attention import Transformer, positions
from broadmamba.baselines.baseline import (
    Baseline,
    BaselineConfig,
    Reading,
    labelled_mean,
    masked_softmax,
    speaker_one_hot,
)
from broadmamba.data.batching import Batch
from broadmamba.model.interface import Output
from broadmamba.model.settings import require_divisors, require_positive, require_whole


@dataclass(frozen=True, kw_only=True)
class SdtConfig(BaselineConfig):
    """Settings of `Sdt`.

    Attributes:
        heads: of every attention; divides `hidden`.
        speakers: how many have an embedding of their own, the last of which all further ones share.
        temperature: τ, by which teacher and students are softened.
        hard: γ₂, weight of the students' cross-entropy with the labels.
        soft: γ₃, weight of their divergence from the teacher.
    """

    heads: int = 4
    speakers: int = 9
    temperature: float = 1.0
    hard: float = 1.0
    soft: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole({"speakers": self.speakers, "heads": self.heads})
        require_divisors("hidden", self.hidden, {"heads": self.heads})
        require_positive({"temperature": self.temperature})


class Sdt(Baseline):
    """SDT (Ma, Wang, Lin, Zhang, Zhang, Xu 2023, IEEE Transactions on Multimedia 26, pp. 776–788).

    1. x^m = W_m u^m + PE + e_speaker; the paper's convolution over time, which is this for a kernel of 1.
    2. Intra- and inter-modal transformers, h^{n→m} = T_{n→m}(x^m, x^n): queries of m, keys and values of n.
    3. Unimodal gates, ĥ^{n→m} = h^{n→m} ⊙ σ(W_{n→m} h^{n→m}), and h^m = W'_m [ĥ^{t→m} | ĥ^{a→m} | ĥ^{v→m}] + b_m.
    4. Multimodal gates, a softmax over modalities for each channel, g^m = softmax_m(W_z h^m), h = Σ_m g^m ⊙ h^m.
    5. p = softmax(W·ReLU(W_0 h)); a student of each modality, p^m = softmax(W^m·ReLU(W_0^m h^m)).
    6. L = CE(y, p) + γ₂ Σ_m CE(y, p^m) + γ₃ Σ_m KL(p_τ ‖ p^m_τ), where τ divides the logits.

    Parameters: SDT is not in the paper's Table 1; ours are in `results/`. All γ are 1, as in the paper; τ is 1, as
    there for IEMOCAP (for MELD it is 8). How it is read here: no gradient goes through p_τ, so that students learn from
    the teacher and not the reverse; what a modality lacks is read by nobody, has no share, and no student's loss; W_z
    has no bias, which a softmax over modalities would take away. Left open: one layer a transformer.
    """

    config: SdtConfig

    def __init__(self, config: SdtConfig) -> None:
        super().__init__(config)
        H, names = config.hidden, config.modalities
        pairs = [f"{n}_to_{m}" for m, n in product(names, names)]
        self.projections = nn.ModuleDict({m: nn.Linear(width, H) for m, width in config.widths.items()})
        self.speaker = nn.Linear(config.speakers, H, bias=False)
        self.transformers = nn.ModuleDict({p: Transformer(H, config.heads, config.dropout) for p in pairs})
        self.gates = nn.ModuleDict({p: nn.Linear(H, H) for p in pairs})
        self.joins = nn.ModuleDict({m: nn.Linear(len(names) * H, H) for m in names})
        self.balance = nn.Linear(H, H, bias=False) if len(names) > 1 else None  # of one modality the share is 1
        self.teacher = self._classifier()
        self.students = nn.ModuleDict({m: self._classifier() for m in names})
        self.dropout = nn.Dropout(config.dropout)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Reading:
        """See `Baseline`."""
        by_modality = self.modal(features, present, batch)
        here = torch.stack(list(present.values()), dim=-1)
        shares = self.shares(by_modality, here)
        fused = (shares * by_modality).sum(2)
        students = torch.stack([self.students[m](by_modality[:, :, i]) for i, m in enumerate(present)], dim=2)
        return Reading(
            self.teacher(fused),
            fused,
            weights=shares.mean(-1),
            own=students.softmax(-1),
            parts={"students": students, "present": here},
        )

    def modal(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Steps 1 to 3: h^m, `(B, L, M, H)`."""
        inputs = {}
        for m, x in features.items():
            x = self.projections[m](x)
            speaker = self.speaker(speaker_one_hot(batch.speakers, self.config.speakers, x.dtype))
            inputs[m] = self.dropout(x + positions(x) + speaker)
        joined = []
        for m in inputs:
            gated = []
            for n in inputs:
                h = self.transformers[f"{n}_to_{m}"](inputs[m], inputs[n], present[n])
                gated.append(h * self.gates[f"{n}_to_{m}"](h).sigmoid())
            joined.append(self.joins[m](torch.cat(gated, dim=-1)))
        return torch.stack(joined, dim=2)

    def shares(self, by_modality: Tensor, here: Tensor) -> Tensor:
        """Step 4: g, `(B, L, M, H)`, which sum to 1 over M.

        Args:
            by_modality: `(B, L, M, H)`.
            here: `(B, L, M)` bool; a modality that is not here has no share, but where none is, each has one: what
                their transformers read around the utterance is all that is known of it.
        """
        where = here | ~here.any(-1, keepdim=True)
        scores = torch.zeros_like(by_modality) if self.balance is None else self.balance(by_modality)
        return masked_softmax(scores.mT, where[:, :, None, :]).mT

    def auxiliary(self, output: Output, labels: Tensor) -> dict[str, Tensor]:
        """See `Baseline`."""
        config, here = self.config, output.terms["present"]
        hard, soft = distillation(output.logits, output.terms["students"], labels, config.temperature)
        return {
            "hard": config.hard * labelled_mean((hard * here).sum(-1), labels),
            "soft": config.soft * labelled_mean((soft * here).sum(-1), labels),
        }

    def _classifier(self) -> nn.Sequential:
        H, dropout = self.config.hidden, self.config.dropout
        return nn.Sequential(nn.Linear(H, H), nn.ReLU(), nn.Dropout(dropout), nn.Linear(H, self.config.classes))


def distillation(teacher: Tensor, students: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """What students of hard and of soft labels are charged, each `(B, L, M)`.

    Args:
        teacher: `(B, L, C)` logits.
        students: `(B, L, M, C)` logits.
        labels: `(B, L)`; what is charged where there is none means nothing.
        temperature: τ.
    """
    known = F.one_hot(labels.clamp(min=0), teacher.shape[-1]).to(teacher.dtype)
    hard = -(known[:, :, None] * students.log_softmax(-1)).sum(-1)
    target = (teacher.detach() / temperature).log_softmax(-1)[:, :, None]
    soft = (target.exp() * (target - (students / temperature).log_softmax(-1))).sum(-1)
    return hard, soft
