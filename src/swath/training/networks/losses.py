"""Losses of boxes, scores and pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

_TINY = 1e-7


def iou_and_ciou(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union and its complete form, of boxes pair by pair.

    CIoU takes off the distance of the centres and the difference of the shapes, so that boxes
    that do not meet are told which way to go (Zheng et al. 2020,
    https://arxiv.org/abs/1911.08287).

    Args:
        boxes: (n, 4) corners.
        others: the same.

    Returns:
        (n,) from 0 to 1; (n,) up to 1.
    """
    low = torch.maximum(boxes[:, :2], others[:, :2])
    high = torch.minimum(boxes[:, 2:], others[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    size, other = boxes[:, 2:] - boxes[:, :2], others[:, 2:] - others[:, :2]
    iou = shared / (size.prod(dim=1) + other.prod(dim=1) - shared + _TINY)
    around = torch.maximum(boxes[:, 2:], others[:, 2:]) - torch.minimum(boxes[:, :2], others[:, :2])
    apart = (boxes[:, :2] + boxes[:, 2:] - others[:, :2] - others[:, 2:]).square().sum(dim=1) / 4
    distance = apart / (around.square().sum(dim=1) + _TINY)
    angle = torch.atan(size[:, 0] / (size[:, 1] + _TINY))
    other_angle = torch.atan(other[:, 0] / (other[:, 1] + _TINY))
    shape = 4 / math.pi**2 * (angle - other_angle).square()
    with torch.no_grad():
        weight = shape / (1 - iou + shape + _TINY)
    return iou, iou - distance - weight * shape


def varifocal(logits: Tensor, quality: Tensor, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """Cross entropy of scores with a quality from 0 to 1; 0 means that there is nothing.

    Of the many places with nothing, those are heard that score high all the same; of the few
    others, all, each as its quality is (Zhang et al. 2021, https://arxiv.org/abs/2008.13367).

    Args:
        logits: of any shape.
        quality: what their sigmoid should be; the same shape.
        alpha: how much places with nothing count.
        gamma: how little those of them count that score low.

    Returns:
        The same shape.
    """
    empty = alpha * logits.detach().sigmoid().pow(gamma)
    weight = torch.where(quality > 0, quality, empty)
    loss: Tensor = binary_cross_entropy_with_logits(logits, quality, reduction="none") * weight
    return loss


def soft_dice(scores: Tensor, truth: Tensor, counts: Tensor) -> Tensor:
    """One less the share of the scores and the truth that they have in common, a class.

    Unlike cross entropy it does not grow with how much of a crop is background (Milletari et al.
    2016, https://arxiv.org/abs/1606.04797).

    Args:
        scores: (batch, classes, rows, cols) from 0 to 1.
        truth: the same shape, 0 or 1.
        counts: (batch, 1, rows, cols), 1 where pixels count, else 0.

    Returns:
        (classes,).
    """
    axes = (0, 2, 3)
    shared = (scores * truth * counts).sum(dim=axes)
    total = ((scores + truth) * counts).sum(dim=axes)
    dice: Tensor = 1 - (2 * shared + 1) / (total + 1)
    return dice
