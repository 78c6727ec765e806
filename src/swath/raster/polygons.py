"""Places on Earth: mostly rings of four corners, kept as coordinates and not as objects.

Positions are in EPSG:4326, (lon, lat).
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

    Rows = NDArray[np.bool_] | NDArray[np.int64] | slice

_HALF_TURN = 180
_CORNERS = 4
_BLOCK = 4096
"""Rings that a core's cache holds, for arithmetic across their corners."""
_AREA = 2
"""The dimension of a polygon."""
GRID = 1e-9
"""Degrees, 0.1 mm: so that what is split beside each other still meets."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where detections are, one row each. A row that has neither ring nor shape is nowhere."""

    ring: Floats
    """(n, 5, 2): closed and counter-clockwise; NaN of rows that are no such ring."""
    shape: NDArray[np.object_] | None = None
    """(n,) shapely Polygon or MultiPolygon of rows that are no such ring, None of others; None for
    none at all."""

    @classmethod
    def nowhere(cls, count: int) -> Self:
        """So many rows, none of them placed yet."""
        return cls(np.full((count, _CORNERS + 1, 2), np.nan))

    @classmethod
    def of_rings(cls, lon: Floats, lat: Floats) -> Self:
        """Rings of four corners, (n, 4), in either direction; NaN of those that are none."""
        ring = np.empty((len(lon), _CORNERS + 1, 2))
        ring[:, :-1, 0], ring[:, :-1, 1] = lon, lat
        clockwise = signed_area(lon, lat) < 0
        ring[clockwise, 1:-1] = ring[clockwise, -2:0:-1]
        ring[:, -1] = ring[:, 0]
        return cls(ring)

    @classmethod
    def concatenate(cls, parts: Sequence[Places]) -> Places:
        """The rows of all parts, in their order; one alone is not copied."""
        if len(parts) == 1:
            return parts[0]
        ring = np.concatenate([part.ring for part in parts])
        if all(part.shape is None for part in parts):
            return cls(ring)
        return cls(ring, np.concatenate([part.shapes for part in parts]))

    def __len__(self) -> int:
        return len(self.ring)

    def take(self, rows: Rows) -> Places:
        """Some of the rows: a mask, indices or a slice."""
        return Places(self.ring[rows], None if self.shape is None else self.shape[rows])

    @property
    def shapes(self) -> NDArray[np.object_]:
        """(n,) `shape`, be there one or not."""
        return np.full(len(self), None, object) if self.shape is None else self.shape

    @property
    def is_ring(self) -> NDArray[np.bool_]:
        """(n,) which rows are a ring of four corners."""
        return np.isfinite(self.ring[:, 0, 0])

    @property
    def found(self) -> NDArray[np.bool_]:
        """(n,) which rows are somewhere."""
        return self.is_ring if self.shape is None else self.is_ring | (self.shape != None)  # noqa: E711 (of each)

    @property
    def corners(self) -> NDArray[np.int64]:
        """(n,) how many positions each row has: what it weighs in memory."""
        count = np.full(len(self), _CORNERS + 1)
        return count if self.shape is None else np.maximum(count, _count_corners(self.shape))

    def bounds(self) -> Floats:
        """(4, n): west, south, east and north of each row."""
        edges = np.empty((4, len(self)))
        for start in range(0, len(self), _BLOCK):
            rows = slice(start, start + _BLOCK)
            flat = np.ascontiguousarray(self.ring[rows].reshape(-1, 2 * _CORNERS + 2).T)
            a, b, c, d = flat[: 2 * _CORNERS].reshape(_CORNERS, 2, -1)
            np.minimum(np.minimum(a, b), np.minimum(c, d), out=edges[:2, rows])
            np.maximum(np.maximum(a, b), np.maximum(c, d), out=edges[2:, rows])
        if self.shape is not None:
            rest = ~self.is_ring
            edges[:, rest] = shapely.bounds(self.shape[rest]).reshape(-1, 4).T
        return edges

    def polygons(self) -> NDArray[np.object_]:
        """(n,) each row as a shapely Polygon or MultiPolygon, None where it is nowhere."""
        shapes, is_ring = self.shapes.copy(), self.is_ring
        shapes[is_ring] = shapely.polygons(self.ring[is_ring])
        return shapes


def signed_area(x: Floats, y: Floats) -> Floats:
    """Of rings (n, corners), not closed: positive counter-clockwise, where y goes up."""
    x, y = x - x[:, :1], y - y[:, :1]  # differences of large numbers lose what a small area is
    twice = x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y
    return np.asarray(twice.sum(axis=1) / 2)


