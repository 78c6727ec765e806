"""Georeference polygons that contain a pole, cross the antimeridian or are partly not on Earth.

Each such polygon takes some milliseconds. `swath.raster.georeference` converts all other polygons
in bulk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import shapely.affinity

from swath.raster.polygons import polygon_from_rings, polygon_rings, to_multipolygon

if TYPE_CHECKING:
    from swath._types import Floats

    # Converts x and y in scene px to longitudes and latitudes; NaN for positions not on Earth.
    ToLonLat = Callable[[Floats, Floats], tuple[Floats, Floats]]

MAX_DEVIATION_PX = 0.05
"""Largest distance in px of an edge from the straight line in degrees between its ends."""
_MAX_LONGITUDE_STEP = 45
"""Largest difference in longitude between two corners, in degrees.

Beyond it, the shorter direction around the Earth is uncertain.
"""
_MIN_EDGE_PX = 1e-3
"""Smallest distance in px between two corners."""
_MIN_PIECES = 16
"""Smallest ratio of the longer side of a ring's bounds to an edge, before edges are refined."""
_ROUNDING = 1e-9
"""Tolerance for rounding errors, as a share of a turn around the Earth."""
_MIN_CORNERS = 3
"""Smallest number of corners of a ring."""
_MAX_HIDDEN_CELLS = 4
"""Largest size of a cell, in multiples of the finest cell, that nine positions are enough to check.

Such a cell counts as not on Earth if none of its corners, edge midpoints and center is on Earth.
"""


