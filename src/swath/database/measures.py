"""Measure detections on the ellipsoid of WGS 84, from their WKB: cell, area and length.

Four corners, which nearly all detections have, are measured by NumPy without an object for each
row; other geometries by shapely.

Area: vertices are projected by the azimuthal equal-area projection of the ellipsoid around the
center, and the shoelace formula gives the area (J. P. Snyder, Map Projections: A Working Manual,
USGS Professional Paper 1395, 1987: equations 3-11 to 3-13 on page 16 for the authalic latitude,
24-2, 22-4 and 22-5 on pages 185 and 187 for the projection on its sphere). Lines near the center of
that projection are nearly geodesics: the areas of polygons up to 10 km differ from GeographicLib's
by less than 1e-4.

Length: the smallest rectangle around a convex polygon has a side along one of its edges
(H. Freeman, R. Shapira, Communications of the ACM 18(7), 1975). Positions are meters from the
center, by the radii of curvature at its latitude (Snyder, equations 4-19 and 4-20 on page 25).

Cell: Morton code (G. M. Morton, IBM, 1966) of the Web Mercator tile at zoom 26, see `cell_numbers`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import shapely

from swath.raster.ellipsoid import EARTH_AREA_M2, curvature_radii, zone_area

CELL_ZOOM = 26
"""Zoom of the Web Mercator tiles that are cells: 0.6 m wide at the equator."""

_QUAD_BYTES = 93  # header (1 + 4 + 4 + 4) and five positions of 16 bytes
_QUAD_HEADER = np.frombuffer(bytes([1, 3, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0]), np.uint8)
_EQUAL_AREA = 1e-6
"""Relative difference up to which two areas count as equal."""
# The edges of the hull of four corners are among these pairs; others give no smaller rectangle.
_PAIRS = ((0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (1, 3))

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.int64]
_HALF_TURN = 180.0
_AUTHALIC_RADIUS_METERS = (EARTH_AREA_M2 / (4 * np.pi)) ** 0.5


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures of n detections."""

    cell: npt.NDArray[np.int64]
    """Cells, see `cell_numbers`, shape (n,)."""
    area_m2: npt.NDArray[np.float32]
    """Areas on the ellipsoid in m², shape (n,)."""
    length_m: npt.NDArray[np.float32]
    """Longer sides of the smallest rotated rectangles in m, shape (n,)."""


def measure(wkb: Bytes, lengths: Lengths) -> Measures:
    """Measure geometries in EPSG:4326.

    Args:
        wkb: Geometries one after the other, as little-endian WKB without Z, M or SRID, uint8.
        lengths: Number of bytes of each geometry, shape (n,).

    Raises:
        ValueError: A geometry is empty.
    """
    starts = np.cumsum(lengths) - lengths
    is_quad = _find_quads(wkb, starts, lengths)
    result = Measures(
        np.empty(len(lengths), np.int64),
        np.empty(len(lengths), np.float32),
        np.empty(len(lengths), np.float32),
    )
    _store(result, is_quad, *_measure_quads(_read_quads(wkb, starts[is_quad])))
    if not is_quad.all():
        rest = zip(starts[~is_quad].tolist(), lengths[~is_quad].tolist(), strict=True)
        geometries = shapely.from_wkb([wkb[at : at + size].tobytes() for at, size in rest])
        _store(result, ~is_quad, *_measure_geometries(geometries))
    return result


def cell_numbers(lon: Floats, lat: Floats) -> npt.NDArray[np.int64]:
    """Return the cells of positions: Morton codes of their Web Mercator tiles at zoom 26.

    The bits of x (eastward) are the even ones, those of y (southward) the odd ones. So the cells of
    tile z/x/y are one range: `morton(x, y) << 2 * (26 - z)` and the `4 ** (26 - z) - 1` after it.
    Positions beyond the tiles' latitudes, ±85.05°, have the cell at the edge.

    Args:
        lon: Longitudes in degrees, shape (n,).
        lat: Latitudes in degrees, shape (n,).

    Returns:
        Cells, shape (n,), 52 bits each.
    """
    side = 1 << CELL_ZOOM
    with np.errstate(divide="ignore"):  # a pole is infinitely far
        northing = np.arctanh(np.sin(np.radians(lat))) / np.pi
    x = np.clip((lon + _HALF_TURN) / (2 * _HALF_TURN) * side, 0, side - 1)
    y = np.clip((1 - northing) / 2 * side, 0, side - 1)
    return _spread_bits(x.astype(np.int64)) | _spread_bits(y.astype(np.int64)) << 1


def to_equal_area(lon: Floats, lat: Floats, center: Floats) -> tuple[Floats, Floats]:
    """Project positions by azimuthal equal-area projections of WGS 84 around their centers.

    Args:
        lon: Longitudes in degrees, shape (..., n).
        lat: Latitudes in degrees, shape (..., n).
        center: Longitudes and latitudes of the centers in degrees, shape (2, n).

    Returns:
        x and y in m. Areas in this plane are areas on the ellipsoid.
    """
    sine, sine_0 = _authalic_sine(lat), _authalic_sine(center[1])
    cosine, cosine_0 = np.sqrt(1 - sine**2), np.sqrt(1 - sine_0**2)
    turn = np.radians(lon - center[0])
    along = cosine * np.cos(turn)
    scale = _AUTHALIC_RADIUS_METERS * np.sqrt(2 / (1 + sine_0 * sine + cosine_0 * along))
    return scale * cosine * np.sin(turn), scale * (cosine_0 * sine - sine_0 * along)


def _authalic_sine(lat: Floats) -> Floats:
    """Return the sine of the authalic latitude."""
    sines: Floats = zone_area(lat) / (EARTH_AREA_M2 / (4 * np.pi))
    return np.clip(sines, -1, 1)