def convex(x: Floats, y: Floats) -> NDArray[np.bool_]:
    """(n,) which rings of four corners, (n, 4), have an area and all corners turned one way."""
    ahead_x, ahead_y = np.roll(x, -1, axis=1) - x, np.roll(y, -1, axis=1) - y
    turn = ahead_x * np.roll(ahead_y, -1, axis=1) - np.roll(ahead_x, -1, axis=1) * ahead_y
    return np.asarray((turn > 0).all(axis=1) | (turn < 0).all(axis=1))


def has_four_corners(shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
    """(n,) which shapes are polygons of four corners without a hole."""
    return np.asarray(
        (shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON)
        & (shapely.get_num_coordinates(shapes) == _CORNERS + 1)
        & (shapely.get_num_interior_rings(shapes) == 0)
    )


def rings_of(polygon: Any) -> list[Floats]:
    """The rings of a polygon, (corners, 2) each and not closed, the exterior first."""
    return [shapely.get_coordinates(ring)[:-1] for ring in (polygon.exterior, *polygon.interiors)]


def shape_of(rings: Sequence[Floats], inside: tuple[float, float] | None = None) -> Any:
    """Return a polygon of any extent: split at the antimeridian, around a pole or both.

    Each ring bounds an area, and a ring that goes around the Earth bounds all to the north of it.
    What is in an odd number of these areas is the polygon, or else all that is not.

    Args:
        rings: (corners, 2) each, lon and lat, not closed; the exterior comes first. Neighbouring
            corners are the short way round from each other.
        inside: lon and lat of a position inside; needed where a ring goes around the Earth.

    Returns:
        Polygon or MultiPolygon, exteriors counter-clockwise; None if nothing is left of it.
    """
    unrolled = [_unrolled(ring) for ring in rings]
    turns = [_turn(ring) for ring in unrolled]
    whole: Any = shapely.Polygon()
    for ring, turn in zip(unrolled, turns, strict=True):
        whole = _either(whole, _wrapped(_area_of(ring, turn)))
    around = any(abs(turn) > _HALF_TURN for turn in turns)
    if around and inside is not None and not shapely.intersects_xy(whole, *inside):
        whole = shapely.difference(_WORLD, whole, grid_size=GRID)
    return polygons_only(whole)


_WORLD = shapely.box(-_HALF_TURN, -90, _HALF_TURN, 90)


def _unrolled(ring: Floats) -> Floats:
    """Return a ring without jumps in longitude, and so perhaps beyond ±180."""
    return np.stack([np.unwrap(ring[:, 0], period=360), ring[:, 1]], axis=1)


def _turn(unrolled: Floats) -> float:
    """Return how many degrees a ring goes around the Earth: 0, or ±360 about a pole."""
    around = np.unwrap(unrolled[[-1, 0], 0], period=360)
    return float(around[1] - unrolled[0, 0])


def _area_of(unrolled: Floats, turn: float) -> Any:
    """Return what a ring bounds, perhaps beyond ±180: of one about a pole, all to its north."""
    if abs(turn) > _HALF_TURN:
        first = unrolled[0, 0]
        closing = [[first + turn, unrolled[0, 1]], [first + turn, 90], [first, 90]]
        unrolled = np.concatenate([unrolled, closing])
    area = shapely.Polygon(unrolled)
    if area.is_valid:
        return area
    return flat(shapely.make_valid(area))


def flat(shape: Any) -> Any:
    """Return a geometry's polygons as a MultiPolygon, without its lines, points and empty parts."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    kept = (shapely.get_dimensions(parts) == _AREA) & ~shapely.is_empty(parts)
    return shapely.multipolygons(parts[kept])


def _wrapped(area: Any) -> Any:
    """Bring an area that goes beyond ±180 back within; what would lie there twice cancels out."""
    if area.is_empty:
        return area
    west, _, east, _ = area.bounds
    first, last = (int(np.floor((edge + _HALF_TURN) / 360)) for edge in (west, east))
    whole: Any = shapely.Polygon()
    for turn in range(first, last + 1):
        world = shapely.transform(_WORLD, _turned_back(-turn))
        part = flat(shapely.intersection(area, world, grid_size=GRID))
        whole = _either(whole, shapely.transform(part, _turned_back(turn)))
    return whole


def _turned_back(turns: int) -> Callable[[Floats], Floats]:
    return lambda lon_lat: lon_lat - [360 * turns, 0]


def _either(one: Any, other: Any) -> Any:
    """Return what is in just one of two areas."""
    if one.is_empty:
        return other
    return flat(shapely.symmetric_difference(one, other, grid_size=GRID))


def polygons_only(shape: Any) -> Any:
    """Return the polygons of any geometry, counter-clockwise; None where it has none."""
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
