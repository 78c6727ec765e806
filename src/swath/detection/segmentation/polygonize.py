"""Turn rasters into exact polygons along pixel edges, holes included.

Pixels that share a side are one region; pixels that meet only in a corner are not.

The polygons equal those of `rasterio.features.shapes`, vertex for vertex. That function returns
each ring as a GeoJSON object of Python tuples. It takes 4 to 7 times as long as arrays of rings
(`make bench ARGS=polygons`), and returns no sum of weights for each region.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from swath._types import Floats, Ints
from swath.detection.detections import NO_LABEL, Detections, TileResult
from swath.detection.segmentation.rings import (
    Corners,
    Rings,
    build_polygons,
    ring_areas,
    trace_rings,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.raster.tiles import Tile


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Regions of a raster, from top to bottom and from left to right."""

    outline: NDArray[np.object_]
    """(n,) valid shapely Polygons, one for each region."""
    label: NDArray[Any]
    """(n,) labels, with the raster's dtype."""
    area: Floats
    """(n,) areas in px."""
    weight_sum: Floats
    """(n,) sums of the weights of each region's pixels."""


def polygonize_tile(
    labels: NDArray[Any],
    probability: NDArray[np.floating[Any]],
    tile: Tile,
    *,
    valid: NDArray[np.bool_] | None = None,
    threshold: float = 0.0,
    background: Collection[int] = (),
) -> TileResult:
    """Return the regions of a tile's core in a semantic segmentation, and the core's labels.

    Args:
        labels: (rows, cols) of the tile, or of its window: the class of each pixel.
        probability: (rows, cols), the probability of that class, 0 to 1.
        tile: Tile of the grid.
        valid: (rows, cols) of the tile's window, True for valid pixels; None if all are valid.
        threshold: Lowest probability of a pixel's class; pixels below it get NO_LABEL.
        background: Classes whose pixels get NO_LABEL.

    Returns:
        One detection for each region, whose score is the mean probability of its pixels.
    """
    x0, y0, x1, y1 = tile.core
    core = np.s_[y0 - tile.y : y1 - tile.y, x0 - tile.x : x1 - tile.x]
    core_probability = probability[core]
    is_background = ~(core_probability >= threshold)  # also true for NaN
    for label in background:
        is_background |= labels[core] == label
    if valid is not None:
        is_background |= ~valid[core]
    core_labels = np.where(is_background, NO_LABEL, labels[core]).astype(np.uint8)
    regions = polygonize(core_labels, core_probability, background=NO_LABEL, offset=(x0, y0))
    detections = Detections.from_tile(
        shapely.bounds(regions.outline).reshape(-1, 4),
        (regions.weight_sum / regions.area).astype(np.float32),
        regions.label.astype(np.int16),
        tile.index,
        regions.outline,
    )
    return TileResult(detections, core_labels)


def polygonize_mask(
    mask: NDArray[np.bool_], offset: tuple[int, int] = (0, 0)
) -> shapely.Polygon | shapely.MultiPolygon | None:
    """Return the outline of the pixels that are set; None if no pixel is.

    Args:
        mask: (rows, cols) of bool.
        offset: (x, y) of the mask's upper left corner in px.
    """
    outline = polygonize(mask.view(np.uint8), background=0, offset=offset).outline
    if len(outline) > 1:
        return shapely.MultiPolygon(list(outline))
    return outline[0] if len(outline) else None


def polygonize(
    labels: NDArray[Any],
    weight: NDArray[Any] | None = None,
    *,
    background: int = NO_LABEL,
    offset: tuple[int, int] = (0, 0),
) -> Regions:
    """Return the regions of a raster: connected pixels with one label.

    Args:
        labels: (rows, cols) of integers.
        weight: (rows, cols), weight of each pixel; 1 by default.
        background: Label whose pixels belong to no region.
        offset: (x, y) of the raster's upper left corner in px.
    """
    framed = np.pad(labels, 1, constant_values=background)
    corners, label = _corners(framed, background)
    if not len(corners.x):
        empty = np.empty(0)
        return Regions(np.empty(0, np.object_), labels[:0, 0], empty, empty)
    rings = trace_rings(corners)
    inside = ring_areas(corners, rings)
    hole = inside < 0
    region = _assign_regions(framed, corners, rings, hole)
    area = np.bincount(region, inside).astype(np.float64)
    return Regions(
        build_polygons(corners, rings, region, hole, offset),
        label[rings.edge[rings.start[~hole]]],
        area,
        area if weight is None else _sum_weights(weight, framed, corners, rings, region),
    )


