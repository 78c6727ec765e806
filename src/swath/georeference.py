"""From scene pixels to longitude and latitude.

Positions in EPSG:4326 are (lon, lat). Corners of boxes are joined by straight lines there, which at
the size of a detection differs from the true edge by far less than a pixel.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import antimeridian
import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from rasterio._err import CPLE_BaseError, CPLE_NotSupportedError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.env import Env
from rasterio.errors import RasterioError
from rasterio.transform import GCPTransformer
from rasterio.warp import transform

from swath.errors import SceneError
from swath.scene import Scene

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
    def of(cls, scene: Scene) -> Georeferencer:
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
        for start in range(0, xs.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            placed = self._place(xs.ravel()[part], ys.ravel()[part])
            lon[part], lat[part] = _to_lon_lat(self._crs, *placed)
        return lon.reshape(xs.shape), lat.reshape(xs.shape)

    def polygons(self, boxes: ArrayLike) -> NDArray[Any]:
        """The outlines of boxes, (n, 4) x0, y0, x1, y1 in scene px.

        Returns:
            (n,) shapely Polygon in EPSG:4326, its exterior counter-clockwise; MultiPolygon where it
            is split at the antimeridian; None where a corner is nowhere on Earth.
        """
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        return self.outlines(corners[:, _RING_X], corners[:, _RING_Y])

    def outlines(self, x: ArrayLike, y: ArrayLike) -> NDArray[Any]:
        """As `polygons`, of rings of any shape: (n, corners) each, in scene px, not closed."""
        xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
        lon, lat = self.points(xs, ys)
        shapes = np.full(len(lon), None, object)
        placed = np.isfinite(lon).all(axis=1)
        suspect = placed & (np.ptp(lon, axis=1) > _HALF_TURN)
        plain = placed & ~suspect
        shapes[plain] = _oriented(lon[plain], lat[plain])
        for i in np.flatnonzero(suspect):
            shapes[i] = self._outline_at_antimeridian(xs[i], ys[i])
        return shapes

    def _outline_at_antimeridian(self, x: Floats, y: Floats) -> Any:
        """One ring whose corners lie more than half the globe apart in longitude."""
        middle_x, middle_y = (x + np.roll(x, -1)) / 2, (y + np.roll(y, -1)) / 2
        ring_x = np.stack([x, middle_x], axis=1).ravel()
        ring_y = np.stack([y, middle_y], axis=1).ravel()
        lon, lat = self.points(ring_x, ring_y)
        if not np.isfinite(lon).all():
            return None
        steps = np.diff(lon, append=lon[0])
        if np.abs(steps).max() <= _HALF_TURN:  # it really is that wide: a box of a world map
            return _oriented(lon[None], lat[None])[0]
        return _split(lon, lat)

    def _check(self, scene: Scene) -> None:
        across, down = np.linspace(0, [scene.width, scene.height], 5).T
        lon, _ = self.points(across, down[:, None])
        if not np.isfinite(lon).any():
            raise SceneError(
                f"{scene.uri} has no pixel that its coordinate reference system, "
                f"{_name(self._crs)}, can place in EPSG:4326: is it of another planet or a local "
                "system, or is its geotransform wrong?"
            )


def _affine(scene: Scene) -> Place:
    a, b, c, d, e, f = list(scene.transform or ())[:6]
    if a * e - b * d == 0 or not np.isfinite([a, b, c, d, e, f]).all():
        raise SceneError(f"{scene.uri} has a geotransform without area: {a, b, c, d, e, f}")

    def place(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        return a * x + b * y + c, d * x + e * y + f

    return place


def _by_gcps(scene: Scene) -> Place:
    """A thin plate spline: unlike a polynomial, it is exact at each point (radar needs that)."""
    if fault := _fault_of(scene.gcps):
        raise SceneError(f"{scene.uri} has {len(scene.gcps)} ground control points, {fault}")
    try:
        with Env():
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


def _why_unplaced(scene: Scene) -> str:
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


def _oriented(lon: Floats, lat: Floats) -> NDArray[Any]:
    """Polygons of rings (n, corners), each made counter-clockwise."""
    clockwise = _signed_area(lon, lat) < 0
    lon[clockwise], lat[clockwise] = lon[clockwise, ::-1], lat[clockwise, ::-1]
    return np.asarray(shapely.polygons(np.stack([lon, lat], axis=-1)))


def _signed_area(x: Floats, y: Floats) -> Floats:
    x, y = x - x[:, :1], y - y[:, :1]  # differences of large numbers lose what a small area is
    twice = x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y
    return np.asarray(twice.sum(axis=1) / 2)


def _split(lon: Floats, lat: Floats) -> Any:
    """The parts of a ring on both sides of the antimeridian, or of one around a pole."""
    unrolled = np.unwrap(np.append(lon, lon[0]), period=360)
    turn = unrolled[-1] - unrolled[0]
    if abs(turn) > _HALF_TURN:  # around a pole: eastward about the north one
        backward = (turn > 0) != (lat.mean() > 0)
    else:
        backward = bool(_signed_area(unrolled[None, :-1], lat[None])[0] < 0)
    ring = np.stack([lon, lat], axis=1)[:: -1 if backward else 1]
    return antimeridian.fix_polygon(shapely.Polygon(ring), fix_winding=False, great_circle=False)
