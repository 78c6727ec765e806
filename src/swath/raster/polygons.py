"""Hold polygons on Earth, most of them as coordinates of four corners rather than as objects.

Positions are (lon, lat) in EPSG:4326.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Floats

    RowSelector = NDArray[np.bool_] | NDArray[np.int64] | slice

_HALF_TURN = 180
_CORNERS = 4
_RINGS_PER_BATCH = 4096
"""Number of rings that are processed at once, so that they fit into a core's cache."""
_POLYGON_DIMENSION = 2
"""Dimension of a polygon."""
GRID_DEGREES = 1e-9
"""Spacing in degrees (0.1 mm) of the grid to which coordinates are rounded.

On this grid, the parts of a split polygon still meet.
"""


@dataclass(frozen=True, slots=True, eq=False)
class PolygonArray:
    """Polygons of detections on Earth, one row per detection.

    A row with neither a quad nor a geometry has no position on Earth.
    """

    quads: Floats
    """Closed, counter-clockwise rings of four corners, (n, 5, 2) lon and lat; NaN in other rows."""
    geometries: NDArray[np.object_] | None = None
    """shapely Polygons or MultiPolygons of rows without a quad, (n,); None in other rows.

    None instead of the array if no row has a geometry.
    """

    @classmethod
    def empty(cls, count: int) -> Self:
        """Return `count` rows without a position on Earth."""
        return cls(np.full((count, _CORNERS + 1, 2), np.nan))

    @classmethod
    def from_corners(cls, lon: Floats, lat: Floats) -> Self:
        """Return rows with quads, which are rings of four corners.

        Args:
            lon: Longitudes of the corners, (n, 4), in either direction; NaN in rows without a quad.
            lat: Latitudes of the corners, (n, 4).
        """
        ring = np.empty((len(lon), _CORNERS + 1, 2))
        ring[:, :-1, 0], ring[:, :-1, 1] = lon, lat
        clockwise = signed_area(lon, lat) < 0
        ring[clockwise, 1:-1] = ring[clockwise, -2:0:-1]
        ring[:, -1] = ring[:, 0]
        return cls(ring)

    @classmethod
    def concatenate(cls, parts: Sequence[PolygonArray]) -> PolygonArray:
        """Return the rows of all parts, in their order; a single part is not copied."""
        if len(parts) == 1:
            return parts[0]
        ring = np.concatenate([part.quads for part in parts])
        if all(part.geometries is None for part in parts):
            return cls(ring)
        return cls(ring, np.concatenate([part.geometry_array for part in parts]))

    def __len__(self) -> int:
        return len(self.quads)

    def take(self, rows: RowSelector) -> PolygonArray:
        """Return some of the rows.

        Args:
            rows: Mask (n,), indices or slice of the rows.
        """
        return PolygonArray(
            self.quads[rows], None if self.geometries is None else self.geometries[rows]
        )

    @property
    def geometry_array(self) -> NDArray[np.object_]:
        """`geometries` as an array (n,), also if no row has a geometry."""
        return np.full(len(self), None, object) if self.geometries is None else self.geometries

    @property
    def is_quad(self) -> NDArray[np.bool_]:
        """Mask (n,) of the rows with a quad."""
        return np.isfinite(self.quads[:, 0, 0])

    @property
    def is_valid(self) -> NDArray[np.bool_]:
        """Mask (n,) of the rows with a position on Earth."""
        return self.is_quad if self.geometries is None else self.is_quad | (self.geometries != None)  # noqa: E711 (elementwise)

    @property
    def coordinate_counts(self) -> NDArray[np.int64]:
        """Number of positions of each row, (n,), which determines its size in memory."""
        count = np.full(len(self), _CORNERS + 1)
        return (
            count if self.geometries is None else np.maximum(count, _count_corners(self.geometries))
        )

    def bounds(self) -> Floats:
        """Return the bounds of each row, (4, n): west, south, east and north in degrees."""
        edges = np.empty((4, len(self)))
        for start in range(0, len(self), _RINGS_PER_BATCH):
            rows = slice(start, start + _RINGS_PER_BATCH)
            flat = np.ascontiguousarray(self.quads[rows].reshape(-1, 2 * _CORNERS + 2).T)
            a, b, c, d = flat[: 2 * _CORNERS].reshape(_CORNERS, 2, -1)
            np.minimum(np.minimum(a, b), np.minimum(c, d), out=edges[:2, rows])
            np.maximum(np.maximum(a, b), np.maximum(c, d), out=edges[2:, rows])
        if self.geometries is not None:
            rest = ~self.is_quad
            edges[:, rest] = shapely.bounds(self.geometries[rest]).reshape(-1, 4).T
        return edges

    def to_shapely(self) -> NDArray[np.object_]:
        """Return the rows as shapely Polygons or MultiPolygons, (n,); None if not on Earth."""
        shapes, is_quad = self.geometry_array.copy(), self.is_quad
        shapes[is_quad] = shapely.polygons(self.quads[is_quad])
        return shapes


def signed_area(x: Floats, y: Floats) -> Floats:
    """Return the signed areas (n,) of rings, positive for counter-clockwise rings with y upward.

    Args:
        x: Coordinates along x of the corners, (n, corners), without the closing one.
        y: Coordinates along y of the corners, (n, corners).
    """
    x, y = x - x[:, :1], y - y[:, :1]  # far from 0, rounding would exceed a small area
    twice = x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y
    return np.asarray(twice.sum(axis=1) / 2)


