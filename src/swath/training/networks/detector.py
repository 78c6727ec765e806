"""Define a small anchor-free detector for small objects in imagery with any number of bands.

The detector has one feature map, with a stride of 2 px by default. At the finest stride of
detectors for large objects, 8 px, an object of 8 px would be a single cell. Each cell predicts a
score per class and the distances to the four sides of its box (FCOS, Tian et al. 2019,
https://arxiv.org/abs/1904.01355). The score is trained to be the IoU of the cell's own box with
the ground truth (VarifocalNet, Zhang et al. 2021, https://arxiv.org/abs/2008.13367). The cell with
an object's highest score therefore also has its best box.
"""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types if it is not installed, and some of its functions are untyped even if it is)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from swath.training.networks.assignment import assign_objects, cell_centers
from swath.training.networks.blocks import ConvBlock, Pyramid, SignedLog
from swath.training.networks.losses import iou_and_ciou, varifocal_loss
from swath.training.networks.network import Targets

_INITIAL_SCORE = 0.01
"""Initial score of every cell, so that the many empty cells do not dominate the first steps
(Lin et al. 2017, https://arxiv.org/abs/1708.02002)."""
_MAX_LOG_DISTANCE = 8.0
"""Maximum logarithm of a distance in strides; e^8 strides are wider than any tile."""


class DetectorOutput(NamedTuple):
    """Output of the detector for a batch."""

    logits: Tensor
    """Logits of the scores, (batch, cells, classes)."""
    boxes: Tensor
    """Boxes, (batch, cells, 4): x_min, y_min, x_max, y_max in px of the tile."""


class Detector(nn.Module):
    """An encoder and decoder with scores and a box per cell; a member of `DetectorEnsemble`."""

    weights: Tensor
    """Weight of each class in the loss, float32 (classes,)."""

    def __init__(
        self,
        *,
        bands: int,
        classes: int,
        stride: int = 2,
        channels: Sequence[int] = (24, 48, 64, 96),
        depth: int = 1,
        typical: float = 16.0,
        radius: float = 0.25,
        class_weights: Sequence[float] | None = None,
        box_weight: float = 1.0,
        contrast: float = 1.0,
    ) -> None:
        """Create a detector with random weights.

        The tile size must be a multiple of `stride * 2 ** (len(channels) - 1)` px.

        Args:
            bands: Number of bands of the tiles.
            classes: Number of classes of objects.
            stride: Distance between cells in px: 1 or 2.
            channels: Number of channels of each level, finest first. Each level halves the
                resolution of the one before.
            depth: Number of residual blocks per level.
            typical: Side of a typical object in px; the initial boxes have this size.
            radius: Distance from a box's center within which cells are positive, as a fraction of
                the box's sides; see `assign_objects`.
            class_weights: Weight of each class's objects in the loss; by default 1 for all.
            box_weight: Weight of the box loss relative to the score loss.
            contrast: Contrast of dark values, as for `SignedLog`: about 1 with z-score scaling, 20
                to 50 with min-max scaling.
        """
        super().__init__()
        self.stride, self.radius, self.box_weight = stride, radius, box_weight
        self.signed_log = SignedLog(contrast)
        self.pyramid = Pyramid(bands, channels, stride=stride, depth=depth)
        self.neck = ConvBlock(channels[0], 2 * channels[0])
        self.score = nn.Conv2d(2 * channels[0], classes, 1)
        self.sides = nn.Conv2d(2 * channels[0], 4, 1)
        _set_bias(self.score, math.log(_INITIAL_SCORE / (1 - _INITIAL_SCORE)))
        _set_bias(self.sides, math.log(typical / 2 / stride))
        nn.init.normal_(self.sides.weight, std=0.01)
        self.register_buffer(
            "weights", torch.tensor([float(weight) for weight in class_weights or [1.0] * classes])
        )

    def forward(self, x: Tensor) -> DetectorOutput:
        """Return logits and boxes for scaled tiles (batch, bands, rows, cols)."""
        logits, sides = self.predict_maps(x)
        middle = cell_centers(logits.shape[2], logits.shape[3], self.stride, logits.device)
        distances = sides.exp().flatten(2).transpose(1, 2)
        boxes = torch.cat([middle - distances[..., :2], middle + distances[..., 2:]], dim=-1)
        return DetectorOutput(logits.flatten(2).transpose(1, 2), boxes)

    def predict_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and distances for scaled tiles (batch, bands, rows, cols).

        The results are (batch, classes, rows / stride, cols / stride) and (batch, 4, rows / stride,
        cols / stride). The distances are logarithms of px, from the center of a cell to the left,
        upper, right and lower side of its box.
        """
        features = self.neck(self.pyramid(self.signed_log(x)))
        return self.score(features), self.sides(features).clamp(max=_MAX_LOG_DISTANCE) + math.log(
            self.stride
        )

    def loss(self, outputs: DetectorOutput, targets: Targets) -> dict[str, Tensor]:
        """Return the losses `score` and `box`.

        Each is a sum over the batch's cells, divided by the sum of the positive cells' weights
        (at least 1).
        """
        middle = self.stride // 2
        valid = targets.valid[:, middle :: self.stride, middle :: self.stride]
        centers = cell_centers(valid.shape[1], valid.shape[2], self.stride, valid.device)
        quality, counts = torch.zeros_like(outputs.logits), torch.ones_like(outputs.logits)
        boxes, truths, weights = [], [], []
        for number, truth in enumerate(targets.boxes):
            crowd, is_valid = targets.crowd[number], valid[number].flatten()
            assignment = assign_objects(centers, truth, crowd, is_valid, self.radius)
            label = targets.classes[number][assignment.boxes]
            boxes.append(outputs.boxes[number, assignment.cells])
            truths.append(truth[assignment.boxes])
            weights.append(self.weights[label])
            iou, _ = iou_and_ciou(boxes[-1].detach(), truths[-1])
            quality[number, assignment.cells, label] = iou
            counts[number, assignment.cells, label] = weights[-1]
            counts[number, assignment.ignored] = 0
        weight = torch.cat(weights)
        _, ciou = iou_and_ciou(torch.cat(boxes), torch.cat(truths))
        total = weight.sum().clamp(min=1)
        score = (varifocal_loss(outputs.logits, quality) * counts).sum() / total
        box = ((1 - ciou) * weight).sum() / total
        return {"score": score, "box": self.box_weight * box}


def _set_bias(layer: nn.Conv2d, output: float) -> None:
    """Set a layer's bias to its initial output."""
    if layer.bias is not None:
        nn.init.constant_(layer.bias, output)
