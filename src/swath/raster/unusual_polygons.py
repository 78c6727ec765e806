"""Polygons that hold a pole, cross the antimeridian or go over the edge of what is on Earth.

Each takes some milliseconds. `swath.raster.georeference` sends the others another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import shapely.affinity

from swath.raster.polygons import flat, rings_of, shape_of

if TYPE_CHECKING:
    from swath._types import Floats

    # Gives longitudes and latitudes of positions in scene px; NaN where there are none.
    Points = Callable[[Floats, Floats], tuple[Floats, Floats]]

FOLLOWED = 0.05
"""px by which an edge may leave the straight line in degrees between its ends."""
_STEEP = 45
"""Degrees of longitude between two corners; beyond, which way round is shorter is not certain."""
_FINEST = 1e-3
"""px between two corners."""
_PIECES = 16
"""Into how many pieces the side of a shape is cut to begin with."""
_ROUNDING = 1e-9
"""Of a turn around the Earth, as much as arithmetic may lose."""
_FEWEST = 3
"""Corners of a ring."""
_HIDDEN = 4
"""Times the finest cell: a smaller one that is nowhere at its corners, edges and centre is so."""


def deviation(points: Points, start: Floats, end: Floats) -> Floats:
    """Return by how many px the middles of edges lie beside the straight lines in degrees.

    Args:
        points: gives positions.
        start: (n, 2) px, where each edge begins.
        end: (n, 2) px, where it ends.

    Returns:
        (n,); NaN where a position is nowhere.
    """
    along, middle = end - start, (start + end) / 2
    length = np.hypot(*along.T)
    with np.errstate(divide="ignore", invalid="ignore"):
        aside = middle + along[:, ::-1] * [1, -1] / length[:, None]
    lon, lat = points(*np.stack([start, middle, end, aside]).transpose(2, 0, 1))
    lon = (lon - lon[0] + 180) % 360 - 180  # each the short way round from the first
    # How far the middle is off, in steps of one px to the side, which need not be at right angles.
    edge, off = (lon[2], lat[2] - lat[0]), (lon[1] - lon[2] / 2, lat[1] - (lat[0] + lat[2]) / 2)
    step = (lon[3] - lon[1], lat[3] - lat[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        off_px = _cross(edge, off) / _cross(edge, step)
    return np.asarray(np.abs(np.where(length > 0, off_px, 0)))


def _cross(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
    return np.asarray(one[0] * other[1] - one[1] * other[0])


def place_polygon(
    points: Points, polygon: Any, *, bends: bool, follow: float = FOLLOWED, finest: float = 1
) -> Any:
    """Place a polygon of any extent.

    Args:
        points: gives positions.
        polygon: a shapely Polygon in scene px.
        bends: whether straight edges in px may be bent in degrees.
        follow: px by which an edge may leave the straight line in degrees between its ends.
        finest: px of the cells that tell apart what is on Earth and what is not.

    Returns:
        Polygon or MultiPolygon in EPSG:4326; None where nothing of it is on Earth.
    """
    parts = shapely.get_parts(_visible(points, polygon, max(finest, 1)))
    placed = [_place_visible(points, part, follow if bends else None) for part in parts]
    found = shapely.get_parts([part for part in placed if part is not None])
    if len(found) <= 1:
        return found[0] if len(found) else None
    return shapely.orient_polygons(shapely.union_all(found))


def cut_at(outline: Any, turn: float) -> Any:
    """Cut an outline that goes around the Earth more than once, and lay the pieces over each other.

    Args:
        outline: a shapely Polygon or MultiPolygon in scene px.
        turn: px along x after which longitudes repeat.
    """
    west, south, east, north = outline.bounds
    if east - west <= turn * (1 + _ROUNDING):
        return outline
    pieces = [
        shapely.affinity.translate(
            shapely.intersection(outline, shapely.box(at, south, at + turn, north)), west - at
        )
        for at in np.arange(west, east, turn)
    ]
    return shapely.union_all(pieces)


def _place_visible(points: Points, polygon: Any, follow: float | None) -> Any:
    rings = [_place_ring(points, ring, follow) for ring in rings_of(polygon)]
    if len(rings[0]) < _FEWEST:
        return None
    lon, lat = points(*shapely.get_coordinates(polygon.representative_point()).T)
    inside = (float(lon[0]), float(lat[0])) if np.isfinite(lon[0]) else None
    return shape_of([ring for ring in rings if len(ring) >= _FEWEST], inside)


def _place_ring(points: Points, ring: Floats, follow: float | None) -> Floats:
    """Return a ring's lon and lat (corners, 2), with as many corners as it takes to follow it."""
    closed = np.concatenate([ring, ring[:1]])
    longest = max(float(np.ptp(ring, axis=0).max()) / _PIECES, _FINEST)
    closed = shapely.get_coordinates(shapely.segmentize(shapely.LineString(closed), longest))
    while True:
        lon, lat = points(*closed.T)
        turn = np.abs((np.diff(lon) + 180) % 360 - 180)
        refine = turn > _STEEP
        if follow is not None:
            refine |= deviation(points, closed[:-1], closed[1:]) > follow
        refine &= np.hypot(*np.diff(closed, axis=0).T) > _FINEST
        steep = np.flatnonzero(refine)
        if not len(steep):
            break
        closed = np.insert(closed, steep + 1, (closed[steep] + closed[steep + 1]) / 2, axis=0)
    placed = np.stack([lon, lat], axis=1)[:-1]
    return np.asarray(placed[np.isfinite(lon[:-1])])


def _visible(points: Points, polygon: Any, finest: float) -> Any:
    """Return the part of a polygon in scene px that is on Earth, to about half of `finest`."""
    low, high = np.array(polygon.bounds).reshape(2, 2)
    corner, side = low[None], high - low
    kept = []
    while len(corner):
        step = np.stack(np.meshgrid([0, 0.5, 1], [0, 0.5, 1]), axis=-1).reshape(-1, 2)
        at = corner[:, None] + step * side
        there = np.isfinite(points(at[..., 0], at[..., 1])[0])
        small = side.max() <= finest
        whole = there.all(axis=1) | (small & there[:, len(step) // 2])
        kept.append(shapely.box(*corner[whole].T, *(corner[whole] + side).T))
        split = ~whole & (there.any(axis=1) | (side.max() > _HIDDEN * finest)) & (not small)
        side = side / 2
        corner = (corner[split][:, None] + step[[0, 2, 6, 8]] * side).reshape(-1, 2)
    if len(kept) == 1 and len(kept[0]):
        return polygon
    return flat(shapely.intersection(polygon, shapely.union_all(np.concatenate(kept))))
