"""From scene pixels to longitude and latitude.

Positions in EPSG:4326 are (lon, lat). Corners are joined by straight lines there, which at the size
of a box differs from the true edge by far less than a pixel; longer edges are bent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from rasterio._err import CPLE_BaseError, CPLE_NotSupportedError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.env import Env
from rasterio.errors import RasterioError
from rasterio.session import DummySession
from rasterio.transform import GCPTransformer
from rasterio.warp import transform

from swath.errors import SceneError
from swath.places import Places, has_four_corners, rings_of, shape_of
from swath.scene import Placed

Floats = NDArray[np.float64]
Place = Callable[[Floats, Floats], tuple[Floats, Floats]]

LON_LAT = CRS.from_epsg(4326)

_FARTHEST = 1e9
"""CRS units; no place on Earth is farther from an origin, and PROJ may loop without end beyond."""

_HIGHEST = 91
"""Degrees of latitude; a global grid may stick out over the pole by half of a large pixel."""

_CHUNK = 1 << 18
_MOST_TPS_GCPS = 1000
"""A spline through more would take too long; a polynomial has to do."""

_MINIMUM_GCPS = 3
_HALF_TURN = 180
_LONGEST = 64
"""px; a longer edge of an outline, as segmentation gives them, would not stay where it is."""
_FEWEST = 3
"""Corners of a ring."""
# Corners of a box as columns of (x0, y0, x1, y1), counter-clockwise on a north-up map.
_RING_X = [0, 0, 2, 2]
_RING_Y = [1, 3, 3, 1]


@dataclass(frozen=True, slots=True)
class Georeferencer:
    """Where the pixels of a scene are on Earth."""

    _place: Place
    """Scene px to the CRS."""
    _crs: CRS

    @classmethod
    def of(cls, scene: Placed) -> Georeferencer:
        """By the scene's affine transform or, without one, its ground control points.

        Raises:
            SceneError: the scene does not say where it is, or it is nowhere on Earth.
        """
        if scene.transform is not None:
            place: Place = _affine(scene)
        elif scene.gcps:
            place = _by_gcps(scene)
        else:
            raise SceneError(f"{scene.uri} {_why_unplaced(scene)}")
        if scene.crs is None:
            raise SceneError(
                f"{scene.uri} has no coordinate reference system; "
                "give it its own with gdal_edit.py -a_srs EPSG:…"
            )
        found = cls(place, scene.crs)
        found._check(scene)
        return found

    def points(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Longitudes and latitudes of positions in scene px, shaped like them.

        Positions that are nowhere on Earth, as in the corners of a geostationary image, are NaN.
        """
        xs, ys = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        lon, lat = np.empty(xs.size), np.empty(xs.size)
        with _without_session():
            for start in range(0, xs.size, _CHUNK):
                part = slice(start, start + _CHUNK)
                placed = self._place(xs.ravel()[part], ys.ravel()[part])
                lon[part], lat[part] = _to_lon_lat(self._crs, *placed)
        return lon.reshape(xs.shape), lat.reshape(xs.shape)

    def polygons(self, boxes: ArrayLike) -> NDArray[np.object_]:
        """The outlines of boxes, (n, 4) x0, y0, x1, y1 in scene px.

        Returns:
            (n,) shapely Polygon in EPSG:4326, its exterior counter-clockwise; MultiPolygon where it
            is split at the antimeridian; None where a corner is nowhere on Earth.
        """
        return self.place(boxes).polygons()

    def place(self, boxes: ArrayLike, outline: NDArray[np.object_] | None = None) -> Places:
        """Where detections are.

        What has four corners is nowhere if one of them is; a longer outline goes without them.

        Args:
            boxes: (n, 4) x0, y0, x1, y1 in scene px.
            outline: (n,) shapely Polygons and MultiPolygons in scene px, instead of the boxes.
        """
        if outline is None:
            corners = np.asarray(boxes, np.float64).reshape(-1, 4)
            return self._place_rings(corners[:, _RING_X], corners[:, _RING_Y])
        simple = has_four_corners(outline)
        rings = shapely.get_coordinates(outline[simple]).reshape(-1, 5, 2)[:, :4]
        placed, places = (
            self._place_rings(rings[..., 0], rings[..., 1]),
            Places.nowhere(len(outline)),
        )
        places.ring[simple] = placed.ring
        if placed.shape is None and simple.all():
            return places
        shape = places.shapes
        shape[simple] = placed.shapes
        shape[~simple] = self._place_outlines(outline[~simple])
        return Places(places.ring, shape)

    def _place_rings(self, x: Floats, y: Floats) -> Places:
        """Rings of four corners, (n, 4), in scene px."""
        lon, lat = self.points(x, y)
        wide = np.flatnonzero(np.ptp(lon, axis=1) > _HALF_TURN)  # not of NaN
        lon[np.isnan(lon).any(axis=1)] = np.nan
        lon[wide] = np.nan
        places = Places.of_rings(lon, lat)
        if not len(wide):
            return places
        shape = places.shapes
        for i in wide:
            shape[i] = self._place_polygon([np.stack([x[i], y[i]], axis=1)])
        return Places(places.ring, shape)

    def _place_outlines(self, outline: NDArray[np.object_]) -> NDArray[np.object_]:
        """Shapes of any number of corners, as shapely objects."""
        outline = shapely.segmentize(outline, _LONGEST)
        corners, owner = shapely.get_coordinates(outline, return_index=True)
        lon, lat = self.points(*corners.T)
        starts = np.searchsorted(owner, np.arange(len(outline)))
        # Of NaN both are NaN, and no comparison with NaN holds.
        extent = np.maximum.reduceat(lon, starts) - np.minimum.reduceat(lon, starts)
        plain = extent <= _HALF_TURN
        placed = np.full(len(outline), None, object)
        places = np.stack([lon, lat], axis=1)[plain[owner]]
        moved = shapely.set_coordinates(outline[plain].copy(), places)
        placed[plain] = shapely.orient_polygons(moved)
        for i in np.flatnonzero(~plain):
            parts = [self._place_polygon(rings_of(part)) for part in shapely.get_parts(outline[i])]
            found = shapely.get_parts([part for part in parts if part is not None])
            if len(found):
                placed[i] = found[0] if len(found) == 1 else shapely.MultiPolygon(list(found))
        return placed

    def _place_polygon(self, rings: list[Floats]) -> Any:
        """A polygon of (corners, 2) rings in scene px that is not like others, or None.

        Places halfway between the corners tell a ring across the antimeridian from a wide one.
        """
        placed = []
        for ring in rings:
            halfway = (ring + np.roll(ring, -1, axis=0)) / 2
            lon, lat = self.points(*np.stack([ring, halfway], axis=1).reshape(-1, 2).T)
            placed.append(np.stack([lon, lat], axis=1)[np.isfinite(lon)])
        exterior, *holes = placed
        if len(exterior) < _FEWEST:
            return None
        return shape_of([exterior, *(hole for hole in holes if len(hole) >= _FEWEST)])

    def _check(self, scene: Placed) -> None:
        across, down = np.linspace(0, [scene.width, scene.height], 5).T
        lon, _ = self.points(across, down[:, None])
        if not np.isfinite(lon).any():
            raise SceneError(
                f"{scene.uri} has no pixel that its coordinate reference system, "
                f"{_name(self._crs)}, can place in EPSG:4326: is it of another planet or a local "
                "system, or is its geotransform wrong?"
            )


