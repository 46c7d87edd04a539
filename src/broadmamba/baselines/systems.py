"""Every system that can be trained, by name: ours and those it is compared with."""

from __future__ import annotations

from typing import NamedTuple

from broadmamba.baselines.a_dmn import ADmn, ADmnConfig
from broadmamba.baselines.adagin import AdaGin, AdaGinConfig
from broadmamba.baselines.bc_lstm import BcLstm, BcLstmConfig
from broadmamba.baselines.compm import CoMpm, CoMpmConfig
from broadmamba.baselines.ctnet import CtNet, CtNetConfig
from broadmamba.baselines.der_gcn import DerGcn, DerGcnConfig
from broadmamba.baselines.dialogue_gcn import DialogueGcn, DialogueGcnConfig
from broadmamba.baselines.dialogue_rnn import DialogueRnn, DialogueRnnConfig
from broadmamba.baselines.emoberta import EmoBerta, EmoBertaConfig
from broadmamba.baselines.graphsmile import GraphSmile, GraphSmileConfig
from broadmamba.baselines.lr_gcn import LrGcn, LrGcnConfig
from broadmamba.baselines.m3net import M3Net, M3NetConfig
from broadmamba.baselines.rgat import Rgat, RgatConfig
from broadmamba.baselines.sdt import Sdt, SdtConfig
from broadmamba.data.conversation import near
from broadmamba.errors import InputError
from broadmamba.model.config import BroadMambaConfig
from broadmamba.model.interface import EmotionModel
from broadmamba.model.limits import MOST_NUMBERS, MOST_TENSORS, bounded
from broadmamba.model.network import BroadMamba
from broadmamba.model.settings import ModelConfig

OURS = "broadmamba"
"""Name of the model of this project."""


class System(NamedTuple):
    """A kind of model."""

    config: type[ModelConfig]
    model: type[EmotionModel]


SYSTEMS: dict[str, System] = {
    OURS: System(BroadMambaConfig, BroadMamba),
    "bc-lstm": System(BcLstmConfig, BcLstm),
    "dialogue-rnn": System(DialogueRnnConfig, DialogueRnn),
    "a-dmn": System(ADmnConfig, ADmn),
    "dialogue-gcn": System(DialogueGcnConfig, DialogueGcn),
    "rgat": System(RgatConfig, Rgat),
    "lr-gcn": System(LrGcnConfig, LrGcn),
    "der-gcn": System(DerGcnConfig, DerGcn),
    "ctnet": System(CtNetConfig, CtNet),
    "adagin": System(AdaGinConfig, AdaGin),
    "sdt": System(SdtConfig, Sdt),
    "m3net": System(M3NetConfig, M3Net),
    "graphsmile": System(GraphSmileConfig, GraphSmile),
    "compm": System(CoMpmConfig, CoMpm),
    "emoberta": System(EmoBertaConfig, EmoBerta),
}
"""Name → system."""


def system(name: str) -> System:
    """A system by its name.

    Raises:
        InputError: there is none of that name; the message lists those that there are.
    """
    if name not in SYSTEMS:
        raise InputError(f"system: unknown value {name!r}; known are {', '.join(SYSTEMS)}{near(name, list(SYSTEMS))}")
    return SYSTEMS[name]


def make(name: str, config: ModelConfig, numbers: int = MOST_NUMBERS, tensors: int = MOST_TENSORS) -> EmotionModel:
    """An untrained model of a system.

    Args:
        name: of the system.
        config: of its kind.
        numbers: at most in all its parameters together; a larger model is refused before it takes memory.
        tensors: at most among its parameters.

    Raises:
        InputError: the name is unknown, or the model too large.
    """
    kind = system(name).model
    if kind.reads_tokens:  # the encoder in it is checked by itself
        return kind(config)
    with bounded(numbers, tensors):
        return kind(config)
