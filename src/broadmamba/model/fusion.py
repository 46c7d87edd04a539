"""Section 4.2: fusing what the modalities say (Eq. 16–17), and the fusions that Fig. 5 compares with.

All run on packed utterances and take the same evidence; an utterance's missing modality drops out of the sum (or, in
a product, becomes the neutral factor). Each gives the fused representation and how strongly each modality acted.

Symbols: `T` utterances, `D` channels, `C` classes; per modality ω `(T, C)` the label probabilities, Y `(T, D)` the
broad representation and R `(T, C)` the broad read-out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Evidence:
    """What one modality brings to the fusion.

    Attributes:
        omega: ω `(T, C)`, label probabilities (Eq. 16).
        representation: Y `(T, D)`.
        readout: R `(T, C)`, or None where the model has none.
        present: `(T, 1)`, 1 where the utterance has this modality, else 0.
    """

    omega: Tensor
    representation: Tensor
    readout: Tensor | None
    present: Tensor


class Fusion(nn.Module):
    """What all fusions share.

    Args:
        modalities: names in their order.
        D: channels of Y.
        C: classes.
    """

    width: int
    """Width of the fused representation h."""

    def __init__(self, modalities: Sequence[str], D: int, C: int) -> None:
        super().__init__()
        self.width = D

    def forward(self, evidence: Mapping[str, Evidence]) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse the evidence of all modalities; one that the batch does not have comes as zeros.

        Returns:
            h `(T, width)`; and modality → `(T,)`, the mean size of its term.
        """
        raise NotImplementedError

    def classifier(self, C: int) -> nn.Linear:
        """A fresh emotion classifier for h."""
        return nn.Linear(self.width, C)