def _without_session() -> Env:
    """For rasterio's arithmetic, which else starts a boto3 session for each call."""
    return Env(session=DummySession())


def _affine(scene: Placed) -> Place:
    a, b, c, d, e, f = list(scene.transform or ())[:6]
    if a * e - b * d == 0 or not np.isfinite([a, b, c, d, e, f]).all():
        raise SceneError(f"{scene.uri} has a geotransform without area: {a, b, c, d, e, f}")

    def place(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        return a * x + b * y + c, d * x + e * y + f

    return place


def _by_gcps(scene: Placed) -> Place:
    """A thin plate spline: unlike a polynomial, it is exact at each point (radar needs that)."""
    if fault := _fault_of(scene.gcps):
        raise SceneError(f"{scene.uri} has {len(scene.gcps)} ground control points, {fault}")
    try:
        with _without_session():
            gcps = _continuous(scene.gcps, scene.crs)
            transformer = GCPTransformer(gcps, tps=len(gcps) <= _MOST_TPS_GCPS)
    except (RasterioError, CPLE_BaseError, ValueError) as error:
        raise SceneError(f"{scene.uri} has unusable ground control points: {error}") from error

    def place(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        placed_x, placed_y = transformer.xy(y, x, offset="ul")
        return np.asarray(placed_x), np.asarray(placed_y)

    return place


def _fault_of(gcps: tuple[GroundControlPoint, ...]) -> str | None:
    if len(gcps) < _MINIMUM_GCPS:
        return f"of which {_MINIMUM_GCPS} are needed"
    points = np.array([(gcp.col, gcp.row, gcp.x, gcp.y) for gcp in gcps], np.float64)
    if not (np.abs(points) <= _FARTHEST).all():  # nor where they are NaN
        return "not all of them numbers that can be positions"
    pixels, places = points[:, :2], points[:, 2:]
    if any(np.linalg.matrix_rank(side - side[0]) < side.ndim for side in (pixels, places)):
        return "which all lie in a line"
    return None


def _continuous(gcps: tuple[GroundControlPoint, ...], crs: CRS | None) -> list[GroundControlPoint]:
    """Ground control points whose longitudes do not jump at the antimeridian."""
    lons = [gcp.x for gcp in gcps]
    if crs is None or not crs.is_geographic or max(lons) - min(lons) <= _HALF_TURN:
        return list(gcps)
    return [
        GroundControlPoint(row=g.row, col=g.col, x=g.x + 360 * (g.x < 0), y=g.y, z=g.z)
        for g in gcps
    ]


def _why_unplaced(scene: Placed) -> str:
    if scene.rpcs:
        return (
            "is placed by rational polynomial coefficients alone, which are right only with a "
            "terrain model: orthorectify it with gdalwarp -rpc -to RPC_DEM=dem.tif"
        )
    return (
        "does not say where it is: it has neither a geotransform nor ground control points; "
        "georeference it with gdal_edit.py -a_srs EPSG:… -a_ullr …"
    )


def _name(crs: CRS) -> str:
    named = re.search('"([^"]*)"', crs.to_wkt())
    return named[1] if named else crs.to_string()


def _to_lon_lat(crs: CRS, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Longitudes within ±180 and latitudes; NaN where there are none."""
    lon, lat = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    parts = [np.flatnonzero((np.abs(x) <= _FARTHEST) & (np.abs(y) <= _FARTHEST))]
    while parts:
        part = parts.pop()
        try:
            lon[part], lat[part] = transform(crs, LON_LAT, x[part], y[part])
        except CPLE_NotSupportedError:  # no way leads from this CRS to longitude and latitude
            break
        except (CPLE_BaseError, RasterioError):
            # One position outside the projection's domain makes GDAL give up all of them.
            if len(part) > 1:
                parts += np.array_split(part, 2)
    nowhere = ~(np.isfinite(lon) & (np.abs(lat) <= _HIGHEST))
    lon[nowhere] = lat[nowhere] = np.nan
    beyond = np.abs(lon) > _HALF_TURN
    lon[beyond] = (lon[beyond] + 180) % 360 - 180
    return lon, np.clip(lat, -90, 90)
