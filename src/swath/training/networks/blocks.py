"""Define the building blocks of swath's own networks."""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types if it is not installed, and some of its functions are untyped even if it is)

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

_MOMENTUM = 0.03
"""Momentum of the running statistics; it is low because batches of crops are small."""


class ConvBlock(nn.Module):
    """A convolution, batch normalization and SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        padding = (kernel - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, momentum=_MOMENTUM)
        self.activation = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, rows, cols) to (batch, outputs, rows / stride, cols / stride)."""
        result: Tensor = self.activation(self.norm(self.conv(x)))
        return result

    def fold(self) -> None:
        """Fold the normalization into the convolution, which computes the same in one operation."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
        self.norm = nn.Identity()


class ResidualBlock(nn.Module):
    """Two convolutions with a shortcut (He et al. 2016, https://arxiv.org/abs/1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = ConvBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, rows, cols) to the same shape."""
        result: Tensor = x + self.second(self.first(x))
        return result


class Pyramid(nn.Module):
    """An encoder that halves the resolution at each level, and a decoder back to the finest level.

    At each level, the decoder adds the encoder's features to the upsampled coarser features, as
    feature pyramids do (Lin et al. 2017, https://arxiv.org/abs/1612.03144).
    """

    def __init__(
        self, inputs: int, channels: Sequence[int], *, stride: int, depth: int = 1
    ) -> None:
        """Create a pyramid with random weights.

        Args:
            inputs: Number of channels of the input.
            channels: Number of channels of each level, finest first.
            stride: Stride of the finest level in px: 1 or 2.
            depth: Number of residual blocks per level. The finest level costs most and has one
                plain block instead.
        """
        super().__init__()
        pairs = list(itertools.pairwise(channels))
        # A kernel three strides wide covers each pixel at every phase of the stride.
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
        """Map (batch, inputs, rows, cols) to (batch, channels[0], rows / stride, cols / stride)."""
        features = [self.finest(self.stem(x))]
        for down in self.down:
            features.append(down(features[-1]))
        decoded: Tensor = features.pop()
        for up, smooth in zip(reversed(self.up), reversed(self.smooth), strict=True):
            decoded = smooth(features.pop() + interpolate(up(decoded), scale_factor=2.0))
        return decoded


class SignedLog(nn.Module):
    """A symmetric logarithm that spreads dark values and compresses bright outliers.

    Roofs, clouds and glint are far brighter than dark water. Without the logarithm, contrasts on
    the water would be negligible beside them. With `min-max` scaling, 0 is the darkest value.
    """

    def __init__(self, contrast: float) -> None:
        """Create the function `sign(x) * log(1 + contrast * |x|)`.

        Args:
            contrast: Slope of the function at 0, where it is nearly linear.
        """
        super().__init__()
        self.contrast = contrast

    def forward(self, x: Tensor) -> Tensor:
        """Map values of any shape to the same shape."""
        return torch.sign(x) * torch.log1p(x.abs() * self.contrast)


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """Return a copy for inference, with normalizations folded into the convolutions."""
    module = copy.deepcopy(module).eval()
    for block in module.modules():
        if isinstance(block, ConvBlock):
            block.fold()
    return module
