"""Compare axis-aligned boxes, float64 (n, 4): x0, y0, x1, y1.

Boxes meet if they overlap or touch.
"""

from __future__ import annotations

import numpy as np
import shapely

from swath._types import Boxes, Floats, Ints

_SMALL = 512
"""Number of boxes up to which one sweep is faster than strips."""


def neighbours(boxes: Boxes, *, margin: float = 0.0) -> tuple[Ints, Ints]:
    """Return every pair of boxes that meet, as indices i < j, (pairs,) each.

    A sweep along x runs in strips about as high as a box. A box that spans several strips is swept
    in each; a pair counts only in the first strip that contains both. For boxes spread over a scene
    the time is n log n.

    Args:
        boxes: float64 (n, 4).
        margin: Distance by which the sides of all boxes are moved outwards first.
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
        # The strips are laid side by side along one line, and swept at once.
        shift = (strip - strip.min()) * (x1.max() - x0.min() + 1)
        a, b = _sweep(x0[rows] + shift, x1[rows] + shift)
        first, second = rows[a], rows[b]
        meet = strip[a] == np.maximum(top[first], top[second])
        meet &= (y0[first] <= y1[second]) & (y0[second] <= y1[first])
        meet &= (x0[first] <= x1[second]) & (x0[second] <= x1[first])
    first, second = first[meet], second[meet]
    return np.minimum(first, second), np.maximum(first, second)


def _sweep(low: Floats, high: Floats) -> tuple[Ints, Ints]:
    """Return every pair of intervals that meet once, as indices, (pairs,) each."""
    order = np.argsort(low, kind="stable")
    low, high = low[order], high[order]
    after = np.arange(1, len(low) + 1)
    first, place = spread(np.searchsorted(low, high, side="right") - after)
    return order[first], order[after[first] + place]


def spread(counts: Ints) -> tuple[Ints, Ints]:
    """Return each index repeated by its count, and the number of each repetition from 0."""
    rows = np.repeat(np.arange(len(counts)), counts)
    return rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)


def meetings(boxes: Boxes, others: Boxes) -> tuple[Ints, Ints]:
    """Return every pair of a box and one of `others` that meet, as indices into each."""
    tree = shapely.STRtree(shapely.box(*boxes.T))
    second, first = tree.query(shapely.box(*others.T))
    return first.astype(np.int64), second.astype(np.int64)


def shared_area(a: Boxes, b: Boxes) -> Floats:
    """Return the area that each box of `a` shares with the box of `b` in the same row, (n,)."""
    wide = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
    high = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
    return np.maximum(wide, 0) * np.maximum(high, 0)  # type: ignore[no-any-return]


def area(boxes: Boxes) -> Floats:
    """Return the area of each box, (n,)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def iou(a: Boxes, b: Boxes) -> Floats:
    """Return the IoU of each box of `a` with the box of `b` in the same row, (n,)."""
    shared = shared_area(a, b)
    return ratio(shared, area(a) + area(b) - shared)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Return areas divided by their wholes, (n,); 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