def deviation(to_lonlat: ToLonLat, start: Floats, end: Floats) -> Floats:
    """Return the distances of edges' midpoints from the straight lines in degrees between the ends.

    Args:
        to_lonlat: Function from scene px to lon and lat.
        start: Positions in px at which the edges begin, (n, 2).
        end: Positions in px at which the edges end, (n, 2).

    Returns:
        Distances in px, (n,); NaN where a position is not on Earth.
    """
    along, middle = end - start, (start + end) / 2
    length = np.hypot(*along.T)
    with np.errstate(divide="ignore", invalid="ignore"):
        aside = middle + along[:, ::-1] * [1, -1] / length[:, None]
    lon, lat = to_lonlat(*np.stack([start, middle, end, aside]).transpose(2, 0, 1))
    lon = (lon - lon[0] + 180) % 360 - 180  # in the shorter direction from the first
    # The distance of the midpoint is measured in steps of one px sideways. In degrees, such a step
    # may not be at right angles to the edge.
    edge, off = (lon[2], lat[2] - lat[0]), (lon[1] - lon[2] / 2, lat[1] - (lat[0] + lat[2]) / 2)
    step = (lon[3] - lon[1], lat[3] - lat[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        off_px = _cross(edge, off) / _cross(edge, step)
    return np.asarray(np.abs(np.where(length > 0, off_px, 0)))


def _cross(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
    return np.asarray(one[0] * other[1] - one[1] * other[0])


def polygon_to_lonlat(
    to_lonlat: ToLonLat,
    polygon: Any,
    *,
    is_curved: bool,
    max_deviation: float = MAX_DEVIATION_PX,
    finest: float = 1,
) -> Any:
    """Convert a polygon of any extent from scene px to EPSG:4326.

    Args:
        to_lonlat: Function from scene px to lon and lat.
        polygon: Polygon of shapely in scene px.
        is_curved: Whether straight edges in px may be curved in degrees.
        max_deviation: Largest distance in px of an edge from the straight line in degrees between
            its ends; edges farther away get more corners.
        finest: Size in px of the smallest cells that separate what is on Earth from what is not.

    Returns:
        Polygon or MultiPolygon in EPSG:4326; None if no part of it is on Earth.
    """
    parts = shapely.get_parts(_visible_part(to_lonlat, polygon, max(finest, 1)))
    converted = [
        _visible_to_lonlat(to_lonlat, part, max_deviation if is_curved else None) for part in parts
    ]
    polygons = shapely.get_parts([part for part in converted if part is not None])
    if len(polygons) <= 1:
        return polygons[0] if len(polygons) else None
    return shapely.orient_polygons(shapely.union_all(polygons))


def limit_to_one_turn(outline: Any, period: float) -> Any:
    """Return an outline that goes around the Earth at most once.

    A wider outline is cut into pieces of one turn each. The pieces are shifted onto the first
    one, and their union is returned.

    Args:
        outline: Polygon or MultiPolygon of shapely in scene px.
        period: Distance in px along x after which longitudes repeat.
    """
    west, south, east, north = outline.bounds
    if east - west <= period * (1 + _ROUNDING):
        return outline
    pieces = [
        shapely.affinity.translate(
            shapely.intersection(outline, shapely.box(at, south, at + period, north)), west - at
        )
        for at in np.arange(west, east, period)
    ]
    return shapely.union_all(pieces)


def _visible_to_lonlat(to_lonlat: ToLonLat, polygon: Any, max_deviation: float | None) -> Any:
    rings = [_ring_to_lonlat(to_lonlat, ring, max_deviation) for ring in polygon_rings(polygon)]
    if len(rings[0]) < _MIN_CORNERS:
        return None
    lon, lat = to_lonlat(*shapely.get_coordinates(polygon.representative_point()).T)
    inside = (float(lon[0]), float(lat[0])) if np.isfinite(lon[0]) else None
    return polygon_from_rings([ring for ring in rings if len(ring) >= _MIN_CORNERS], inside)


def _ring_to_lonlat(to_lonlat: ToLonLat, ring: Floats, max_deviation: float | None) -> Floats:
    """Return the lon and lat (corners, 2) of a ring, with corners added where edges are curved.

    Args:
        to_lonlat: Function from scene px to lon and lat.
        ring: Corners (n, 2) in scene px; the first is not repeated at the end.
        max_deviation: Largest distance in px of an edge from the straight line in degrees; None for
            straight edges.
    """
    closed = np.concatenate([ring, ring[:1]])
    longest = max(float(np.ptp(ring, axis=0).max()) / _MIN_PIECES, _MIN_EDGE_PX)
    closed = shapely.get_coordinates(shapely.segmentize(shapely.LineString(closed), longest))
    while True:
        lon, lat = to_lonlat(*closed.T)
        longitude_step = np.abs((np.diff(lon) + 180) % 360 - 180)
        refine = longitude_step > _MAX_LONGITUDE_STEP
        if max_deviation is not None:
            refine |= deviation(to_lonlat, closed[:-1], closed[1:]) > max_deviation
        refine &= np.hypot(*np.diff(closed, axis=0).T) > _MIN_EDGE_PX
        steep = np.flatnonzero(refine)
        if not len(steep):
            break
        closed = np.insert(closed, steep + 1, (closed[steep] + closed[steep + 1]) / 2, axis=0)
    converted = np.stack([lon, lat], axis=1)[:-1]
    return np.asarray(converted[np.isfinite(lon[:-1])])


def _visible_part(to_lonlat: ToLonLat, polygon: Any, finest: float) -> Any:
    """Return the part on Earth of a polygon in scene px, accurate to about `finest` / 2 px."""
    low, high = np.array(polygon.bounds).reshape(2, 2)
    corner, side = low[None], high - low
    visible = []
    while len(corner):
        step = np.stack(np.meshgrid([0, 0.5, 1], [0, 0.5, 1]), axis=-1).reshape(-1, 2)
        at = corner[:, None] + step * side
        on_earth = np.isfinite(to_lonlat(at[..., 0], at[..., 1])[0])
        small = side.max() <= finest
        whole = on_earth.all(axis=1) | (small & on_earth[:, len(step) // 2])
        visible.append(shapely.box(*corner[whole].T, *(corner[whole] + side).T))
        split = (
            ~whole
            & (on_earth.any(axis=1) | (side.max() > _MAX_HIDDEN_CELLS * finest))
            & (not small)
        )
        side = side / 2
        corner = (corner[split][:, None] + step[[0, 2, 6, 8]] * side).reshape(-1, 2)
    if len(visible) == 1 and len(visible[0]):
        return polygon
    return to_multipolygon(
        shapely.intersection(polygon, shapely.union_all(np.concatenate(visible)))
    )
