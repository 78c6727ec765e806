"""Define SegFormer, a segmenter of the transformers library."""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types if it is not installed, and some of its functions are untyped even if it is)

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from swath.training.networks.segmentation import Segmenter
from swath.training.networks.transformers_models import LibraryModel, load_library_model

if TYPE_CHECKING:
    from torch import Tensor, nn

_STRIDE = 4
"""Stride of the logits in px."""


class SegFormer(Segmenter):
    """A transformer without positional encoding (Xie et al. 2021).

    See https://arxiv.org/abs/2105.15203. By default, its size is B0, with 3.7 million weights.
    """

    architecture = "SegFormer"

    def __init__(
        self,
        *,
        bands: int,
        classes: int,
        size: int,
        pretrained: str | None = None,
        hidden_sizes: Sequence[int] = (32, 64, 160, 256),
        depths: Sequence[int] = (2, 2, 2, 2),
        decoder_hidden_size: int = 256,
        class_weights: Sequence[float] | None = None,
        dice_weight: float = 1.0,
    ) -> None:
        """Create a SegFormer.

        Args:
            bands: Number of bands of the tiles.
            classes: Number of classes, without background.
            size: Tile size in px, a multiple of 32.
            pretrained: Folder with weights and their configuration, in the library's layout.
                Weights that do not fit the bands and classes are random. None for random weights.
            hidden_sizes: Number of channels of each stage, for random weights.
            depths: Number of blocks of each stage, for random weights.
            decoder_hidden_size: Number of channels of the decoder, for random weights.
            class_weights: Weight of each class's pixels in the loss; by default 1 for all.
            dice_weight: Weight of the Dice loss relative to the cross entropy of pixels.

        Raises:
            InputError: The pretrained weights cannot be read.
        """
        super().__init__(
            classes=classes,
            size=size,
            stride=_STRIDE,
            class_weights=class_weights,
            dice_weight=dice_weight,
        )
        source = LibraryModel("SegformerForSemanticSegmentation", "SegformerConfig", pretrained)
        shape = {
            "hidden_sizes": list(hidden_sizes),
            "depths": list(depths),
            "decoder_hidden_size": decoder_hidden_size,
        }
        self.model = load_library_model(
            source, config={"num_channels": bands, "num_labels": classes}, random_config=shape
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map scaled tiles (batch, bands, rows, cols) to logits at a stride of 4 px.

        The logits are (batch, classes, rows / 4, cols / 4).
        """
        logits: Tensor = self.model(pixel_values=x).logits
        return logits

    def exported(self) -> nn.Module:
        """Return a copy for export."""
        return copy.deepcopy(self).eval()
