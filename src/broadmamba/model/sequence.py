"""The models of a conversation's course to choose from, all called as `model(x, mask)`."""

from __future__ import annotations

from torch import nn

from broadmamba.model.bidirectional import BiSSM
from broadmamba.model.selective import BiSelectiveSSM

SEQUENCE_MODELS: dict[str, type[nn.Module]] = {"convolution": BiSSM, "selective": BiSelectiveSSM}
