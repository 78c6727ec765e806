"""Build rings from the corners of outlines along pixel edges, and polygons from rings.

The outline of a set of pixels turns only at corners, and its edges are horizontal and vertical in
turn. So the corners, and which of them share an edge, define the outline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath._types import Ints

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Corners:
    """Corners of outlines; corners 2k and 2k + 1 are the left and right end of horizontal edge k.

    There are n corners and n / 2 horizontal edges.
    """

    x: Ints
    y: Ints
    below: NDArray[np.bool_]
    """(n / 2,) whether each horizontal edge has its region below it, y down; those come first."""
    upright: Ints
    """(n,) the other end of each corner's vertical edge."""
    twins: Ints
    """(m, 2) pairs of corners at one point, where a region may touch itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """Horizontal edges in the order of a walk along rings; each ring starts at its first edge.

    The region is on the right of the walk, as seen on a screen.
    """

    edge: Ints
    """(n / 2,) numbers of the horizontal edges."""
    start: Ints
    """(rings,) index into `edge` where each ring begins."""
    corner: Ints
    """(n,) the first and second corner of each edge in `edge`."""
    ring: Ints
    """(n / 2,) the ring of each horizontal edge, by the edge's number."""

    @property
    def count(self) -> int:
        """Number of rings."""
        return len(self.start)


def walk(corners: Corners) -> Rings:
    """Join corners into rings that do not touch themselves."""
    count = len(corners.below)
    first = 2 * np.arange(count) + ~corners.below
    through = np.arange(2 * count)
    rings = _walk(first, corners.upright, through)
    a, b = corners.twins.T
    itself = rings.ring[a >> 1] == rings.ring[b >> 1]
    if not itself.any():
        return rings
    # A ring that passes a point twice is split into two rings that meet there: at the point, each
    # walk continues as the other one. Such points never interlace, so all are split at once.
    through[a[itself]], through[b[itself]] = b[itself], a[itself]
    return _walk(first, corners.upright, through)


def _walk(first: Ints, upright: Ints, through: Ints) -> Rings:
    after = (through[upright[through[first ^ 1]]] >> 1).tolist()
    edges: list[int] = []
    starts: list[int] = []
    fresh = bytearray(b"\1") * len(after)
    for begin in range(len(after)):
        if fresh[begin]:
            starts.append(len(edges))
            edge = begin
            while fresh[edge]:
                fresh[edge] = 0
                edges.append(edge)
                edge = after[edge]
    edge_, start = np.array(edges, np.int64), np.array(starts, np.int64)
    corner = np.stack([first[edge_], first[edge_] ^ 1], axis=1).ravel()
    ring = np.empty_like(edge_)
    ring[edge_] = np.repeat(np.arange(len(start)), np.diff(start, append=len(edge_)))
    return Rings(edge_, start, corner, ring)


def areas(corners: Corners, rings: Rings) -> Ints:
    """Return the area of each ring in px, (rings,); negative for a hole."""
    x, y = corners.x[rings.corner].reshape(-1, 2), corners.y[rings.corner[::2]]
    return np.asarray(np.add.reduceat(y * (x[:, 0] - x[:, 1]), rings.start))


def polygons(
    corners: Corners,
    rings: Rings,
    region: Ints,
    hole: NDArray[np.bool_],
    offset: tuple[int, int] = (0, 0),
) -> NDArray[np.object_]:
    """Return one polygon for each region, in the order of the regions.

    Args:
        corners: Corners that the rings connect.
        rings: All rings of all regions.
        region: (rings,) region of each ring; the numbers from 0 up are all used.
        hole: (rings,) whether the ring is a hole; each region has one ring that is not a hole.
        offset: (x, y) added to all positions, in px.
    """
    order = np.lexsort((hole, region))
    sizes = 2 * np.diff(rings.start, append=len(rings.edge))[order]
    ends = np.cumsum(sizes)
    places = np.repeat(2 * rings.start[order] - (ends - sizes), sizes) + np.arange(
        len(rings.corner)
    )
    corner = rings.corner[places]
    closed = np.insert(corner, ends, corner[ends - sizes])
    coordinates = np.stack([corners.x[closed], corners.y[closed]], axis=1) + np.array(offset, float)
    offsets = np.concatenate([[0], ends + np.arange(1, len(ends) + 1)])
    of_region = np.append(np.flatnonzero(~hole[order]), len(order))
    return np.asarray(
        shapely.from_ragged_array(shapely.GeometryType.POLYGON, coordinates, (offsets, of_region))
    )


