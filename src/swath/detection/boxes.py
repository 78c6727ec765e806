"""Axis-aligned boxes, float64 (n, 4): x0, y0, x1, y1; which of them meet."""

from __future__ import annotations

import numpy as np
import shapely

from swath._types import Boxes, Floats, Ints

_SMALL = 512
"""Up to so many boxes, one sweep is quicker than strips."""


def neighbours(boxes: Boxes, *, margin: float = 0.0) -> tuple[Ints, Ints]:
    """Every pair of boxes that meet, as indices i < j; n log n for boxes spread over a scene.

    A sweep along x, in strips about as high as a box: what lies in several strips is swept in each,
    and a pair counts in the first that both lie in.

    Args:
        boxes: float64 (n, 4).
        margin: how far each box reaches beyond its sides, for this question.
    """
    x0, y0, x1, y1 = np.ascontiguousarray(boxes.T) + margin * np.array([[-1], [-1], [1], [1]])
    if len(boxes) <= _SMALL:
        first, second = _sweep(x0, x1)
        meet = (y0[first] <= y1[second]) & (y0[second] <= y1[first])
    else:
        height = max(float((y1 - y0).mean()), np.finfo(np.float32).tiny)
        top, bottom = np.floor(y0 / height), np.floor(y1 / height)
        rows, place = spread((bottom - top).astype(np.int64) + 1)
        strip = top[rows] + place
        # Side by side along one line, the strips are swept in one go.
        shift = (strip - strip.min()) * (x1.max() - x0.min() + 1)
        a, b = _sweep(x0[rows] + shift, x1[rows] + shift)
        first, second = rows[a], rows[b]
        meet = strip[a] == np.maximum(top[first], top[second])
        meet &= (y0[first] <= y1[second]) & (y0[second] <= y1[first])
        meet &= (x0[first] <= x1[second]) & (x0[second] <= x1[first])
    first, second = first[meet], second[meet]
    return np.minimum(first, second), np.maximum(first, second)


def _sweep(low: Floats, high: Floats) -> tuple[Ints, Ints]:
    """Every pair of intervals that meet, once."""
    order = np.argsort(low, kind="stable")
    low, high = low[order], high[order]
    after = np.arange(1, len(low) + 1)
    first, place = spread(np.searchsorted(low, high, side="right") - after)
    return order[first], order[after[first] + place]


def spread(counts: Ints) -> tuple[Ints, Ints]:
    """Each index as often as its count says, and for each the number of the time."""
    rows = np.repeat(np.arange(len(counts)), counts)
    return rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)


def meetings(boxes: Boxes, others: Boxes) -> tuple[Ints, Ints]:
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