def is_convex(x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Return which rings of four corners, (n, 4), are strictly convex, (n,)."""
    ahead_x, ahead_y = np.roll(x, -1, axis=1) - x, np.roll(y, -1, axis=1) - y
    turn = ahead_x * np.roll(ahead_y, -1, axis=1) - np.roll(ahead_x, -1, axis=1) * ahead_y
    return np.asarray((turn > 0).all(axis=1) | (turn < 0).all(axis=1))


def has_four_corners(shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which shapes, (n,), are polygons of four corners without a hole."""
    return np.asarray(
        (shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON)
        & (shapely.get_num_coordinates(shapes) == _CORNERS + 1)
        & (shapely.get_num_interior_rings(shapes) == 0)
    )


def polygon_rings(polygon: Any) -> list[Floats]:
    """Return the rings of a polygon, (corners, 2) each and not closed, the exterior first."""
    return [shapely.get_coordinates(ring)[:-1] for ring in (polygon.exterior, *polygon.interiors)]


def polygon_from_rings(rings: Sequence[Floats], inside: tuple[float, float] | None = None) -> Any:
    """Return the polygon of rings that may cross the antimeridian, go around a pole, or both.

    Each ring bounds an area; a ring that goes around the Earth bounds everything north of it. The
    polygon consists of what lies in an odd number of these areas. If `inside` is not in it, the
    polygon is the rest of the world.

    Args:
        rings: Rings (corners, 2), lon and lat, not closed, the exterior first. An edge takes the
            shorter direction around the Earth between its two corners.
        inside: Position (lon, lat) inside; required if a ring goes around the Earth.

    Returns:
        Polygon or MultiPolygon, split at the antimeridian, with counter-clockwise exteriors. None
        if it has no area.
    """
    unrolled = [_unwrap(ring) for ring in rings]
    turns = [_winding_degrees(ring) for ring in unrolled]
    whole: Any = shapely.Polygon()
    for ring, turn in zip(unrolled, turns, strict=True):
        whole = _symmetric_difference(whole, _wrap_longitudes(_ring_area(ring, turn)))
    around = any(abs(turn) > _HALF_TURN for turn in turns)
    if around and inside is not None and not shapely.intersects_xy(whole, *inside):
        whole = shapely.difference(_WORLD, whole, grid_size=GRID_DEGREES)
    return extract_polygons(whole)


_WORLD = shapely.box(-_HALF_TURN, -90, _HALF_TURN, 90)


def _unwrap(ring: Floats) -> Floats:
    """Return a ring without jumps in longitude, which may then exceed ±180."""
    return np.stack([np.unwrap(ring[:, 0], period=360), ring[:, 1]], axis=1)


def _winding_degrees(unrolled: Floats) -> float:
    """Return by how many degrees a ring goes around the Earth: 0, or ±360 around a pole."""
    around = np.unwrap(unrolled[[-1, 0], 0], period=360)
    return float(around[1] - unrolled[0, 0])


def _ring_area(unrolled: Floats, turn: float) -> Any:
    """Return the area in a ring, or north of a ring around a pole; longitudes may exceed ±180."""
    if abs(turn) > _HALF_TURN:
        first = unrolled[0, 0]
        closing = [[first + turn, unrolled[0, 1]], [first + turn, 90], [first, 90]]
        unrolled = np.concatenate([unrolled, closing])
    area = shapely.Polygon(unrolled)
    if area.is_valid:
        return area
    return to_multipolygon(shapely.make_valid(area))


def to_multipolygon(shape: Any) -> Any:
    """Return a geometry's polygons as a MultiPolygon, without its lines, points and empty parts."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    has_area = (shapely.get_dimensions(parts) == _POLYGON_DIMENSION) & ~shapely.is_empty(parts)
    return shapely.multipolygons(parts[has_area])


def _wrap_longitudes(area: Any) -> Any:
    """Move the parts of an area beyond ±180 back within; parts that then overlap cancel out."""
    if area.is_empty:
        return area
    west, _, east, _ = area.bounds
    first, last = (int(np.floor((edge + _HALF_TURN) / 360)) for edge in (west, east))
    whole: Any = shapely.Polygon()
    for turn in range(first, last + 1):
        world = shapely.transform(_WORLD, _shift_turns(-turn))
        part = to_multipolygon(shapely.intersection(area, world, grid_size=GRID_DEGREES))
        whole = _symmetric_difference(whole, shapely.transform(part, _shift_turns(turn)))
    return whole


def _shift_turns(turns: int) -> Callable[[Floats], Floats]:
    return lambda lon_lat: lon_lat - [360 * turns, 0]


def _symmetric_difference(one: Any, other: Any) -> Any:
    """Return what lies in exactly one of two areas."""
    if one.is_empty:
        return other
    return to_multipolygon(shapely.symmetric_difference(one, other, grid_size=GRID_DEGREES))


def extract_polygons(shape: Any) -> Any:
    """Return the polygons of any geometry, counter-clockwise; None if it has no polygon."""
    polygons = [
        part
        for part in shapely.get_parts(shape)
        if shapely.get_type_id(part) == shapely.GeometryType.POLYGON and part.area
    ]
    if len(polygons) == 1:
        return shapely.orient_polygons(polygons[0])
    return shapely.orient_polygons(shapely.MultiPolygon(polygons)) if polygons else None


def _count_corners(shape: NDArray[np.object_]) -> NDArray[np.int64]:
    return np.asarray(shapely.get_num_coordinates(shape), np.int64)
