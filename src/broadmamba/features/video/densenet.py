"""DenseNet, whose 121-layer version is the paper's feature net for video, with weights that the user supplies.

Huang et al., *Densely Connected Convolutional Networks* (2017): in a dense block every layer sees the outputs of all
before it. Module names are those of torchvision, so that its state dicts and those trained with it fit.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BOTTLENECK = 4
"""A layer's 1×1 convolution has so many times the channels that the layer adds."""


class DenseLayer(nn.Module):
    """Batch norm, ReLU, 1×1 convolution, batch norm, ReLU, 3×3 convolution: adds `growth` channels."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, _BOTTLENECK * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(_BOTTLENECK * growth)
        self.conv2 = nn.Conv2d(_BOTTLENECK * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, inputs, height, width)` to `(batch, inputs + growth, height, width)`."""
        narrow = self.conv1(F.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(F.relu(self.norm2(narrow)))], dim=1)


class DenseNet(nn.Module):
    """A DenseNet up to its last layer before the classes.

    Attributes:
        width: of that layer.
    """

    def __init__(
        self, *, growth: int = 32, layers: tuple[int, ...] = (6, 12, 24, 16), initial: int = 64, size: int = 7
    ) -> None:
        """Build one; the defaults make DenseNet-121.

        Args:
            growth: channels that a layer adds.
            layers: of each dense block.
            initial: channels of the first convolution.
            size: of the first convolution's filters, odd.
        """
        super().__init__()
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(3, initial, size, stride=2, padding=size // 2, bias=False),
            norm0=nn.BatchNorm2d(initial),
            relu0=nn.ReLU(),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )
        width = initial
        for number, count in enumerate(layers, start=1):
            parts[f"denseblock{number}"] = nn.Sequential(
                OrderedDict((f"denselayer{i + 1}", DenseLayer(width + i * growth, growth)) for i in range(count))
            )
            width += count * growth
            if number < len(layers):
                parts[f"transition{number}"] = _transition(width)
                width //= 2
        parts[f"norm{len(layers) + 1}"] = nn.BatchNorm2d(width)
        self.features = nn.Sequential(parts)
        self.width = width

    def forward(self, pictures: Tensor) -> Tensor:
        """`(batch, 3, height, width)` to `(batch, self.width)`, the mean over what is left of the picture."""
        return F.relu(cast(Tensor, self.features(pictures))).mean(dim=(2, 3))


def _transition(width: int) -> nn.Sequential:
    """Halves channels, height and width."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(width),
            relu=nn.ReLU(),
            conv=nn.Conv2d(width, width // 2, 1, bias=False),
            pool=nn.AvgPool2d(2),
        )
    )
