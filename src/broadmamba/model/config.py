"""Every choice that makes one Broad Mamba differ from another, in one frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from broadmamba.data.conversation import near
from broadmamba.data.spec import MODALITIES
from broadmamba.errors import InputError
from broadmamba.model.fusion import FUSIONS
from broadmamba.model.sequence import SEQUENCE_MODELS
from broadmamba.model.state_space import DISCRETISATIONS

CHOICES = {
    "ssm": tuple(SEQUENCE_MODELS),
    "discretisation": tuple(DISCRETISATIONS),
    "targets": ("labels", "reconstruct"),
    "fusion": tuple(FUSIONS),
}
"""Setting → the values it may have."""

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "str": ((str,), "a name"),
    "Mapping[str, int]": ((Mapping,), "a width for each modality"),
}
"""Type of a setting → what its value has to be, and this in words."""


@dataclass(frozen=True, kw_only=True)
class BroadMambaConfig:
    """Settings of the network. Defaults are the paper's, or what its text leaves open, without additions.

    Attributes:
        widths: modality → width of its features; at least one of text, audio, video.
        classes: C, number of emotions.
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
        speakers: speakers with an embedding of their own (addition; 0 for none).
        utterance_masking: chance that an utterance's features are hidden in training, so that it must be told from
            its context (addition).
        modality_dropout: chance that a modality of a conversation is taken away in training (addition).
    """

    widths: Mapping[str, int]
    classes: int
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
    speakers: int = 0
    utterance_masking: float = 0.0
    modality_dropout: float = 0.0

    def __post_init__(self) -> None:
        for setting in fields(self):
            value, (kinds, words) = getattr(self, setting.name), _KINDS[str(setting.type)]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise InputError(f"{setting.name}: expected {words}, found {value!r}")
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"{name}: unknown value {value!r}; known are {', '.join(known)}{near(value, known)}")
        unknown = [m for m in self.widths if m not in MODALITIES]
        if unknown or not self.widths:
            raise InputError(f"widths: expected some of {', '.join(MODALITIES)}, found {', '.join(unknown) or 'none'}")
        whole = {f"width of {m}": w for m, w in self.widths.items()} | {
            name: getattr(self, name) for name in ("d_model", "d_state", "kernel_size", "n", "m", "d_z", "d_h", "depth")
        }
        for name, value in whole.items():
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name}: expected a whole number of at least 1, found {value!r}")
        if self.classes < 2:
            raise InputError(f"classes: expected at least 2, found {self.classes}")
        if self.kernel_size % 2 == 0:
            raise InputError(f"kernel_size: expected an odd number, found {self.kernel_size}")
        if self.d_state % 2:
            raise InputError(f"d_state: expected an even number (conjugate pairs), found {self.d_state}")
        for name in ("dropout", "utterance_masking", "modality_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}: expected a probability below 1, found {getattr(self, name)}")
        if not 0 < self.dt_min <= self.dt_max:
            raise InputError(f"expected 0 < dt_min <= dt_max, found dt_min={self.dt_min} and dt_max={self.dt_max}")
        if self.speakers < 0:
            raise InputError(f"speakers: expected 0 or more, found {self.speakers}")
        # One order everywhere: parameters, sums and seeds do not depend on how the mapping was written.
        object.__setattr__(self, "widths", {m: self.widths[m] for m in MODALITIES if m in self.widths})

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities in their fixed order."""
        return tuple(self.widths)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BroadMambaConfig:
        """From what `to_dict` gave.

        Raises:
            InputError: a setting is unknown, missing or not allowed.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise InputError(f"unknown setting {name!r} of the model{near(name, known)}")
        missing = {"widths", "classes"} - set(values)
        if missing:
            raise InputError(f"the model's settings lack {', '.join(sorted(missing))}")
        return cls(**values)
