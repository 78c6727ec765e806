"""Compare axis-aligned boxes, float64 (n, 4): x0, y0, x1, y1.

Boxes that only touch count as overlapping pairs.
"""

from __future__ import annotations

import numpy as np
import shapely

from swath._types import Boxes, Floats, Ints, Polygons

_MAX_SINGLE_SWEEP_BOXES = 512
"""Number of boxes up to which one sweep is faster than strips."""


def overlapping_pairs(boxes: Boxes, *, margin: float = 0.0) -> tuple[Ints, Ints]:
    """Return every pair of boxes that overlap or touch, as indices i < j, (pairs,) each.

    A sweep along x runs in strips about as high as a box. A box that spans several strips is swept
    in each; a pair counts only in the first strip that contains both. For boxes spread over a scene
    the time is n log n.

    Args:
        boxes: float64 (n, 4).
        margin: Distance by which the sides of all boxes are moved outwards first.
    """
    x0, y0, x1, y1 = np.ascontiguousarray(boxes.T) + margin * np.array([[-1], [-1], [1], [1]])
    if len(boxes) <= _MAX_SINGLE_SWEEP_BOXES:
        first, second = _sweep(x0, x1)
        overlaps = (y0[first] <= y1[second]) & (y0[second] <= y1[first])
    else:
        height = max(float((y1 - y0).mean()), np.finfo(np.float32).tiny)
        top, bottom = np.floor(y0 / height), np.floor(y1 / height)
        rows, repetition = expand_counts((bottom - top).astype(np.int64) + 1)
        strip = top[rows] + repetition
        # The strips are laid side by side along one line, and swept at once.
        shift = (strip - strip.min()) * (x1.max() - x0.min() + 1)
        a, b = _sweep(x0[rows] + shift, x1[rows] + shift)
        first, second = rows[a], rows[b]
        overlaps = strip[a] == np.maximum(top[first], top[second])
        overlaps &= (y0[first] <= y1[second]) & (y0[second] <= y1[first])
        overlaps &= (x0[first] <= x1[second]) & (x0[second] <= x1[first])
    first, second = first[overlaps], second[overlaps]
    return np.minimum(first, second), np.maximum(first, second)


def _sweep(low: Floats, high: Floats) -> tuple[Ints, Ints]:
    """Return every pair of intervals that overlap or touch once, as indices, (pairs,) each."""
    order = np.argsort(low, kind="stable")
    low, high = low[order], high[order]
    after = np.arange(1, len(low) + 1)
    first, repetition = expand_counts(np.searchsorted(low, high, side="right") - after)
    return order[first], order[after[first] + repetition]


def expand_counts(counts: Ints) -> tuple[Ints, Ints]:
    """Return each index repeated by its count, and the number of each repetition from 0."""
    rows = np.repeat(np.arange(len(counts)), counts)
    return rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)


def overlapping_pairs_between(boxes: Boxes, others: Boxes) -> tuple[Ints, Ints]:
    """Return every pair of a box and one of `others` that overlap or touch, as indices."""
    tree = shapely.STRtree(shapely.box(*boxes.T))
    second, first = tree.query(shapely.box(*others.T))
    return first.astype(np.int64), second.astype(np.int64)


def intersection_area(a: Boxes, b: Boxes) -> Floats:
    """Return the area that each box of `a` shares with the box of `b` in the same row, (n,)."""
    width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
    height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
    return np.maximum(width, 0) * np.maximum(height, 0)  # type: ignore[no-any-return]


def area(boxes: Boxes) -> Floats:
    """Return the area of each box, (n,)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def iou(a: Boxes, b: Boxes) -> Floats:
    """Return the IoU of each box of `a` with the box of `b` in the same row, (n,)."""
    shared = intersection_area(a, b)
    return ratio(shared, area(a) + area(b) - shared)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Return areas divided by their wholes, (n,); 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def scale_shapes(
    box: Boxes, outline: Polygons | None, scale: tuple[float, float]
) -> tuple[Boxes, Polygons | None]:
    """Return boxes and outlines in pixels of another size.

    Args:
        box: Boxes, (n, 4).
        outline: Outlines, (n,); None if the boxes are the outlines.
        scale: Number of new px along x and along y in one px.
    """
    if outline is not None:
        outline = np.asarray(shapely.transform(outline, lambda xy: xy * scale), np.object_)
    return box * np.tile(scale, 2), outline
