"""The net of the feature `expression` in PyTorch, which its graph is held against."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from broadmamba.features.video.expression import CLASSES, FEATURES

_CHANNELS = (3, 32, 64, 128, FEATURES)
_MEAN_RGB = (122.782, 117.001, 104.298)


class SeparableConv(nn.Module):
    """A 3×3 convolution of each channel alone, then a mix of the channels."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=2 - stride, groups=inputs, bias=False)
        self.pointwise = nn.Linear(inputs, outputs)  # a 1×1 convolution, which torch computes more slowly

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, inputs, height, width)` to `(batch, outputs, ⌈height / stride⌉, ⌈width / stride⌉)`."""
        channels_last: Tensor = self.depthwise(x).permute(0, 2, 3, 1)
        return cast(Tensor, self.pointwise(channels_last)).permute(0, 3, 1, 2)


class DenseBlock(nn.Module):
    """Halves the picture, then three convolutions, each of the sum of all before it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        first = inputs == _CHANNELS[0]
        self.conv0 = nn.Conv2d(inputs, outputs, 3, stride=2) if first else SeparableConv(inputs, outputs, stride=2)
        self.conv1 = SeparableConv(outputs, outputs)
        self.conv2 = SeparableConv(outputs, outputs)
        self.conv3 = SeparableConv(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, inputs, size, size)` to `(batch, outputs, size / 2, size / 2)`, for an even size."""
        # TensorFlow's "same" padding at stride 2 of an even size: nothing before, one row and column after.
        first = self.conv0(F.pad(x, (0, 1, 0, 1))).relu_()
        second = self.conv1(first).add_(first)
        third = self.conv2(second.relu()).add_(second)
        return cast(Tensor, self.conv3(third.relu()).add_(third).relu_())


class TorchExpressionNet(nn.Module):
    """A face to the probabilities of seven expressions, and the layer before them."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        for number, (inputs, outputs) in enumerate(pairwise(_CHANNELS)):
            self.add_module(f"dense{number}", DenseBlock(inputs, outputs))
        self.fc = nn.Linear(FEATURES, len(CLASSES))
        self.register_buffer("mean", torch.tensor(_MEAN_RGB).view(3, 1, 1), persistent=False)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Look at faces.

        Args:
            faces: `(batch, 3, 112, 112)`, red, green, blue, 0…255.

        Returns:
            Probabilities `(batch, 7)` in the order of `CLASSES`, and features `(batch, 256)`.
        """
        x = ((faces - self.mean) / 255).contiguous(memory_format=torch.channels_last)  # twice as fast
        for number in range(len(_CHANNELS) - 1):
            x = self.get_submodule(f"dense{number}")(x)
        features = x.mean(dim=(2, 3))
        return self.fc(features).softmax(dim=1), features
