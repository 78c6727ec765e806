"""Compute losses of boxes, scores and pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

_EPSILON = 1e-7


def iou_and_ciou(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return the IoU and the complete IoU (CIoU) of boxes, pair by pair.

    CIoU subtracts the distance of the centers and the difference of the shapes from the IoU.
    Boxes that do not overlap therefore have a gradient (Zheng et al. 2020,
    https://arxiv.org/abs/1911.08287).

    Args:
        boxes: Boxes, (n, 4): x_min, y_min, x_max, y_max.
        others: Boxes to compare with, (n, 4), in the same order.

    Returns:
        IoU, (n,) from 0 to 1, and CIoU, (n,) at most 1.
    """
    low = torch.maximum(boxes[:, :2], others[:, :2])
    high = torch.minimum(boxes[:, 2:], others[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    size, other = boxes[:, 2:] - boxes[:, :2], others[:, 2:] - others[:, :2]
    iou = shared / (size.prod(dim=1) + other.prod(dim=1) - shared + _EPSILON)
    around = torch.maximum(boxes[:, 2:], others[:, 2:]) - torch.minimum(boxes[:, :2], others[:, :2])
    apart = (boxes[:, :2] + boxes[:, 2:] - others[:, :2] - others[:, 2:]).square().sum(dim=1) / 4
    distance = apart / (around.square().sum(dim=1) + _EPSILON)
    angle = torch.atan(size[:, 0] / (size[:, 1] + _EPSILON))
    other_angle = torch.atan(other[:, 0] / (other[:, 1] + _EPSILON))
    shape = 4 / math.pi**2 * (angle - other_angle).square()
    with torch.no_grad():
        weight = shape / (1 - iou + shape + _EPSILON)
    return iou, iou - distance - weight * shape


def varifocal_loss(
    logits: Tensor, quality: Tensor, alpha: float = 0.75, gamma: float = 2.0
) -> Tensor:
    """Return the varifocal loss: a weighted cross entropy of scores with a quality from 0 to 1.

    Empty cells, which have the quality 0, weigh more the higher their score is. Positive cells
    weigh as much as their quality (Zhang et al. 2021, https://arxiv.org/abs/2008.13367).

    Args:
        logits: Logits of the scores, of any shape.
        quality: Target of the scores, from 0 to 1, of the same shape; 0 for empty cells.
        alpha: Weight of empty cells.
        gamma: Exponent of the score in the weight of empty cells; a higher one weighs low scores
            less.

    Returns:
        Loss of each logit, of the same shape.
    """
    empty = alpha * logits.detach().sigmoid().pow(gamma)
    weight = torch.where(quality > 0, quality, empty)
    loss: Tensor = binary_cross_entropy_with_logits(logits, quality, reduction="none") * weight
    return loss


def soft_dice_loss(scores: Tensor, truth: Tensor, counts: Tensor) -> Tensor:
    """Return the soft Dice loss of each class: 1 minus the overlap of scores and ground truth.

    Unlike cross entropy, the loss does not grow with the area of the background (Milletari et al.
    2016, https://arxiv.org/abs/1606.04797).

    Args:
        scores: Scores from 0 to 1, (batch, classes, rows, cols).
        truth: Ground truth, 0 or 1, of the same shape.
        counts: Mask of the pixels, (batch, 1, rows, cols): 1 for pixels that count, else 0.

    Returns:
        Loss of each class, (classes,).
    """
    axes = (0, 2, 3)
    shared = (scores * truth * counts).sum(dim=axes)
    total = ((scores + truth) * counts).sum(dim=axes)
    dice: Tensor = 1 - (2 * shared + 1) / (total + 1)
    return dice
