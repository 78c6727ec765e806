"""Outlines along pixel edges: from corners to rings, from rings to polygons.

The outline of any set of pixels turns only at corners, and its edges are level and upright in turn.
Whoever knows the corners, and which of them share an edge, knows the outline.
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
    """Corners of outlines. Corners 2k and 2k + 1 are the left and right end of level edge k."""

    x: Ints
    y: Ints
    below: NDArray[np.bool_]
    """(n / 2,), of each level edge, whether its region lies below it (y goes down); all of which it
    does come first."""
    upright: Ints
    """The other end of each corner's upright edge."""
    twins: Ints
    """(m, 2): two corners of perhaps one region at one point, where it touches itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """Level edges in the order of a walk along rings, each from the first of its edges.

    The region is on the right hand of the walk, as seen on a screen.
    """

    edge: Ints
    start: Ints
    """Where in `edge` each ring begins."""
    corner: Ints
    """(2n,): the first and second corner of each edge in `edge`."""
    ring: Ints
    """Of each level edge, by its number, the ring that it is part of."""

    @property
    def count(self) -> int:
        """How many rings there are."""
        return len(self.start)


def walk(corners: Corners) -> Rings:
    """Join corners into rings, none of which touches itself."""
    count = len(corners.below)
    first = 2 * np.arange(count) + ~corners.below
    through = np.arange(2 * count)
    rings = _walk(first, corners.upright, through)
    a, b = corners.twins.T
    itself = rings.ring[a >> 1] == rings.ring[b >> 1]
    if not itself.any():
        return rings
    # A ring that passes a point twice is two rings that meet there: at the point, the one walk goes
    # on as the other. Such points never interlace along a ring, so all can be parted at once.
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
    """How many pixels each ring encloses; of a hole, the negative."""
    x, y = corners.x[rings.corner].reshape(-1, 2), corners.y[rings.corner[::2]]
    return np.asarray(np.add.reduceat(y * (x[:, 0] - x[:, 1]), rings.start))


def polygons(
    corners: Corners,
    rings: Rings,
    region: Ints,
    hole: NDArray[np.bool_],
    offset: tuple[int, int] = (0, 0),
) -> NDArray[np.object_]:
    """One polygon for each region, in the order of the regions.

    Args:
        corners: what the rings were made of.
        rings: all rings of all regions.
        region: (rings,) which region each belongs to, every number from 0 up.
        hole: (rings,) whether it is a hole; each region has one ring that is none.
        offset: (x, y) to add to all positions.
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
    """Polygons along pixel edges that overlap nowhere, joined where they share a piece of an edge.

    Exact, and n log n in their vertices: where two regions meet, their edges run along one line in
    opposite directions, and cancel.

    Args:
        outlines: (n,) shapely Polygons whose vertices are whole numbers.
        region: (n,) what each is part of, every number from 0 up; all parts of a region meet.

    Returns:
        One Polygon for each region, without vertices where it does not turn.
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
    """The corners of the edges that do not cancel, and the region of each level one."""
    flat = start[:, 1] == end[:, 1]
    columns, rows = (int(v) + 1 for v in start.max(axis=0))
    level = _edges(region[flat], start[flat, ::-1], end[flat, 0], (rows, columns))
    upright = _edges(region[~flat], start[~flat], end[~flat, 1], (columns, rows))
    # At a point there is one end of a level edge and one of an upright edge, or two of each, where
    # a region touches itself: there the edge with the region above it belongs with the edge upward.
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
    """Edges along lines of one direction: their ends, in pairs."""

    region: Ints
    line: Ints
    place: Ints
    """Along the line, the lower one of a pair first."""
    forward: NDArray[np.bool_]
    """(n / 2,) of each edge, whether it leads from its lower to its higher end; those first."""


def _edges(region: Ints, start: Ints, end: Ints, size: tuple[int, int]) -> _Edges:
    """What remains of directed edges once opposite ones have cancelled.

    Args:
        region: (n,) of each edge.
        start: (n, 2) its line, and its place along the line.
        end: (n,) its other place.
        size: how many lines there are, and how many places along each.
    """
    lines, places = size
    line = (region * lines + start[:, 0]) * places
    ends = np.concatenate([line + start[:, 1], line + end])
    order = np.argsort(ends)
    ends = ends[order]
    first = np.flatnonzero(np.diff(ends, prepend=-1))
    change = np.add.reduceat(np.where(order < len(line), 1, -1), first)
    ends, change = ends[first[change != 0]], change[change != 0]
    # How many edges lead forward at a place, less those that lead back: 1, -1 or none.
    direction = np.cumsum(change)
    edge = np.flatnonzero(direction)
    edge = edge[np.argsort(direction[edge] < 0, kind="stable")]
    line, place = np.divmod(ends[np.stack([edge, edge + 1], axis=1).ravel()], places)
    region, line = np.divmod(line, lines)
    return _Edges(region, line, place, direction[edge] > 0)