def join(outlines: NDArray[np.object_], region: Ints) -> NDArray[np.object_]:
    """Join disjoint polygons along pixel edges where they share a piece of an edge.

    The result is exact. Where two polygons meet, their edges run along one line in opposite
    directions, and cancel. The time is n log n in the number of vertices.

    Args:
        outlines: (n,) shapely Polygons whose vertices are whole numbers of px.
        region: (n,) region of each polygon; the numbers from 0 up are all used. The polygons of a
            region are connected.

    Returns:
        (regions,) one Polygon for each region, with vertices only where its outline turns.
    """
    if not len(outlines):
        return outlines
    outlines = shapely.orient_polygons(outlines)
    _, points, (ring_starts, polygon_starts) = shapely.to_ragged_array(outlines)
    points = np.rint(points).astype(np.int64)
    last = np.zeros(len(points), np.bool_)
    last[ring_starts[1:] - 1] = True
    start = np.flatnonzero(~last)
    of_ring = np.repeat(region, np.diff(polygon_starts))
    of_edge = np.repeat(of_ring, np.diff(ring_starts) - 1)
    corners, level_region = _what_remains(points[start], points[start + 1], of_edge)
    rings = walk(corners)
    return polygons(
        corners, rings, level_region[rings.edge[rings.start]], areas(corners, rings) < 0
    )


def _what_remains(start: Ints, end: Ints, region: Ints) -> tuple[Corners, Ints]:
    """Return the corners of the edges that do not cancel, and each horizontal edge's region."""
    flat = start[:, 1] == end[:, 1]
    columns, rows = (int(v) + 1 for v in start.max(axis=0))
    level = _edges(region[flat], start[flat, ::-1], end[flat, 0], (rows, columns))
    upright = _edges(region[~flat], start[~flat], end[~flat, 1], (columns, rows))
    # One horizontal and one vertical edge end at a point, or two of each where a region touches
    # itself. There the horizontal edge with its region above pairs with the vertical edge upward.
    at_level = (level.region * rows + level.line) * columns + level.place
    at_upright = (upright.region * rows + upright.place) * columns + upright.line
    corner = np.argsort(at_level * 2 + np.repeat(level.forward, 2))
    downward = np.arange(len(at_upright)) % 2 == 0
    at = np.empty_like(corner)
    at[np.argsort(at_upright * 2 + downward)] = corner
    other = np.empty_like(corner)
    other[at[::2]], other[at[1::2]] = at[1::2], at[::2]
    same = np.flatnonzero(np.diff(at_level[corner]) == 0)
    twins = np.stack([corner[same], corner[same + 1]], axis=1)
    return Corners(level.place, level.line, level.forward, other, twins), level.region[::2]


@dataclass(frozen=True, slots=True, eq=False)
class _Edges:
    """Ends of edges along lines of one direction, (n,) each, the two ends of an edge in a row."""

    region: Ints
    line: Ints
    """Row or column of the line, in px."""
    place: Ints
    """Position along the line in px, the lower end of an edge first."""
    forward: NDArray[np.bool_]
    """(n / 2,) whether each edge leads from its lower to its higher end; those edges come first."""


def _edges(region: Ints, start: Ints, end: Ints, size: tuple[int, int]) -> _Edges:
    """Return what remains of directed edges after opposite edges have cancelled.

    Args:
        region: (n,) region of each edge.
        start: (n, 2), line of each edge, and position of its start along the line in px.
        end: (n,) position of its end along the line in px.
        size: Number of lines, and number of positions along each line.
    """
    lines, places = size
    line = (region * lines + start[:, 0]) * places
    ends = np.concatenate([line + start[:, 1], line + end])
    order = np.argsort(ends)
    ends = ends[order]
    first = np.flatnonzero(np.diff(ends, prepend=-1))
    change = np.add.reduceat(np.where(order < len(line), 1, -1), first)
    ends, change = ends[first[change != 0]], change[change != 0]
    # Number of edges that lead forward, minus those that lead back: 1, -1 or 0.
    direction = np.cumsum(change)
    edge = np.flatnonzero(direction)
    edge = edge[np.argsort(direction[edge] < 0, kind="stable")]
    line, place = np.divmod(ends[np.stack([edge, edge + 1], axis=1).ravel()], places)
    region, line = np.divmod(line, lines)
    return _Edges(region, line, place, direction[edge] > 0)