def _store(
    into: Measures, rows: npt.NDArray[np.bool_], center: Floats, area: Floats, length: Floats
) -> None:
    into.cell[rows] = cell_numbers(*center)
    into.area_m2[rows] = area
    into.length_m[rows] = length


def _find_quads(wkb: Bytes, starts: Lengths, lengths: Lengths) -> npt.NDArray[np.bool_]:
    """Return which geometries are a polygon of one ring with four corners."""
    is_quad: npt.NDArray[np.bool_] = lengths == _QUAD_BYTES
    headers = wkb[starts[is_quad][:, None] + np.arange(len(_QUAD_HEADER))]
    is_quad[is_quad] = (headers == _QUAD_HEADER).all(axis=1)
    return is_quad


def _read_quads(wkb: Bytes, starts: Lengths) -> Floats:
    """Return the corners of quads as lon and lat, shape (2, 4, n)."""
    at = starts[:, None] + np.arange(len(_QUAD_HEADER), _QUAD_BYTES - 16)
    return np.ascontiguousarray(wkb[at].view("<f8").reshape(-1, 4, 2).T)


def _measure_quads(corners: Floats) -> tuple[Floats, Floats, Floats]:
    """Return centers (lon and lat, shape (2, n)), areas in m² and lengths in m."""
    lon, lat = corners
    center = (corners.min(axis=1) + corners.max(axis=1)) / 2
    x, y = to_equal_area(lon, lat, center)
    # Half the cross product of the diagonals.
    area = np.abs((x[2] - x[0]) * (y[3] - y[1]) - (x[3] - x[1]) * (y[2] - y[0])) / 2
    return center, area, _longer_side(*_to_local(lon, lat, center), _PAIRS)


def _longer_side(x: Floats, y: Floats, pairs: Iterable[tuple[int, int]]) -> Floats:
    """Return the longer side of the smallest rectangle around each of n sets of points.

    Each edge of a triangle has a rectangle of the same area. Of equal rectangles, the longest
    counts.

    Args:
        x: Positions in m, shape (points, n).
        y: Positions in m, shape (points, n).
        pairs: Pairs of points that may be an edge of the hull.
    """
    areas, longer = [], []
    for start, stop in pairs:
        along = np.array([x[stop] - x[start], y[stop] - y[start]])
        norm = np.hypot(*along)
        is_point = norm == 0
        along /= np.where(is_point, 1, norm)
        sides = np.ptp([x * along[0] + y * along[1], y * along[0] - x * along[1]], axis=1)
        areas.append(np.where(is_point, np.inf, sides[0] * sides[1]))
        longer.append(sides.max(axis=0))
    limit = np.min(areas, axis=0) * (1 + _EQUAL_AREA)
    longest: Floats = np.where(np.array(areas) <= limit, longer, 0).max(axis=0)
    return longest


def _measure_geometries(geometries: npt.NDArray[np.object_]) -> tuple[Floats, Floats, Floats]:
    if shapely.is_empty(geometries).any():
        raise ValueError("a geometry is empty")
    center = _largest_part_centers(geometries)
    coordinates, owner = shapely.get_coordinates(geometries, return_index=True)
    lon, lat = coordinates.T
    plane = np.column_stack(to_equal_area(lon, lat, center[:, owner]))
    area = shapely.area(shapely.set_coordinates(geometries.copy(), plane))
    # The parts on both sides of the antimeridian are neighbors.
    is_split = np.ptp(shapely.bounds(geometries)[:, [0, 2]], axis=1) > _HALF_TURN
    turn = np.where(is_split[owner] & (lon < 0), 2 * _HALF_TURN, 0)
    local = np.column_stack(_to_local(lon + turn, lat, center[:, owner]))
    return center, area, _hull_longer_sides(local, owner)


def _hull_longer_sides(points: Floats, owner: npt.NDArray[np.intp]) -> Floats:
    """Return the longer sides of the smallest rectangles around the points of n owners."""
    hulls = shapely.convex_hull(shapely.multipoints(shapely.points(points), indices=owner))
    corners, hull = shapely.get_coordinates(hulls, return_index=True)
    counts = np.bincount(hull)
    starts = np.cumsum(counts) - counts
    result = np.empty(len(hulls))
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        x, y = corners[starts[rows] + np.arange(count)[:, None]].transpose(2, 0, 1)
        result[rows] = _longer_side(x, y, pairwise(range(count))) if count > 1 else 0
    return result


def _largest_part_centers(geometries: npt.NDArray[np.object_]) -> Floats:
    """Return the center of the bounds of the part with the largest bounds, shape (2, n)."""
    parts, owner = shapely.get_parts(geometries, return_index=True)
    bounds = shapely.bounds(parts)
    size = (bounds[:, 2] - bounds[:, 0]) * (bounds[:, 3] - bounds[:, 1])
    order = np.lexsort((-np.nan_to_num(size, nan=-1.0), owner))
    largest = bounds[order[np.unique(owner[order], return_index=True)[1]]]
    centers: Floats = (largest[:, :2] + largest[:, 2:]).T / 2
    return centers


def _to_local(lon: Floats, lat: Floats, center: Floats) -> tuple[Floats, Floats]:
    """Return positions in m east and north of their centers.

    Args:
        lon: Longitudes in degrees, shape (..., n).
        lat: Latitudes in degrees, shape (..., n).
        center: Longitudes and latitudes of the centers in degrees, shape (2, n).
    """
    along, across = curvature_radii(center[1])
    return (
        across * np.cos(np.radians(center[1])) * np.radians(lon - center[0]),
        along * np.radians(lat - center[1]),
    )


def _spread_bits(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return numbers below 2^26 with a zero bit before each of their bits."""
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        numbers = (numbers | numbers << shift) & mask
    return numbers
