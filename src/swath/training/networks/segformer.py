"""SegFormer, by the transformers library."""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types where it is not installed, and some of its functions have none where it is)

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from swath.training.networks.library import Source, load
from swath.training.networks.segmentation import Segmenter

if TYPE_CHECKING:
    from torch import Tensor, nn

_STRIDE = 4


class SegFormer(Segmenter):
    """A transformer that needs no encoding of positions (Xie et al. 2021).

    https://arxiv.org/abs/2105.15203. By default of the size B0: 3.7 million weights.
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
        """A SegFormer.

        Args:
            bands: of its tiles.
            classes: that it tells apart.
            size: of its tiles, px: a multiple of 32.
            pretrained: a folder with weights and their configuration, in the library's layout;
                those that do not fit the bands and classes are random. Without one, all are.
            hidden_sizes: channels of each stage.
            depths: blocks of each stage.
            decoder_hidden_size: channels of the decoder.
            class_weights: how much each class's pixels count; by default all alike.
            dice_weight: how much the overlap of regions counts beside each pixel's answer.

        Raises:
            InputError: there are no such weights.
        """
        super().__init__(
            classes=classes,
            size=size,
            stride=_STRIDE,
            class_weights=class_weights,
            dice_weight=dice_weight,
        )
        source = Source("SegformerForSemanticSegmentation", "SegformerConfig", pretrained)
        shape = {
            "hidden_sizes": list(hidden_sizes),
            "depths": list(depths),
            "decoder_hidden_size": decoder_hidden_size,
        }
        self.model = load(source, always={"num_channels": bands, "num_labels": classes}, new=shape)

    def forward(self, x: Tensor) -> Tensor:
        """Scaled tiles (batch, bands, rows, cols) to logits at a step of 4 px."""
        logits: Tensor = self.model(pixel_values=x).logits
        return logits

    def exported(self) -> nn.Module:
        """A copy."""
        return copy.deepcopy(self).eval()
