"""Axis-aligned boxes, float64 (n, 4): x0, y0, x1, y1; which of them meet."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

_SWEEP_FACTOR = 16
_SWEEP_LEAST = 1 << 17
"""Up to so many pairs, or so many a box, a sweep is quicker than a tree."""


def neighbours(boxes: Boxes, *, margin: float = 0.0) -> tuple[Indices, Indices]:
    """Every pair of boxes that meet, as indices i < j; n log n for boxes spread over a scene.

    Args:
        boxes: float64 (n, 4).
        margin: how far each box reaches beyond its sides, for this question.
    """
    if margin:
        boxes = boxes + margin * np.array([-1.0, -1.0, 1.0, 1.0])
    x0, y0, x1, y1 = np.ascontiguousarray(boxes.T)
    order = np.argsort(x0, kind="stable")
    x0, x1 = x0[order], x1[order]
    after = np.arange(1, len(boxes) + 1)
    count = np.maximum(np.searchsorted(x0, x1, side="right") - after, 0)
    if count.sum() > max(_SWEEP_LEAST, _SWEEP_FACTOR * len(boxes)):
        first, second = meetings(boxes, boxes)
        once = first < second
        return first[once], second[once]
    first = np.repeat(after - 1, count)
    # The count of pairs before each box's own tells the place of a pair among them.
    second = np.arange(len(first)) + np.repeat(after - (np.cumsum(count) - count), count)
    first, second = order[first], order[second]
    meet = (y0[first] <= y1[second]) & (y0[second] <= y1[first])
    first, second = first[meet], second[meet]
    return np.minimum(first, second), np.maximum(first, second)


def meetings(boxes: Boxes, others: Boxes) -> tuple[Indices, Indices]:
    """Every pair of a box and one of `others` that meet, as indices of each."""
    tree = shapely.STRtree(shapely.box(*boxes.T))
    second, first = tree.query(shapely.box(*others.T))
    return first.astype(np.int64), second.astype(np.int64)


def shared_area(a: Boxes, b: Boxes) -> Floats:
    """The area of each box of `a` that the box of `b` in the same row covers."""
    wide = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
    high = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
    return np.maximum(wide, 0) * np.maximum(high, 0)  # type: ignore[no-any-return]


def area(boxes: Boxes) -> Floats:
    """The area of each box."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def iou(a: Boxes, b: Boxes) -> Floats:
    """Intersection over union of each box of `a` with the box of `b` in the same row."""
    shared = shared_area(a, b)
    return ratio(shared, area(a) + area(b) - shared)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Of areas; 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
