"""Reproject labels to maps that go around the Earth, where a longitude has more than one x.

Such a map repeats after its width. A scene may start at any longitude, and contain a longitude
twice. Label files cut objects at the antimeridian, as RFC 7946 requires, and a map may be cut
elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import shapely.affinity

from swath.raster.projection import reproject, without_session, world_width

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.crs import CRS

    from swath._types import Floats

    Range = tuple[float, float]

_WIDTH_TOLERANCE = 1e-6
"""Tolerance as a share of the map's width. A shape goes all around the Earth if its width differs
by less from the map's."""
_GAP_TOLERANCE = 1e-12
"""Tolerance as a share of the map's width. Two ends of a shape that are closer than this meet."""


@dataclass(frozen=True, slots=True)
class MapShapes:
    """Shapes on a map, each in one piece, even if the map's edge or the label file cuts it."""

    shapes: NDArray[Any]
    """(n,): shapely geometries in the map's CRS; shapes that the CRS cannot represent have
    infinite corners."""
    wraps_around: NDArray[np.bool_]
    """(n,): True for shapes that go all around the Earth; they are repeated to three map widths."""
    width: float | None
    """Width in CRS units after which the map repeats; None if it does not repeat."""

    def candidate_shifts(self, extent: Range) -> list[int]:
        """Return all shifts, in map widths, that may move a shape into a scene.

        Args:
            extent: Minimum and maximum x of the scene in the map's CRS.
        """
        bounds = shapely.bounds(self.shapes)[:, ::2]
        bounds = bounds[np.isfinite(bounds).all(axis=1)]
        if self.width is None or not len(bounds):
            return [0]
        first = np.ceil((extent[0] - bounds[:, 1].max()) / self.width - _WIDTH_TOLERANCE)
        last = np.floor((extent[1] - bounds[:, 0].min()) / self.width + _WIDTH_TOLERANCE)
        return list(range(int(first), int(last) + 1))

    def nearest_shifts(self, numbers: NDArray[np.int64], extent: Range) -> NDArray[np.int64]:
        """Return the shifts (k,), in map widths, that move shapes nearest to a scene.

        Args:
            numbers: (k,) indices of the shapes.
            extent: Minimum and maximum x of the scene in the map's CRS.
        """
        if self.width is None:
            return np.zeros(len(numbers), np.int64)
        middle = shapely.bounds(self.shapes[numbers])[:, ::2].mean(axis=1)
        return np.asarray(np.round((np.mean(extent) - middle) / self.width), np.int64)

    def shifted(self, numbers: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[Any]:
        """Return some of the shapes, shifted along x.

        Args:
            numbers: (k,) indices of the shapes.
            shifts: (k,) shift of each in map widths.
        """
        shapes_on_map = self.shapes[numbers]
        if self.width is None or not shifts.any():
            return shapes_on_map
        corners, owner = shapely.get_coordinates(shapes_on_map, return_index=True)
        corners[:, 0] += self.width * shifts[owner]
        return np.asarray(shapely.set_coordinates(shapes_on_map, corners))


def reproject_to_map(shapes: NDArray[Any], source: CRS, target: CRS, extent: Range) -> MapShapes:
    """Reproject shapes to a map's CRS, each in one piece.

    An edge longer than half the Earth is treated as the short edge across the antimeridian, unless
    the shape as written lies inside the scene.

    Args:
        shapes: (n,) shapely Polygons, MultiPolygons and Points.
        source: CRS of the shapes.
        target: CRS of the map.
        extent: Minimum and maximum x, in `target`, of a scene that is wider than half the Earth;
            (0, 0) for other scenes.
    """
    width = world_width(target)
    wraps_around = np.zeros(len(shapes), np.bool_)
    if not len(shapes) or (source == target and width is None):
        return MapShapes(shapes.copy(), wraps_around, width)
    parts, owner = shapely.get_parts(shapes, return_index=True)
    corners, part = shapely.get_coordinates(parts, return_index=True)
    reprojected = corners.copy()
    if source != target:
        with without_session():
            reprojected = np.stack(reproject(source, target, *corners.T), axis=1)
    if width is not None:
        starts = np.searchsorted(part, np.arange(len(parts)))
        reprojected[:, 0] = _in_one_piece(
            reprojected[:, 0], corners[:, 0], part, width, source, extent
        )
        reprojected[:, 0] += (
            width * _part_shifts(reprojected[:, 0], starts, owner, width, extent)[part]
        )
        bounds = _bounds(reprojected[:, 0], np.searchsorted(owner[part], np.arange(len(shapes))))
        wraps_around = bounds[1] - bounds[0] >= width * (1 - _WIDTH_TOLERANCE)
    reprojected[np.isnan(reprojected).any(axis=1)] = np.inf
    shapes_on_map = shapely.set_coordinates(shapes.copy(), reprojected)
    if width is not None:
        for number in np.flatnonzero(wraps_around):
            shapes_on_map[number] = _repeat_thrice(shapes_on_map[number], width)
    return MapShapes(shapes_on_map, wraps_around, width)


def _in_one_piece(
    x: Floats, written: Floats, part: NDArray[np.int64], width: float, source: CRS, extent: Range
) -> Floats:
    """Return the corners' x (n,) such that no edge jumps to the opposite side of the map.

    Args:
        x: (n,) x of the corners in the map's CRS.
        written: (n,) x of the corners in the labels' CRS.
        part: (n,) index of each corner's polygon.
        width: Width of the map in CRS units.
        source: CRS of the labels.
        extent: Minimum and maximum x of the scene in the map's CRS.
    """
    source_width = world_width(source)
    expected = np.diff(written) * (width / source_width) if source_width else np.zeros(len(x) - 1)
    is_edge = np.diff(part) == 0
    expected[~is_edge] = 0
    as_written = _unwrap(x, part, expected, width)
    has_long_edge = np.zeros(part[-1] + 1, np.bool_)
    has_long_edge[part[1:][np.abs(expected) > width / 2 * (1 + _WIDTH_TOLERANCE)]] = True
    if has_long_edge.any():
        west, east = _bounds(as_written, np.searchsorted(part, np.arange(len(has_long_edge))))
        margin = width * _WIDTH_TOLERANCE
        has_long_edge &= ~((west >= extent[0] - margin) & (east <= extent[1] + margin))
        short = _unwrap(x, part, np.zeros(len(expected)), width)
        as_written = np.where(has_long_edge[part], short, as_written)
    return as_written


def _unwrap(x: Floats, part: NDArray[np.int64], expected: Floats, width: float) -> Floats:
    """Return x (n,), shifted by map widths so that adjacent corners differ by about `expected`.

    Args:
        x: (n,) x of the corners in the map's CRS.
        part: (n,) index of each corner's polygon.
        expected: (n - 1,) expected differences of x between adjacent corners.
        width: Width of the map in CRS units.
    """
    shifts = np.zeros(len(x))
    with np.errstate(invalid="ignore"):
        shifts[1:] = np.nan_to_num(np.round((expected - np.diff(x)) / width))
    shifts[1:][np.diff(part) != 0] = 0
    shifts = np.cumsum(shifts)
    return np.asarray(x + width * (shifts - shifts[np.searchsorted(part, part)]))


def _part_shifts(
    x: Floats, starts: NDArray[np.int64], owner: NDArray[np.int64], width: float, extent: Range
) -> Floats:
    """Return the shift, in map widths, that moves each polygon near the first one of its shape.

    Args:
        x: (corners,) x of the corners in the map's CRS.
        starts: (polygons,) index of each polygon's first corner.
        owner: (polygons,) index of each polygon's shape.
        width: Width of the map in CRS units.
        extent: Minimum and maximum x of the scene in the map's CRS.
    """
    west, east = _bounds(x, starts)
    first = np.searchsorted(owner, owner)
    middle = (west + east) / 2
    with np.errstate(invalid="ignore"):
        shifts = np.nan_to_num(np.round((middle[first] - middle) / width))
    if not shifts.any():
        return shifts
    # Polygons are not shifted if all polygons of their shape already lie inside the scene. The
    # exception is a shape that spans the whole map, since the map's edges cut it.
    whole_west, whole_east = (edge[owner] for edge in _shape_bounds(west, east, owner))
    cut = whole_east - whole_west >= width * (1 - _WIDTH_TOLERANCE)
    in_scene = (whole_west >= extent[0]) & (whole_east <= extent[1])
    return np.where(in_scene & ~cut, 0, shifts)


def _shape_bounds(west: Floats, east: Floats, owner: NDArray[np.int64]) -> tuple[Floats, Floats]:
    starts = np.searchsorted(owner, np.arange(owner[-1] + 1))
    return np.minimum.reduceat(west, starts), np.maximum.reduceat(east, starts)


def _bounds(x: Floats, starts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the minimum and maximum x of each run of corners; NaN if one of them is NaN."""
    return np.minimum.reduceat(x, starts), np.maximum.reduceat(x, starts)


def _repeat_thrice(shape: Any, width: float) -> Any:
    """Return three joined copies of a shape that goes around the Earth.

    The copies move its ends out of any scene that is at most two map widths wide.
    """
    copies = [shapely.affinity.translate(shape, k * width) for k in (-1, 0, 1)]
    return shapely.union_all(copies, grid_size=width * _GAP_TOLERANCE)
