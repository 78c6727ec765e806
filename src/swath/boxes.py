"""Axis-aligned boxes, float64 (n, 4): x0, y0, x1, y1. Which overlap, and which of those remain."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


def neighbours(boxes: Boxes, *, margin: float = 0.0) -> tuple[Indices, Indices]:
    """Every pair of boxes that meet, as indices i < j; n log n for boxes spread over a scene.

    Args:
        boxes: float64 (n, 4).
        margin: how far each box reaches beyond its sides, for this question.
    """
    reach = boxes + margin * np.array([-1.0, -1.0, 1.0, 1.0])
    shapes = shapely.box(*reach.T)
    first, second = shapely.STRtree(shapes).query(shapes)
    once = first < second
    return first[once].astype(np.int64), second[once].astype(np.int64)


def iou(a: Boxes, b: Boxes) -> Floats:
    """Intersection over union of each box of `a` with the box of `b` in the same row."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared = _area(np.clip(high - low, 0, None))
    union = _area(a[:, 2:] - a[:, :2]) + _area(b[:, 2:] - b[:, :2]) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _area(sides: Floats) -> Floats:
    return sides[:, 0] * sides[:, 1]


def suppress(count: int, winner: Indices, loser: Indices) -> Mask:
    """What remains of `count` things when each, taken in order, rules out those it wins against.

    The result is that of the sequential greedy loop. Each round settles all things that nothing
    undecided outranks, so the rounds are as many as the longest chain of rivals, not as the things.

    Args:
        count: how many things there are.
        winner: of each pair of rivals, the one that comes first in the order.
        loser: the other; nothing may win against itself by way of others.
    """
    kept, open_ = np.zeros(count, dtype=np.bool_), np.ones(count, dtype=np.bool_)
    while open_.any():
        free = open_.copy()
        free[loser] = False
        kept |= free
        open_ &= ~free
        open_[loser[free[winner]]] = False
        undecided = open_[winner] & open_[loser]
        winner, loser = winner[undecided], loser[undecided]
    return kept


def non_maximum_suppression(
    boxes: Boxes, score: NDArray[np.float32], label: NDArray[np.int16], *, threshold: float
) -> Indices:
    """Greedy NMS within each class: the boxes that remain, best first; ties in the given order.

    Args:
        boxes: float64 (n, 4).
        score: float32 (n,).
        label: int16 (n,).
        threshold: a box that overlaps a better one of its class by a larger IoU is dropped.
    """
    order = np.argsort(-score, kind="stable")
    boxes, label = boxes[order], label[order]
    better, worse = neighbours(boxes)
    rivals = label[better] == label[worse]
    better, worse = better[rivals], worse[rivals]
    rivals = iou(boxes[better], boxes[worse]) > threshold
    kept = suppress(len(boxes), better[rivals], worse[rivals])
    return order[kept]