def _corners(framed: NDArray[Any], background: int) -> tuple[Corners, NDArray[Any]]:
    """Return all corners of all regions, and the label of each horizontal edge."""
    point, (a, b, c, d) = _turning_points(framed)
    top, left, right, bottom = a != b, a != c, b != d, c != d
    # A pixel has a corner if the pixels beside it and above or below it both have other labels. It
    # also has a corner if both have its label, and the diagonal pixel has another.
    corner = np.array(
        [
            [np.where(bottom, left, ~left & top), np.where(bottom, right, ~right & top)],
            [np.where(top, left, ~left & right), np.where(top, right, ~right & left)],
        ]
    ).transpose(0, 2, 1)
    pixel = np.array([[c, d], [a, b]]).transpose(0, 2, 1)
    corner_index = np.flatnonzero(corner & (pixel != background))
    # On a line, and on one side of it, edges follow one another: every second corner ends an edge.
    pair, side = corner_index >> 1, corner_index & 1
    below = pair < len(point)
    y, x = np.divmod(point[pair - len(point) * ~below], framed.shape[1])
    vertical = np.argsort(((x * 2 + side) * len(framed) + y) * 2 + below).reshape(-1, 2)
    other = np.empty_like(corner_index)
    other[vertical[:, 0]], other[vertical[:, 1]] = vertical[:, 1], vertical[:, 0]
    falling = np.flatnonzero((a == d) & (a != b) & (a != c) & (a != background))
    rising = np.flatnonzero((b == c) & (b != a) & (b != d) & (b != background))
    upper = np.concatenate([falling * 2, rising * 2 + 1]) + 2 * len(point)
    lower = np.concatenate([falling * 2 + 1, rising * 2])
    twins = np.searchsorted(corner_index, np.stack([upper, lower], axis=1))
    return Corners(x, y, below[::2], other, twins), pixel.ravel()[corner_index[::2]]


def _turning_points(framed: NDArray[Any]) -> tuple[Ints, list[NDArray[Any]]]:
    """Return the points where an outline may turn, from left to right in each row of points.

    Returns:
        The flat index of the pixel to the upper left of each point, and the labels around it:
        upper left, upper right, lower left and lower right; (n,) each.
    """
    flat, width = framed.ravel(), framed.shape[1]
    beside, above = flat[1:] != flat[:-1], flat[width:] != flat[:-width]
    # The frame lies where one row ends and the next begins, so no label changes there.
    point = np.flatnonzero((beside[:-width] | beside[width:]) & (above[:-1] | above[1:]))
    return point, [flat[point + step] for step in (0, 1, width, width + 1)]


def _assign_regions(
    framed: NDArray[Any], corners: Corners, rings: Rings, hole: NDArray[np.bool_]
) -> Ints:
    """Return the region of each ring, (rings,); for a hole, that of the ring that encloses it.

    The column of pixels above the upper edge of a hole ends at an edge of the enclosing ring or of
    another hole. For the other hole, the search is repeated.
    """
    if not hole.any():
        return np.arange(rings.count)
    under = int(np.count_nonzero(corners.below))
    upper = np.where(rings.edge < under, len(corners.x), rings.edge)
    edge = np.minimum.reduceat(upper, rings.start)[hole]
    seen = np.arange(rings.count)
    seen[hole] = rings.ring[_edges_above(framed, corners, under, edge)]
    while hole[seen].any():  # each further ring begins higher up, so the loop ends
        seen = seen[seen]
    return np.asarray((np.cumsum(~hole) - 1)[seen])


def _edges_above(framed: NDArray[Any], corners: Corners, under: int, edge: Ints) -> Ints:
    """Return the horizontal edge at the upper end of the column of pixels above each given edge.

    Args:
        framed: (rows, cols) of labels, with a frame of one px.
        corners: All corners of all regions.
        under: Number of horizontal edges whose region is below; they come first, row by row.
        edge: (n,) numbers of edges whose region is above.
    """
    x, y = corners.x[2 * edge], corners.y[2 * edge]
    columns, index = np.unique(x, return_inverse=True)
    changes = framed[1:, columns + 1] != framed[:-1, columns + 1]
    lines = np.where(changes, np.arange(len(changes))[:, None], 0)
    top = np.maximum.accumulate(lines, axis=0)[y - 1, index]
    width = framed.shape[1]
    left = corners.y[: 2 * under : 2] * width + corners.x[: 2 * under : 2]
    return np.asarray(np.searchsorted(left, top * width + x, side="right") - 1)


def _sum_weights(
    weight: NDArray[Any], framed: NDArray[Any], corners: Corners, rings: Rings, region: Ints
) -> Floats:
    """Return the sum of the weights of each region's pixels, (regions,).

    Each row of the raster is a series of runs of one label. Each run begins at a vertical edge, and
    belongs to the region on the right of that edge.
    """
    starts = np.ones(weight.shape, np.bool_)
    np.not_equal(framed[1:-1, 2:-1], framed[1:-1, 1:-2], out=starts[:, 1:])
    runs = np.flatnonzero(starts)
    sums = np.add.reduceat(weight.ravel(), runs, dtype=np.float64)
    index, ring = _run_starts(corners, rings, weight.shape[1])
    owner = np.zeros(weight.size, np.int32)
    owner[index] = region[ring] + 1
    return np.bincount(owner[runs], sums, minlength=region.max() + 2)[1:].astype(np.float64)


def _run_starts(corners: Corners, rings: Rings, width: int) -> tuple[Ints, Ints]:
    """Return the flat index of each pixel with an edge on its left, and the ring of that edge."""
    first, second = rings.corner[::2], rings.corner[1::2]
    following = np.roll(first, -1)
    following[np.append(rings.start[1:], len(first)) - 1] = first[rings.start]
    low, high = corners.y[following], corners.y[second]
    upward = np.flatnonzero(low < high)  # the region is on the right of the edge
    length = (high - low)[upward]
    row = np.arange(length.sum()) - np.repeat(np.cumsum(length) - high[upward], length)
    index = row * width + np.repeat(corners.x[second[upward]], length)
    return index, np.repeat(rings.ring[rings.edge[upward]], length)
