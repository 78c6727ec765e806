"""A small U-Net, for imagery of any number of bands."""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types where it is not installed, and some of its functions have none where it is)

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from swath.training.networks.blocks import ConvBlock, Pyramid, Squash, folded
from swath.training.networks.segmentation import Segmenter


class UNet(Segmenter):
    """An encoder, and a decoder that sees what the encoder saw.

    Ronneberger et al. 2015 (https://arxiv.org/abs/1505.04597), with sums in place of
    concatenations: half the work.
    """

    architecture = "swath-unet"

    def __init__(
        self,
        *,
        bands: int,
        classes: int,
        size: int,
        stride: int = 2,
        channels: Sequence[int] = (32, 48, 64, 96, 128),
        depth: int = 1,
        class_weights: Sequence[float] | None = None,
        dice_weight: float = 1.0,
        contrast: float = 1.0,
    ) -> None:
        """A U-Net with random weights.

        Args:
            bands: of its tiles.
            classes: that it tells apart.
            size: of its tiles, px: a multiple of `stride` times 2 for each level but the first.
            stride: px from place to place: 1 or 2. What is between two places is interpolated.
            channels: of each level, the finest first; each sees twice as far as the one before.
            depth: residual blocks a level.
            class_weights: how much each class's pixels count; by default all alike.
            dice_weight: how much the overlap of regions counts beside each pixel's answer.
            contrast: of what is dark, see `Squash`: about 1 with scaling by z-score, 20 to 50 with
                min-max.
        """
        super().__init__(
            classes=classes,
            size=size,
            stride=stride,
            class_weights=class_weights,
            dice_weight=dice_weight,
        )
        self.squash = Squash(contrast)
        self.pyramid = Pyramid(bands, channels, stride=stride, depth=depth)
        self.neck = ConvBlock(channels[0], channels[0])
        self.score = nn.Conv2d(channels[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scaled tiles (batch, bands, rows, cols) to logits at a step of `stride` px."""
        logits: Tensor = self.score(self.neck(self.pyramid(self.squash(x))))
        return logits

    def exported(self) -> nn.Module:
        """A copy with fewer steps."""
        return folded(self)
