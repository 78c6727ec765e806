"""Rasters as polygons: exact, along pixel edges, holes and all.

Pixels that share a side are one region; those that meet only in a corner are not.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from swath.detections import NO_LABEL, Detections, Seen
from swath.rings import Corners, Floats, Ints, Rings, polygons, walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.tiles import Tile


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The regions of a raster, from top to bottom and from left to right."""

    outline: NDArray[np.object_]
    """(n,) shapely Polygons, valid ones; a region has one."""
    label: NDArray[Any]
    """(n,) of the raster's dtype."""
    area: Floats
    """(n,) in px."""
    total: Floats
    """(n,) the sum of the weights of its pixels."""


def segments_of(
    labels: NDArray[Any],
    probability: NDArray[np.floating[Any]],
    tile: Tile,
    *,
    valid: NDArray[np.bool_] | None = None,
    threshold: float = 0.0,
    background: Collection[int] = (),
) -> Seen:
    """What a tile owns of a semantic segmentation: the regions of its core, and its labels.

    Args:
        labels: (rows, cols) of the tile, or of its window: each pixel's class.
        probability: the same pixels' probability of that class.
        tile: the tile.
        valid: (rows, cols) of the tile's window, True = valid; None where all is.
        threshold: a pixel whose probability is less has no class.
        background: classes that count as none.

    Returns:
        A detection for each region; its score is the mean probability over its pixels.
    """
    x0, y0, x1, y1 = tile.core
    core = np.s_[y0 - tile.y : y1 - tile.y, x0 - tile.x : x1 - tile.x]
    likely = probability[core]
    nothing = ~(likely >= threshold)  # nor where it is NaN
    for label in background:
        nothing |= labels[core] == label
    if valid is not None:
        nothing |= ~valid[core]
    own = np.where(nothing, NO_LABEL, labels[core]).astype(np.uint8)
    regions = regions_of(own, likely, background=NO_LABEL, offset=(x0, y0))
    detections = Detections.of_tile(
        shapely.bounds(regions.outline).reshape(-1, 4),
        (regions.total / regions.area).astype(np.float32),
        regions.label.astype(np.int16),
        tile.index,
        regions.outline,
    )
    return Seen(detections, own)


def polygons_of_mask(
    mask: NDArray[np.bool_], offset: tuple[int, int] = (0, 0)
) -> shapely.Polygon | shapely.MultiPolygon | None:
    """The outline of the pixels that are set; None where none is.

    Args:
        mask: (rows, cols).
        offset: (x, y) of its upper left corner.
    """
    outline = regions_of(mask.view(np.uint8), background=0, offset=offset).outline
    if len(outline) > 1:
        return shapely.MultiPolygon(list(outline))
    return outline[0] if len(outline) else None


def regions_of(
    labels: NDArray[Any],
    weight: NDArray[Any] | None = None,
    *,
    background: int = NO_LABEL,
    offset: tuple[int, int] = (0, 0),
) -> Regions:
    """The regions of pixels of one label.

    Args:
        labels: (rows, cols) of integers.
        weight: (rows, cols); by default, 1 a pixel.
        background: the label whose pixels are in no region.
        offset: (x, y) of the upper left corner.
    """
    framed = np.pad(labels, 1, constant_values=background)
    corners, label = _corners(framed, background)
    if not len(corners.x):
        nothing = np.empty(0)
        return Regions(np.empty(0, np.object_), labels[:0, 0], nothing, nothing)
    rings = walk(corners)
    area = rings.total((corners.x * corners.y).astype(np.float64))
    hole = area < 0
    region = _regions(framed, corners, rings, hole)
    moved = Corners(
        corners.x + offset[0], corners.y + offset[1], corners.below, corners.upright, corners.twins
    )
    total = area if weight is None else rings.total(_sums(weight, corners))
    return Regions(
        polygons(moved, rings, region, hole),
        label[rings.edge[rings.start[~hole]]],
        np.bincount(region, area).astype(np.float64),
        np.bincount(region, total).astype(np.float64),
    )


