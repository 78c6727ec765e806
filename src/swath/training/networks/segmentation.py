"""Define the loss and the output of segmenters, networks that classify each pixel."""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types if it is not installed, and some of its functions are untyped even if it is)

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, one_hot

from swath.errors import InputError
from swath.packaging.write_mlm import PackageOutput
from swath.training.data.crop import NO_CLASS
from swath.training.networks.losses import soft_dice_loss
from swath.training.networks.network import HeadSpec, Network, Targets


class Segmenter(Network):
    """A network that predicts a logit per class for each cell of a map with a stride of some px.

    Each class has its own sigmoid, so the background needs no class.
    """

    architecture: str
    """Name of the architecture in packages."""
    weights: Tensor
    """Weight of each class, float32 (classes,)."""

    def __init__(
        self,
        *,
        classes: int,
        size: int,
        stride: int,
        class_weights: Sequence[float] | None = None,
        dice_weight: float = 1.0,
    ) -> None:
        """Set the values that the loss and the package depend on.

        Args:
            classes: Number of classes, without background.
            size: Tile size in px.
            stride: Distance between cells in px.
            class_weights: Weight of each class's pixels in the loss; by default 1 for all.
            dice_weight: Weight of the Dice loss relative to the cross entropy of pixels.
        """
        super().__init__()
        self.classes, self.size, self.stride = classes, size, stride
        self.dice_weight = dice_weight
        self.register_buffer(
            "weights", torch.tensor([float(weight) for weight in class_weights or [1.0] * classes])
        )

    def loss(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the losses `pixel` and `region`.

        `pixel` is the weighted mean cross entropy of valid pixels. `region` is the weighted mean
        Dice loss of the classes.

        Args:
            outputs: Logits (batch, classes, size / stride, size / stride).
            targets: Ground truth of the batch, with class maps.

        Raises:
            InputError: The crops have no class maps.
        """
        if targets.labels is None:
            raise InputError(
                "a segmenter learns from outlines, and these labels are boxes alone: train a "
                "detector, or give labels with polygons"
            )
        # The engine also upsamples bilinearly between the centers of the cells.
        logits = interpolate(outputs, targets.labels.shape[1:], mode="bilinear")
        labels = targets.labels.masked_fill(targets.labels == NO_CLASS, self.classes)
        truth = one_hot(labels, self.classes + 1)[..., : self.classes].permute(0, 3, 1, 2).float()
        counts = targets.valid[:, None].float()
        weights = self.weights[:, None, None]
        # A class's weight applies to its own pixels; all other pixels have the weight 1.
        weight = counts * (1 + (weights - 1) * truth)
        each = binary_cross_entropy_with_logits(logits, truth, reduction="none") * weight
        pixel = each.sum() / weight.sum().clamp(min=1)
        dice = soft_dice_loss(logits.sigmoid(), truth, counts) * self.weights
        region = dice.sum() / self.weights.sum()
        return {"pixel": pixel, "region": self.dice_weight * region}

    def head(self) -> HeadSpec:
        """Describe the exported output: sigmoid logits per class at the stride."""
        side = self.size // self.stride
        logits = PackageOutput(
            name="logits",
            shape=(-1, self.classes, side, side),
            axes=("batch", "class", "height", "width"),
        )
        return HeadSpec(
            architecture=self.architecture,
            task="semantic-segmentation",
            outputs=(logits,),
            hyperparameters={"score_activation": "sigmoid", "score_threshold": 0.5},
        )
