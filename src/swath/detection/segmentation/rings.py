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
    vertical_partner: Ints
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


def trace_rings(corners: Corners) -> Rings:
    """Join corners into rings that do not touch themselves."""
    count = len(corners.below)
    first = 2 * np.arange(count) + ~corners.below
    through = np.arange(2 * count)
    rings = _trace(first, corners.vertical_partner, through)
    a, b = corners.twins.T
    touches_itself = rings.ring[a >> 1] == rings.ring[b >> 1]
    if not touches_itself.any():
        return rings
    # A ring that passes a point twice is split into two rings that meet there: at the point, each
    # walk continues as the other one. Such points never interlace, so all are split at once.
    through[a[touches_itself]], through[b[touches_itself]] = b[touches_itself], a[touches_itself]
    return _trace(first, corners.vertical_partner, through)


def _trace(first: Ints, vertical: Ints, through: Ints) -> Rings:
    after = (through[vertical[through[first ^ 1]]] >> 1).tolist()
    edges: list[int] = []
    starts: list[int] = []
    unvisited = bytearray(b"\1") * len(after)
    for begin in range(len(after)):
        if unvisited[begin]:
            starts.append(len(edges))
            edge = begin
            while unvisited[edge]:
                unvisited[edge] = 0
                edges.append(edge)
                edge = after[edge]
    edge_, start = np.array(edges, np.int64), np.array(starts, np.int64)
    corner = np.stack([first[edge_], first[edge_] ^ 1], axis=1).ravel()
    ring = np.empty_like(edge_)
    ring[edge_] = np.repeat(np.arange(len(start)), np.diff(start, append=len(edge_)))
    return Rings(edge_, start, corner, ring)


def ring_areas(corners: Corners, rings: Rings) -> Ints:
    """Return the area of each ring in px, (rings,); negative for a hole."""
    x, y = corners.x[rings.corner].reshape(-1, 2), corners.y[rings.corner[::2]]
    return np.asarray(np.add.reduceat(y * (x[:, 0] - x[:, 1]), rings.start))


def build_polygons(
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
    positions = np.repeat(2 * rings.start[order] - (ends - sizes), sizes) + np.arange(
        len(rings.corner)
    )
    corner = rings.corner[positions]
    closed = np.insert(corner, ends, corner[ends - sizes])
    coordinates = np.stack([corners.x[closed], corners.y[closed]], axis=1) + np.array(offset, float)
    offsets = np.concatenate([[0], ends + np.arange(1, len(ends) + 1)])
    of_region = np.append(np.flatnonzero(~hole[order]), len(order))
    return np.asarray(
        shapely.from_ragged_array(shapely.GeometryType.POLYGON, coordinates, (offsets, of_region))
    )


def join_polygons(outlines: NDArray[np.object_], region: Ints) -> NDArray[np.object_]:
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
    corners, horizontal_region = _cancel_opposite_edges(points[start], points[start + 1], of_edge)
    rings = trace_rings(corners)
    return build_polygons(
        corners, rings, horizontal_region[rings.edge[rings.start]], ring_areas(corners, rings) < 0
    )


def _cancel_opposite_edges(start: Ints, end: Ints, region: Ints) -> tuple[Corners, Ints]:
    """Return the corners of the edges that do not cancel, and each horizontal edge's region."""
    flat = start[:, 1] == end[:, 1]
    columns, rows = (int(v) + 1 for v in start.max(axis=0))
    horizontal = _remaining_edges(region[flat], start[flat, ::-1], end[flat, 0], (rows, columns))
    vertical = _remaining_edges(region[~flat], start[~flat], end[~flat, 1], (columns, rows))
    # One horizontal and one vertical edge end at a point, or two of each where a region touches
    # itself. There the horizontal edge with its region above pairs with the vertical edge upward.
    at_horizontal = (horizontal.region * rows + horizontal.line) * columns + horizontal.position
    at_vertical = (vertical.region * rows + vertical.position) * columns + vertical.line
    corner = np.argsort(at_horizontal * 2 + np.repeat(horizontal.forward, 2))
    downward = np.arange(len(at_vertical)) % 2 == 0
    at = np.empty_like(corner)
    at[np.argsort(at_vertical * 2 + downward)] = corner
    other = np.empty_like(corner)
    other[at[::2]], other[at[1::2]] = at[1::2], at[::2]
    same = np.flatnonzero(np.diff(at_horizontal[corner]) == 0)
    twins = np.stack([corner[same], corner[same + 1]], axis=1)
    return Corners(
        horizontal.position, horizontal.line, horizontal.forward, other, twins
    ), horizontal.region[::2]


@dataclass(frozen=True, slots=True, eq=False)
class _Edges:
    """Ends of edges along lines of one direction, (n,) each, the two ends of an edge in a row."""

    region: Ints
    line: Ints
    """Row or column of the line, in px."""
    position: Ints
    """Position along the line in px, the lower end of an edge first."""
    forward: NDArray[np.bool_]
    """(n / 2,) whether each edge leads from its lower to its higher end; those edges come first."""


def _remaining_edges(region: Ints, start: Ints, end: Ints, size: tuple[int, int]) -> _Edges:
    """Return what remains of directed edges after opposite edges have cancelled.

    Args:
        region: (n,) region of each edge.
        start: (n, 2), line of each edge, and position of its start along the line in px.
        end: (n,) position of its end along the line in px.
        size: Number of lines, and number of positions along each line.
    """
    lines, positions = size
    line = (region * lines + start[:, 0]) * positions
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
    line, position = np.divmod(ends[np.stack([edge, edge + 1], axis=1).ravel()], positions)
    region, line = np.divmod(line, lines)
    return _Edges(region, line, position, direction[edge] > 0)