def _corners(framed: NDArray[Any], background: int) -> tuple[Corners, NDArray[Any]]:
    """All corners of all regions, and the label of each level edge."""
    point_y, point_x, around = _turns(framed)
    # Columns of `around`: upper left, upper right, lower left and lower right of the point. Of each
    # pixel, the one beside it, the one above or below it, and the one across the point.
    beside, level, across = around[:, [1, 0, 3, 2]], around[:, [2, 3, 0, 1]], around[:, ::-1]
    alone = (around != beside) & (around != level)
    rounded = (around == beside) & (around == level) & (around != across)
    found = (alone | rounded) & (around != background)
    point, quarter = np.nonzero(found)
    x, y, right, below = point_x[point], point_y[point], quarter & 1, quarter >> 1
    rows, columns = framed.shape
    # Along a line, and on one side of it, edges follow one another: each second corner ends one.
    order = np.argsort(((y * 2 + below) * columns + x) * 2 + right)
    x, y, right, below = x[order], y[order], right[order], below[order]
    upright = np.argsort(((x * 2 + right) * rows + y) * 2 + below).reshape(-1, 2)
    other = np.empty_like(order)
    other[upright[:, 0]], other[upright[:, 1]] = upright[:, 1], upright[:, 0]
    number = np.empty(found.shape, np.int64)
    number[point[order], quarter[order]] = np.arange(len(order))
    touching = found & found[:, ::-1] & (around == across)
    twins = [number[touching[:, a]][:, [a, 3 - a]] for a in (0, 1)]
    label = around[point, quarter][order][::2]
    return Corners(x, y, below[::2] == 1, other, np.concatenate(twins)), label


def _turns(framed: NDArray[Any]) -> tuple[Ints, Ints, NDArray[Any]]:
    """The points where an outline may turn: y, x, and (n, 4) the labels of the pixels around."""
    beside, above = framed[:, 1:] != framed[:, :-1], framed[1:] != framed[:-1]
    turns = (beside[:-1] | beside[1:]) & (above[:, :-1] | above[:, 1:])
    y, x = np.nonzero(turns)
    around = [framed[y, x], framed[y, x + 1], framed[y + 1, x], framed[y + 1, x + 1]]
    return y, x, np.stack(around, axis=1)


def _regions(framed: NDArray[Any], corners: Corners, rings: Rings, hole: NDArray[np.bool_]) -> Ints:
    """The region of each ring: that of the ring seen when looking up from a hole's upper edge."""
    seen = np.arange(rings.count)
    holes = np.flatnonzero(hole)
    top = rings.edge[rings.start[holes]]
    seen[holes] = rings.ring[_edges_above(framed, corners, corners.x[2 * top], corners.y[2 * top])]
    while hole[seen].any():  # a ring that is seen begins higher up, so this ends
        seen = seen[seen]
    number = np.cumsum(~hole) - 1
    return np.asarray(number[seen])


def _edges_above(framed: NDArray[Any], corners: Corners, x: Ints, y: Ints) -> Ints:
    """Of the pixels right of and above points, the level edge at the upper end of their column."""
    columns, place = np.unique(x, return_inverse=True)
    lines = np.arange(len(framed) - 1)[:, None]
    changes = framed[1:, columns + 1] != framed[:-1, columns + 1]
    top = np.maximum.accumulate(np.where(changes, lines, 0), axis=0)[y - 1, place]
    width = framed.shape[1]
    left = ((corners.y[::2] * 2 + corners.below) * width) + corners.x[::2]
    return np.asarray(np.searchsorted(left, (top * 2 + 1) * width + x, side="right") - 1)


def _sums(weight: NDArray[Any], corners: Corners) -> Floats:
    """At each corner, the sum of the weights left of and above it."""
    table = np.zeros((weight.shape[0] + 1, weight.shape[1] + 1))
    np.cumsum(weight, axis=0, dtype=np.float64, out=table[1:, 1:])
    np.cumsum(table, axis=1, out=table)
    return np.asarray(table[corners.y, corners.x])
