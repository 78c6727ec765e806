"""What networks that answer for each pixel have in common."""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types where it is not installed, and some of its functions have none where it is)

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, one_hot

from swath.errors import InputError
from swath.packaging.write_mlm import OutputSpec
from swath.training.data.crop import NOTHING
from swath.training.networks.losses import soft_dice
from swath.training.networks.network import Head, Network, Targets


class Segmenter(Network):
    """A network with a logit a class for each place of a map, at a step of some px.

    Classes are told apart by a sigmoid each, so a pixel of none needs no class of its own.
    """

    architecture: str
    weights: Tensor

    def __init__(
        self,
        *,
        classes: int,
        size: int,
        stride: int,
        class_weights: Sequence[float] | None = None,
        dice_weight: float = 1.0,
    ) -> None:
        """What the loss and the package need to know.

        Args:
            classes: that it tells apart.
            size: of its tiles, px.
            stride: px from place to place.
            class_weights: how much each class's pixels count; by default all alike.
            dice_weight: how much the overlap of regions counts beside each pixel's answer.
        """
        super().__init__()
        self.classes, self.size, self.stride = classes, size, stride
        self.dice_weight = dice_weight
        self.register_buffer(
            "weights", torch.tensor([float(weight) for weight in class_weights or [1.0] * classes])
        )

    def loss(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """`pixel`, a mean over the pixels that count, and `region`, a mean over the classes.

        Raises:
            InputError: the crops have no class maps.
        """
        if targets.labels is None:
            raise InputError(
                "a segmenter learns from outlines, and these labels are boxes alone: train a "
                "detector, or give labels with polygons"
            )
        # As swath does with the package's answers: linear between the centres of the places.
        logits = interpolate(outputs, targets.labels.shape[1:], mode="bilinear")
        labels = targets.labels.masked_fill(targets.labels == NOTHING, self.classes)
        truth = one_hot(labels, self.classes + 1)[..., : self.classes].permute(0, 3, 1, 2).float()
        counts = targets.valid[:, None].float()
        weights = self.weights[:, None, None]
        # A class's weight is for its own pixels; what is not of the class counts as ever.
        weight = counts * (1 + (weights - 1) * truth)
        each = binary_cross_entropy_with_logits(logits, truth, reduction="none") * weight
        pixel = each.sum() / weight.sum().clamp(min=1)
        dice = soft_dice(logits.sigmoid(), truth, counts) * self.weights
        region = dice.sum() / self.weights.sum()
        return {"pixel": pixel, "region": self.dice_weight * region}

    def head(self) -> Head:
        """Logits of a sigmoid a class."""
        side = self.size // self.stride
        logits = OutputSpec(
            name="logits",
            shape=(-1, self.classes, side, side),
            axes=("batch", "class", "height", "width"),
        )
        return Head(
            architecture=self.architecture,
            task="semantic-segmentation",
            outputs=(logits,),
            hyperparameters={"score_activation": "sigmoid", "score_threshold": 0.5},
        )
