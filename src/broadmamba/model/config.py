"""Every choice that makes one Broad Mamba differ from another, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass

from broadmamba.data.conversation import near
from broadmamba.errors import InputError
from broadmamba.model.fusion import FUSIONS
from broadmamba.model.sequence import SEQUENCE_MODELS
from broadmamba.model.settings import ModelConfig, require_share, require_whole
from broadmamba.model.state_space import DISCRETISATIONS

CHOICES = {
    "ssm": tuple(SEQUENCE_MODELS),
    "discretisation": tuple(DISCRETISATIONS),
    "targets": ("labels", "reconstruct"),
    "fusion": tuple(FUSIONS),
}
"""Setting → the values it may have."""


@dataclass(frozen=True, kw_only=True)
class BroadMambaConfig(ModelConfig):
    """Settings of the network. Defaults are the paper's, or what its text leaves open, without additions.

    Attributes:
        d_model: D, channels of a modality.
        d_state: N, state size of the state-space layer (real numbers; N/2 conjugate pairs).
        kernel_size: of the convolution over utterances (Eq. 9); odd.
        position: whether positions are added (Eq. 10).
        ssm: `convolution` (Eq. 11, time-invariant) or `selective` (data-dependent, Mamba-2's form).
        discretisation: `zoh` (Eq. 2, exact) or `euler` (Eq. 3, first order); for `convolution`.
        dt_min: smallest initial step Δ, in utterances; 1/Δ is about how far a channel remembers; for `convolution`.
        dt_max: largest initial step.
        broad: whether there is a broad learning system; False (the ablation "w/o BLS") reads ξ̄ directly.
        n: groups of feature nodes.
        m: groups of enhancement nodes.
        d_z: nodes in a feature group.
        d_h: nodes in an enhancement group.
        random_nodes: whether node weights are drawn once and never trained.
        targets: Y of Eq. 14: one-hot `labels`, or `reconstruct` (the nodes themselves, the literal reading).
        fusion: how modalities are fused; see `broadmamba.model.fusion.FUSIONS`.
        dropout: of features, nodes and representations.
        depth: state-space layers in a row (addition; the paper has 1).
        residual: whether a state-space layer adds to what it reads (addition).
        layer_norm: whether each state-space layer is followed by layer normalisation (addition).
        own_turns: whether each speaker's own turns pass a state-space layer by themselves, whose result is added
            (addition).
        speakers: speakers with an embedding of their own (addition; 0 for none).
        utterance_masking: chance that an utterance's features are hidden in training, so that it must be told from
            its context (addition).
        modality_dropout: chance that a modality of a conversation is taken away in training (addition).
    """

    d_model: int = 128
    d_state: int = 32
    kernel_size: int = 1
    position: bool = True
    ssm: str = "convolution"
    discretisation: str = "zoh"
    dt_min: float = 0.01
    dt_max: float = 0.5
    broad: bool = True
    n: int = 10
    m: int = 30
    d_z: int = 12
    d_h: int = 8
    random_nodes: bool = False
    targets: str = "labels"
    fusion: str = "scalar"
    dropout: float = 0.5
    depth: int = 1
    residual: bool = False
    layer_norm: bool = False
    own_turns: bool = False
    speakers: int = 0
    utterance_masking: float = 0.0
    modality_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"{name}: unknown value {value!r}; known are {', '.join(known)}{near(value, known)}")
        sizes = ("d_model", "d_state", "kernel_size", "n", "m", "d_z", "d_h", "depth")
        require_whole({name: getattr(self, name) for name in sizes})
        if self.kernel_size % 2 == 0:
            raise InputError(f"kernel_size: expected an odd number, found {self.kernel_size}")
        if self.d_state % 2:
            raise InputError(f"d_state: expected an even number (conjugate pairs), found {self.d_state}")
        shares = ("dropout", "utterance_masking", "modality_dropout")
        require_share({name: getattr(self, name) for name in shares})
        if not 0 < self.dt_min <= self.dt_max:
            raise InputError(f"expected 0 < dt_min <= dt_max, found dt_min={self.dt_min} and dt_max={self.dt_max}")
        require_whole({"speakers": self.speakers}, least=0)