def _sum(terms: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Σ over modalities, and the mean size of each term."""
    return torch.stack(list(terms.values())).sum(0), {m: term.abs().mean(-1) for m, term in terms.items()}


class ClassFusion(Fusion):
    """Probability guidance, reading `class`: h = Σ ω ⊙ R, evidence for a class weighted by its probability."""

    SCALE = 8.0

    def __init__(self, modalities: Sequence[str], D: int, C: int) -> None:
        super().__init__(modalities, D, C)
        self.width = C

    def forward(self, evidence: Mapping[str, Evidence]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Fusion`."""
        terms = {}
        for m, e in evidence.items():
            assert e.readout is not None, "the network builds a read-out for this fusion"
            terms[m] = e.present * e.omega * e.readout
        return _sum(terms)

    def classifier(self, C: int) -> nn.Linear:
        """Starts as a scaled identity: h is already evidence by class, of at most about 1, and logits are larger."""
        linear = nn.Linear(C, C)
        with torch.no_grad():
            linear.weight.copy_(self.SCALE * torch.eye(C))
            linear.bias.zero_()
        return linear


class GateFusion(Fusion):
    """Probability guidance, reading `gate`: h = Σ (ωG) ⊙ Y, where G `(C, D)` maps probabilities to a gate."""

    def __init__(self, modalities: Sequence[str], D: int, C: int) -> None:
        super().__init__(modalities, D, C)
        self.gates = nn.ModuleDict({m: nn.Linear(C, D, bias=False) for m in modalities})
        for gate in self.gates.values():
            assert isinstance(gate, nn.Linear)
            nn.init.uniform_(gate.weight, 0, 2 / C)  # starts as an even mixture of the classes' gates, all open

    def forward(self, evidence: Mapping[str, Evidence]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Fusion`."""
        return _sum({m: e.present * self.gates[m](e.omega) * e.representation for m, e in evidence.items()})


class ScalarFusion(Fusion):
    """Probability guidance, reading `scalar`: h = Σ max_c(ω) · Y, one confidence a modality."""

    def forward(self, evidence: Mapping[str, Evidence]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Fusion`."""
        return _sum({m: e.present * e.omega.amax(-1, keepdim=True) * e.representation for m, e in evidence.items()})


class AddFusion(Fusion):
    """h = Σ Y, no guidance (the paper's ablation "w/o PFM")."""

    def forward(self, evidence: Mapping[str, Evidence]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Fusion`."""
        return _sum({m: e.present * e.representation for m, e in evidence.items()})


class ConcatenationFusion(Fusion):
    """h = [Yᵗ | Yᵃ | Yᵛ]W, written as a sum of one linear map a modality."""

    def __init__(self, modalities: Sequence[str], D: int, C: int) -> None:
        super().__init__(modalities, D, C)
        self.maps = nn.ModuleDict({m: nn.Linear(D, D, bias=False) for m in modalities})

    def forward(self, evidence: Mapping[str, Evidence]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Fusion`."""
        return _sum({m: e.present * self.maps[m](e.representation) for m, e in evidence.items()})


class AttentionFusion(Fusion):
    """Attention over the modalities that an utterance has: h = Σ α_m V_m Y_m, α = softmax_m(q·K_m Y_m / √D).

    Scaled dot-product attention (Vaswani et al. 2017) with one learned query q, as multi-modal emotion recognition
    fuses by attention (Zhou et al. 2019, Interspeech). One modality alone has α = 1, and then no query and keys.
    """

    def __init__(self, modalities: Sequence[str], D: int, C: int) -> None:
        super().__init__(modalities, D, C)
        several = modalities if len(modalities) > 1 else ()
        self.query = nn.Parameter(torch.randn(D)) if several else None
        self.keys = nn.ModuleDict({m: nn.Linear(D, D, bias=False) for m in several})
        self.values = nn.ModuleDict({m: nn.Linear(D, D, bias=False) for m in modalities})

    def forward(self, evidence: Mapping[str, Evidence]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Fusion`."""
        shares = {m: e.present for m, e in evidence.items()} if self.query is None else self._shares(evidence)
        return _sum({m: shares[m] * self.values[m](e.representation) for m, e in evidence.items()})

    def _shares(self, evidence: Mapping[str, Evidence]) -> dict[str, Tensor]:
        """Modality → α `(T, 1)`, 0 where it is absent."""
        scores = [self.keys[m](e.representation) @ self.query / self.width**0.5 for m, e in evidence.items()]
        present = torch.cat([e.present for e in evidence.values()], dim=-1)
        # The lowest number in place of −∞: where nothing is present, the softmax is even and not NaN, then set to 0.
        lowest = torch.finfo(present.dtype).min
        alpha = torch.stack(scores, dim=-1).masked_fill(present == 0, lowest).softmax(-1) * present
        return {m: alpha[:, i : i + 1] for i, m in enumerate(evidence)}


def _with_one(e: Evidence, projection: nn.Module | None = None) -> Tensor:
    """[Y | 1]: the constant keeps the lower-order terms in a product, and is all that is left of a missing modality."""
    y = e.representation if projection is None else projection(e.representation)
    return torch.cat([e.present * y, torch.ones_like(e.present)], dim=-1)


class LowRankFusion(Fusion):
    """Low-rank multimodal fusion (LMF, Liu et al. 2018): h = Σ_r w_r Π_m [Y_m | 1]W_m^(r), rank 4."""

    RANK = 4

    def __init__(self, modalities: Sequence[str], D: int, C: int) -> None:
        super().__init__(modalities, D, C)
        self.factors = nn.ModuleDict({m: nn.Linear(D + 1, self.RANK * D, bias=False) for m in modalities})
        self.rank_weights = nn.Parameter(torch.full((self.RANK, 1), 1 / self.RANK))
        self.bias = nn.Parameter(torch.zeros(D))
        for factor in self.factors.values():
            assert isinstance(factor, nn.Linear)
            with torch.no_grad():
                factor.weight[:, -1] = 1.0  # the constant's weight: a missing modality multiplies by one at the start

    def forward(self, evidence: Mapping[str, Evidence]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Fusion`."""
        factors = {m: self.factors[m](_with_one(e)).unflatten(-1, (self.RANK, -1)) for m, e in evidence.items()}
        product = torch.stack(list(factors.values())).prod(0)
        strength = {m: e.present.squeeze(-1) * factors[m].abs().mean((-2, -1)) for m, e in evidence.items()}
        return (self.rank_weights * product).sum(-2) + self.bias, strength


class TensorFusion(Fusion):
    """Tensor fusion network (TFN, Zadeh et al. 2017): h = ([Yᵗ|1] ⊗ [Yᵃ|1] ⊗ [Yᵛ|1])W, on 12 channels a modality."""

    CHANNELS = 12

    def __init__(self, modalities: Sequence[str], D: int, C: int) -> None:
        super().__init__(modalities, D, C)
        self.projections = nn.ModuleDict({m: nn.Linear(D, self.CHANNELS) for m in modalities})
        self.map = nn.Linear((self.CHANNELS + 1) ** len(modalities), D)

    def forward(self, evidence: Mapping[str, Evidence]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Fusion`."""
        factors = {m: _with_one(e, self.projections[m]) for m, e in evidence.items()}
        product, *others = factors.values()
        for factor in others:
            product = (product[:, :, None] * factor[:, None, :]).flatten(1)
        return self.map(product), {m: f[:, :-1].abs().mean(-1) for m, f in factors.items()}


FUSIONS: dict[str, type[Fusion]] = {
    "class": ClassFusion,
    "gate": GateFusion,
    "scalar": ScalarFusion,
    "add": AddFusion,
    "concatenation": ConcatenationFusion,
    "attention": AttentionFusion,
    "lmf": LowRankFusion,
    "tfn": TensorFusion,
}
"""Name → fusion; the first three are the readings of Eq. 17."""
