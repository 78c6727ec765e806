"""A small anchor-free detector, for small objects in imagery of any number of bands.

One map, at a step of 2 px by default, since an object of 8 px is a single place on the step of 8
that detectors of large objects begin with. Every place gives a score a class and the distances to
the four sides of its box (FCOS, Tian et al. 2019, https://arxiv.org/abs/1904.01355). The score is
taught to be the overlap of its own box with the truth (VarifocalNet, Zhang et al. 2021,
https://arxiv.org/abs/2008.13367), so the best place of an object is also the one with its best box.
"""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types where it is not installed, and some of its functions have none where it is)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from swath.training.networks.assignment import assign, centres
from swath.training.networks.blocks import ConvBlock, Pyramid, Squash
from swath.training.networks.losses import iou_and_ciou, varifocal
from swath.training.networks.network import Targets

_RARE = 0.01
"""The score that every place begins with, so that the many empty ones do not drown the first steps
(Lin et al. 2017, https://arxiv.org/abs/1708.02002)."""
_FURTHEST = 8.0
"""Of the logarithm of a distance in steps: e^8 is further than any tile is wide."""


class Maps(NamedTuple):
    """What the detector says of a batch."""

    logits: Tensor
    """(batch, places, classes)."""
    boxes: Tensor
    """(batch, places, 4): corners, px of the tile."""


class Detector(nn.Module):
    """An encoder and decoder with a score and a box a place: a member of `Detectors`."""

    weights: Tensor

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
        """A detector with random weights.

        Args:
            bands: of its tiles, whose sides are a multiple of `stride` times 2 for each level but
                the first.
            classes: of objects.
            stride: px from place to place: 1 or 2.
            channels: of each level, the finest first; each sees twice as far as the one before.
            depth: residual blocks a level.
            typical: the side of a usual object, px: boxes begin with it.
            radius: how much of a box's middle answers for it, see `assign`.
            class_weights: how much each class's objects count; by default all alike.
            box_weight: how much boxes count beside scores.
            contrast: of what is dark, see `Squash`: about 1 with scaling by z-score, 20 to 50 with
                min-max.
        """
        super().__init__()
        self.stride, self.radius, self.box_weight = stride, radius, box_weight
        self.squash = Squash(contrast)
        self.pyramid = Pyramid(bands, channels, stride=stride, depth=depth)
        self.neck = ConvBlock(channels[0], 2 * channels[0])
        self.score = nn.Conv2d(2 * channels[0], classes, 1)
        self.sides = nn.Conv2d(2 * channels[0], 4, 1)
        _begin_with(self.score, math.log(_RARE / (1 - _RARE)))
        _begin_with(self.sides, math.log(typical / 2 / stride))
        nn.init.normal_(self.sides.weight, std=0.01)
        self.register_buffer(
            "weights", torch.tensor([float(weight) for weight in class_weights or [1.0] * classes])
        )

    def forward(self, x: Tensor) -> Maps:
        """Scaled tiles (batch, bands, rows, cols) to what is where."""
        logits, sides = self.maps(x)
        middle = centres(logits.shape[2], logits.shape[3], self.stride, logits.device)
        away = sides.exp().flatten(2).transpose(1, 2)
        boxes = torch.cat([middle - away[..., :2], middle + away[..., 2:]], dim=-1)
        return Maps(logits.flatten(2).transpose(1, 2), boxes)

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled tiles to logits and distances, (batch, classes or 4, rows, cols).

        The distances, logarithms of px, are from the middle of a place to the left, upper, right
        and lower side of its box.
        """
        seen = self.neck(self.pyramid(self.squash(x)))
        return self.score(seen), self.sides(seen).clamp(max=_FURTHEST) + math.log(self.stride)

    def loss(self, outputs: Maps, targets: Targets) -> dict[str, Tensor]:
        """`score` and `box`, each a sum over the batch's places by the number of positive ones."""
        middle = self.stride // 2
        valid = targets.valid[:, middle :: self.stride, middle :: self.stride]
        places = centres(valid.shape[1], valid.shape[2], self.stride, valid.device)
        quality, counts = torch.zeros_like(outputs.logits), torch.ones_like(outputs.logits)
        boxes, truths, weights = [], [], []
        for number, truth in enumerate(targets.boxes):
            crowd, there = targets.crowd[number], valid[number].flatten()
            found = assign(places, truth, crowd, there, self.radius)
            label = targets.classes[number][found.object]
            boxes.append(outputs.boxes[number, found.place])
            truths.append(truth[found.object])
            weights.append(self.weights[label])
            iou, _ = iou_and_ciou(boxes[-1].detach(), truths[-1])
            quality[number, found.place, label] = iou
            counts[number, found.place, label] = weights[-1]
            counts[number, found.ignored] = 0
        weight = torch.cat(weights)
        _, ciou = iou_and_ciou(torch.cat(boxes), torch.cat(truths))
        total = weight.sum().clamp(min=1)
        score = (varifocal(outputs.logits, quality) * counts).sum() / total
        box = ((1 - ciou) * weight).sum() / total
        return {"score": score, "box": self.box_weight * box}


def _begin_with(layer: nn.Conv2d, answer: float) -> None:
    """Have a layer answer so before it has learnt anything."""
    if layer.bias is not None:
        nn.init.constant_(layer.bias, answer)
