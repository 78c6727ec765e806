"""The parts that our own networks are made of."""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types where it is not installed, and some of its functions have none where it is)

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

_MOMENTUM = 0.03
"""Of the running statistics: batches of crops are small, so more of them are averaged."""


class ConvBlock(nn.Module):
    """A convolution, batch normalisation and SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        padding = (kernel - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, momentum=_MOMENTUM)
        self.activation = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, rows, cols) to (batch, outputs, rows / stride, cols / stride)."""
        result: Tensor = self.activation(self.norm(self.conv(x)))
        return result

    def fold(self) -> None:
        """Put the normalisation into the convolution: the same function with fewer steps."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
        self.norm = nn.Identity()


class ResidualBlock(nn.Module):
    """Two convolutions beside a short cut (He et al. 2016, https://arxiv.org/abs/1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = ConvBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        result: Tensor = x + self.second(self.first(x))
        return result


class Pyramid(nn.Module):
    """An encoder that halves the resolution at each level, and a decoder back to the first.

    The decoder adds what the encoder saw at each level to what came up from below, as feature
    pyramids do (Lin et al. 2017, https://arxiv.org/abs/1612.03144).
    """

    def __init__(
        self, inputs: int, channels: Sequence[int], *, stride: int, depth: int = 1
    ) -> None:
        """A pyramid.

        Args:
            inputs: channels of the input.
            channels: of each level, the finest first.
            stride: of the finest level: 1 or 2.
            depth: residual blocks a level; the finest, whose pixels cost most, has a plain block.
        """
        super().__init__()
        pairs = list(itertools.pairwise(channels))
        # A kernel as wide as three steps sees each pixel in every phase of the step.
        self.stem = ConvBlock(inputs, channels[0], kernel=3 * stride, stride=stride)
        self.finest = ConvBlock(channels[0], channels[0])
        self.down = nn.ModuleList(
            nn.Sequential(
                ConvBlock(fine, coarse, stride=2),
                *(ResidualBlock(coarse) for _ in range(depth)),
            )
            for fine, coarse in pairs
        )
        self.up = nn.ModuleList(ConvBlock(coarse, fine, kernel=1) for fine, coarse in pairs)
        self.smooth = nn.ModuleList(ConvBlock(fine, fine) for fine, _ in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels[0], rows / stride, cols / stride)."""
        seen = [self.finest(self.stem(x))]
        for down in self.down:
            seen.append(down(seen[-1]))
        decoded: Tensor = seen.pop()
        for up, smooth in zip(reversed(self.up), reversed(self.smooth), strict=True):
            decoded = smooth(seen.pop() + interpolate(up(decoded), scale_factor=2.0))
        return decoded


class Squash(nn.Module):
    """What is dark told apart, and bright outliers brought near: a logarithm either side of 0.

    Roofs, clouds and glint are so much brighter than dark water that what lies on it would be next
    to nothing beside them. With `min-max` scaling, 0 is the darkest there is.
    """

    def __init__(self, contrast: float) -> None:
        """A curve.

        Args:
            contrast: how much steeper it is at 0 than far away; near 0, it is a straight line.
        """
        super().__init__()
        self.contrast = contrast

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return torch.sign(x) * torch.log1p(x.abs() * self.contrast)


def folded(module: nn.Module) -> nn.Module:
    """A copy for inference, its normalisations part of the convolutions."""
    module = copy.deepcopy(module).eval()
    for block in module.modules():
        if isinstance(block, ConvBlock):
            block.fold()
    return module
