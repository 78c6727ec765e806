"""Define a small U-Net for imagery with any number of bands."""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types if it is not installed, and some of its functions are untyped even if it is)

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from swath.training.networks.blocks import ConvBlock, Pyramid, SignedLog, fold_batch_norms
from swath.training.networks.segmentation import Segmenter


class UNet(Segmenter):
    """An encoder, and a decoder with skip connections from the encoder.

    The architecture is that of Ronneberger et al. 2015 (https://arxiv.org/abs/1505.04597), with
    sums instead of concatenations, which halves the cost.
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
        """Create a U-Net with random weights.

        Args:
            bands: Number of bands of the tiles.
            classes: Number of classes, without background.
            size: Tile size in px, a multiple of `stride * 2 ** (len(channels) - 1)`.
            stride: Distance between cells in px: 1 or 2. Logits are interpolated between cells.
            channels: Number of channels of each level, finest first. Each level halves the
                resolution of the one before.
            depth: Number of residual blocks per level.
            class_weights: Weight of each class's pixels in the loss; by default 1 for all.
            dice_weight: Weight of the Dice loss relative to the cross entropy of pixels.
            contrast: Contrast of dark values, as for `SignedLog`: about 1 with z-score scaling, 20
                to 50 with min-max scaling.
        """
        super().__init__(
            classes=classes,
            size=size,
            stride=stride,
            class_weights=class_weights,
            dice_weight=dice_weight,
        )
        self.signed_log = SignedLog(contrast)
        self.pyramid = Pyramid(bands, channels, stride=stride, depth=depth)
        self.neck = ConvBlock(channels[0], channels[0])
        self.score = nn.Conv2d(channels[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map scaled tiles (batch, bands, rows, cols) to logits at a stride of `stride` px.

        The logits are (batch, classes, rows / stride, cols / stride).
        """
        logits: Tensor = self.score(self.neck(self.pyramid(self.signed_log(x))))
        return logits

    def exported(self) -> nn.Module:
        """Return a copy for export, with normalizations folded into the convolutions."""
        return fold_batch_norms(self)
