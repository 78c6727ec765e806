"""Outlines along pixel edges: from corners to rings, from rings to polygons.

The outline of any set of pixels turns only at corners, and its edges are level and upright in turn.
Whoever knows the corners, and which of them share an edge, knows the outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Corners:
    """Corners of outlines. Corners 2k and 2k + 1 are the left and right end of level edge k."""

    x: Ints
    y: Ints
    below: NDArray[np.bool_]
    """(n / 2,), of each level edge, whether its region lies below it (y goes down)."""
    upright: Ints
    """The other end of each corner's upright edge."""
    twins: Ints
    """(m, 2): two corners of perhaps one region at one point, where it touches itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """Level edges in the order of a walk along rings, each from its topmost, leftmost corner.

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

    def total(self, at_corner: Floats) -> Floats:
        """A sum over the pixels that each ring encloses; negative for holes.

        Args:
            at_corner: by each corner's number, the sum over all pixels left of and above it. What
                remains of it around a ring is the sum inside (Green's theorem, in steps).
        """
        along = at_corner[self.corner].reshape(-1, 2)
        return np.add.reduceat(along[:, 0] - along[:, 1], self.start)


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


def polygons(
    corners: Corners, rings: Rings, region: Ints, hole: NDArray[np.bool_]
) -> NDArray[np.object_]:
    """One polygon for each region, in the order of the regions.

    Args:
        corners: what the rings were made of.
        rings: all rings of all regions.
        region: (rings,) which region each belongs to, every number from 0 up.
        hole: (rings,) whether it is a hole; each region has one ring that is none.
    """
    order = np.lexsort((hole, region))
    sizes = 2 * np.diff(rings.start, append=len(rings.edge))[order]
    ends = np.cumsum(sizes)
    places = np.repeat(2 * rings.start[order] - (ends - sizes), sizes) + np.arange(
        len(rings.corner)
    )
    corner = rings.corner[places]
    closed = np.insert(corner, ends, corner[ends - sizes])
    coordinates = np.stack([corners.x[closed], corners.y[closed]], axis=1).astype(np.float64)
    offsets = np.concatenate([[0], ends + np.arange(1, len(ends) + 1)])
    of_region = np.append(np.flatnonzero(~hole[order]), len(order))
    return np.asarray(
        shapely.from_ragged_array(shapely.GeometryType.POLYGON, coordinates, (offsets, of_region))
    )
