"""Convert positions and outlines in scene pixels to longitude and latitude.

Positions in EPSG:4326 are (lon, lat), and straight lines there connect the corners of a polygon.
Where such a line would be more than a quarter of a pixel from the true edge, the edge gets more
corners.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from swath.errors import SceneError
from swath.raster.geotransform import AffineTransform, Geotransform, geotransform_from_info
from swath.raster.polygons import PolygonArray, has_four_corners, is_convex
from swath.raster.projection import LON_LAT, reproject, without_session, world_width
from swath.raster.unusual_polygons import (
    MAX_DEVIATION_PX,
    deviation,
    limit_to_one_turn,
    polygon_to_lonlat,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from rasterio.crs import CRS

    from swath._types import Floats
    from swath.raster.scene_info import ImageInfo
    from swath.raster.unusual_polygons import ToLonLat

_MAX_LATITUDE = 91
"""Largest latitude in degrees; a global grid may exceed a pole by half of a large pixel."""
_MAX_TURNS = 10
"""Largest number of turns of a scene around the Earth; a header that states more is damaged."""
_MAX_ROUND_TRIP_PX = 0.02
"""Largest distance in px between a position and the result of its conversion to lon, lat and back.

The limit is far below 1 px, as a whole map may be less than 1 px wide near a pole.
"""
_POSITIONS_PER_BATCH = 1 << 18
"""Number of positions that are converted at once."""
_HALF_TURN = 180
_MAX_BOX_DEVIATION_PX = 0.25
"""Largest distance in px of a box's edge from the straight line in degrees between its ends."""
_MAX_EDGE_PX = 64
"""Length in px above which edges of outlines are cut before their curvature is measured.

The midpoint of a longer edge may not show its curvature, for example between ground control points.
"""
_ROUNDING = 1e-9
"""Tolerance for rounding errors, as a share of the map's width."""
_CHECK_POINTS = 33
"""Number of rows and of columns of the positions at which a georeference is checked."""
# Corners of a box as indices into (x0, y0, x1, y1), counter-clockwise on a north-up map.
_RING_X = [0, 0, 2, 2]
_RING_Y = [1, 3, 3, 1]


@dataclass(frozen=True, slots=True)
class Georeferencer:
    """Conversion of a scene's pixels to positions on Earth.

    Attributes:
        geotransform: Transform from scene px to the CRS.
        crs: Coordinate reference system of the scene.
    """

    geotransform: Geotransform
    crs: CRS
    _curvature: float
    """Largest curvature (1/px) in degrees of edges that are straight in px; 0 if none is curved."""
    _pixel_size: float = np.inf
    """Size of a pixel in CRS units, if the scene has pixels beyond the map's edge.

    PROJ maps such pixels onto others. Infinite for other scenes, whose pixels need no check.
    """
    _half_world: float = np.inf
    """Half of the world's width along x, in CRS units, if the scene covers at least as much.

    The ends of a wider shape are closer to each other in the other direction around the Earth.
    Infinite for narrower scenes.
    """

    @classmethod
    def from_info(cls, scene: ImageInfo) -> Georeferencer:
        """Create the conversion from a scene's affine transform or its ground control points.

        The points are used only where the scene has no affine transform.

        Raises:
            SceneError: The scene has no usable georeference, or no pixel of it is on Earth.
        """
        geotransform = geotransform_from_info(scene)
        if scene.crs is None:
            raise SceneError(
                f"{scene.uri} has no coordinate reference system; "
                "set it with gdal_edit.py -a_srs EPSG:…"
            )
        if scene.crs.to_wkt().startswith("GEOCCS"):
            raise SceneError(
                f"{scene.uri} has geocentric coordinates ({_crs_name(scene.crs)}), so "
                "its pixels are on no map; set its own system with gdal_edit.py -a_srs EPSG:…"
            )
        width = world_width(scene.crs)
        georeferencer = cls(
            geotransform, scene.crs, _curvature=0, _half_world=_half_world(scene, width)
        )
        across, down = np.linspace(0, [scene.width, scene.height], _CHECK_POINTS).T
        lon, _ = georeferencer.to_lonlat(across, down[:, None])
        if not np.isfinite(lon).any():
            raise SceneError(
                f"{scene.uri} has no pixel whose position its coordinate reference system, "
                f"{_crs_name(scene.crs)}, can convert to EPSG:4326; check the geotransform, and "
                "that the system is neither local nor of another planet"
            )
        if width is None and isinstance(geotransform, AffineTransform):
            checked = replace(
                georeferencer, _pixel_size=math.sqrt(abs(geotransform.matrix.determinant))
            )
            if (np.isnan(checked.to_lonlat(across, down[:, None])[0]) & np.isfinite(lon)).any():
                georeferencer = checked
        if _stays_straight(geotransform, scene.crs, width):
            return georeferencer
        return replace(
            georeferencer,
            _curvature=_max_curvature(georeferencer.to_lonlat, across[::2], down[::2]),
        )

    def to_lonlat(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Convert positions in scene px to longitudes and latitudes.

        Args:
            x: Positions along x in scene px, of any shape.
            y: Positions along y in scene px; `x` and `y` are broadcast.

        Returns:
            Longitudes and latitudes in the broadcast shape. Both are NaN for positions that are not
            on Earth, as in the corners of a geostationary image.
        """
        xs, ys = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        lon, lat = np.empty(xs.size), np.empty(xs.size)
        with without_session():
            for start in range(0, xs.size, _POSITIONS_PER_BATCH):
                part = slice(start, start + _POSITIONS_PER_BATCH)
                converted = self.geotransform.forward(xs.ravel()[part], ys.ravel()[part])
                lon[part], lat[part] = _reproject_to_lonlat(self.crs, *converted)
                if np.isfinite(self._pixel_size):
                    lost = ~self._round_trips(*converted, lon[part], lat[part])
                    lon[part][lost] = lat[part][lost] = np.nan
        return lon.reshape(xs.shape), lat.reshape(xs.shape)

    def _round_trips(self, x: Floats, y: Floats, lon: Floats, lat: Floats) -> NDArray[np.bool_]:
        """Return which positions in the CRS are recovered when lon and lat are converted back."""
        back_x, back_y = reproject(LON_LAT, self.crs, lon, lat)
        return np.asarray(np.hypot(back_x - x, back_y - y) < _MAX_ROUND_TRIP_PX * self._pixel_size)

    def to_polygons(
        self, boxes: ArrayLike, outline: NDArray[np.object_] | None = None
    ) -> PolygonArray:
        """Return the polygons of detections on Earth, without the parts that are not on Earth.

        Args:
            boxes: Boxes (n, 4) x0, y0, x1, y1 in scene px.
            outline: Outlines that replace the boxes: shapely Polygons and MultiPolygons in scene
                px, (n,).
        """
        if outline is None:
            corners = np.asarray(boxes, np.float64).reshape(-1, 4)
            return self._quads_to_polygons(corners[:, _RING_X], corners[:, _RING_Y])
        simple = has_four_corners(outline)
        rings = shapely.get_coordinates(outline[simple]).reshape(-1, 5, 2)[:, :4]
        converted = self._quads_to_polygons(rings[..., 0], rings[..., 1])
        polygons = PolygonArray.empty(len(outline))
        polygons.quads[simple] = converted.quads
        if converted.geometries is None and simple.all():
            return polygons
        shape = polygons.geometry_array
        shape[simple] = converted.geometry_array
        shape[~simple] = self._outlines_to_lonlat(outline[~simple])
        return PolygonArray(polygons.quads, shape)

    def limit_to_one_turn(self, outline: Any) -> Any:
        """Return an outline in px that covers each longitude once, even if the scene is wider."""
        return limit_to_one_turn(outline, self.turn_px)

    @property
    def turn_px(self) -> float:
        """Distance in px along x after which longitudes repeat; infinite for narrower scenes."""
        step = np.diff(self.geotransform.forward(np.array([0.0, 1]), np.zeros(2))[0])[0]
        return 2 * self._half_world / abs(step) if step else np.inf

    def _quads_to_polygons(self, x: Floats, y: Floats) -> PolygonArray:
        """Convert rings of four corners, (n, 4) x and y, from scene px to EPSG:4326."""
        lon, lat = self.to_lonlat(x, y)
        # Where a corner is NaN, every comparison is False.
        is_simple = (np.ptp(lon, axis=1) <= _HALF_TURN) & is_convex(lon, lat)
        is_simple &= self._are_straight(x, y, lon, lat)
        if np.isfinite(self._half_world):
            is_simple &= np.ptp(self.geotransform.forward(x, y)[0], axis=1) < self._half_world * (
                1 - _ROUNDING
            )
        if is_simple.all():
            return PolygonArray.from_corners(lon, lat)
        lon[~is_simple] = np.nan
        polygons = PolygonArray.from_corners(lon, lat)
        shape = polygons.geometry_array
        shape[~is_simple] = self._outlines_to_lonlat(
            shapely.polygons(np.stack([x[~is_simple], y[~is_simple]], axis=2))
        )
        return PolygonArray(polygons.quads, shape)

    def _are_straight(self, x: Floats, y: Floats, lon: Floats, lat: Floats) -> NDArray[np.bool_]:
        """Return which rings (n, 4) have edges that are straight in scene px and in degrees.

        Args:
            x: Positions of the corners along x in scene px, (n, 4).
            y: Positions of the corners along y in scene px, (n, 4).
            lon: Longitudes of the corners, (n, 4).
            lat: Latitudes of the corners, (n, 4).
        """
        size = _longer_side(x, y)
        straight = self._curvature * size**2 / 8 <= _MAX_BOX_DEVIATION_PX
        if isinstance(self.geotransform, AffineTransform):
            # The direction of an edge turns by at most its range of longitudes plus π times its
            # range of latitudes. The factor π is needed for the sinusoidal projection.
            turn = np.radians(np.ptp(lon, axis=1) + np.pi * np.ptp(lat, axis=1))
            straight |= turn * size / 8 <= _MAX_BOX_DEVIATION_PX
        uncertain = np.flatnonzero(~straight)
        start = np.stack([x[uncertain], y[uncertain]], axis=2)
        off = deviation(
            self.to_lonlat, start.reshape(-1, 2), np.roll(start, -1, axis=1).reshape(-1, 2)
        )
        straight[uncertain] = off.reshape(-1, 4).max(axis=1, initial=0) <= _MAX_BOX_DEVIATION_PX
        return np.asarray(straight)

    def _outlines_to_lonlat(self, outline: NDArray[np.object_]) -> NDArray[np.object_]:
        """Convert shapely objects of any number of corners, (n,), from scene px to EPSG:4326."""
        too_curved = np.zeros(len(outline), np.bool_)
        if self._curvature:
            outline, too_curved = self._add_corners(shapely.segmentize(outline, _MAX_EDGE_PX))
        corners, owner = shapely.get_coordinates(outline, return_index=True)
        lon, lat = self.to_lonlat(*corners.T)
        starts = np.searchsorted(owner, np.arange(len(outline)))
        converted = np.full(len(outline), None, object)
        if not len(starts):
            return converted
        # Where a corner is NaN, the extent is NaN, and every comparison is False.
        extent = np.maximum.reduceat(lon, starts) - np.minimum.reduceat(lon, starts)
        is_simple = (extent <= _HALF_TURN) & ~too_curved
        if np.isfinite(self._half_world):
            along, _ = self.geotransform.forward(*corners.T)
            span = np.maximum.reduceat(along, starts) - np.minimum.reduceat(along, starts)
            is_simple &= span < self._half_world * (1 - _ROUNDING)
        polygons = np.stack([lon, lat], axis=1)[is_simple[owner]]
        moved = shapely.set_coordinates(outline[is_simple].copy(), polygons)
        is_simple[is_simple] = valid = shapely.is_valid(moved)
        converted[is_simple] = shapely.orient_polygons(moved[valid])
        for i in np.flatnonzero(~is_simple):
            converted[i] = self._unusual_to_lonlat(outline[i])
        return converted

    def _add_corners(
        self, outline: NDArray[np.object_]
    ) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
        """Return outlines with corners added where edges are curved.

        Args:
            outline: Outlines in scene px, (n,) shapely Polygons and MultiPolygons.

        Returns:
            Outlines in scene px, (n,), and a mask (n,) of those that would need too many corners.
        """
        too_curved = np.zeros(len(outline), np.bool_)
        for last in (False, True):
            parts, owner = shapely.get_parts(outline, return_index=True)
            rings, part = shapely.get_rings(parts, return_index=True)
            corners, ring = shapely.get_coordinates(rings, return_index=True)
            edges = np.flatnonzero(np.diff(ring) == 0)
            length = np.hypot(*(corners[edges + 1] - corners[edges]).T)
            kept = self._curvature * length**2 / 8 > MAX_DEVIATION_PX
            edges = edges[kept]
            off = deviation(self.to_lonlat, corners[edges], corners[edges + 1])
            edge_owner = owner[part[ring[edges]]]
            most, longest = np.zeros((2, len(outline)))
            np.maximum.at(most, edge_owner, np.nan_to_num(off, nan=np.inf))
            np.maximum.at(longest, edge_owner, length[kept])
            if last:
                return outline, too_curved | (most > 2 * MAX_DEVIATION_PX)
            too_curved = most > _MAX_EDGE_PX
            some = (most > MAX_DEVIATION_PX) & ~too_curved
            edge = longest[some] * np.sqrt(MAX_DEVIATION_PX / most[some])
            outline[some] = shapely.segmentize(outline[some], np.maximum(edge, 1))
        raise AssertionError

    def _unusual_to_lonlat(self, outline: Any) -> Any:
        is_curved = self._curvature > 0
        parts = [
            polygon_to_lonlat(self.to_lonlat, part, is_curved=is_curved)
            for part in shapely.get_parts(self.limit_to_one_turn(outline))
        ]
        polygons = shapely.get_parts([part for part in parts if part is not None])
        if not len(polygons):
            return None
        return polygons[0] if len(polygons) == 1 else _union(polygons)


def _half_world(scene: ImageInfo, width: float | None) -> float:
    """Return half of the map's width, if a scene's affine transform covers at least as much.

    Infinity for other scenes.
    """
    if width is None or scene.transform is None:
        return np.inf
    span = abs(scene.transform.a) * scene.width + abs(scene.transform.b) * scene.height
    if not span <= _MAX_TURNS * width:
        raise SceneError(
            f"{scene.uri} goes around the Earth {span / width:.3g} times, so its geotransform is "
            "wrong; give it the right one with gdal_edit.py -a_ullr …"
        )
    return width / 2 if span >= width / 2 * (1 - _ROUNDING) else np.inf


def _max_curvature(to_lonlat: ToLonLat, across: Floats, down: Floats) -> float:
    """Return the largest curvature of the edges of a grid of positions in px, in 1/px."""
    grid = np.stack(np.meshgrid(across, down), axis=-1)
    edges = [(grid[:, :-1], grid[:, 1:]), (grid[:-1], grid[1:])]
    most = 0.0
    for start, end in edges:
        length = np.hypot(*(end - start).reshape(-1, 2).T)
        off = deviation(to_lonlat, start.reshape(-1, 2), end.reshape(-1, 2))
        with np.errstate(invalid="ignore"):
            most = max(most, float(np.nanmax(np.nan_to_num(8 * off / length**2))))
    return most


def _stays_straight(geotransform: Geotransform, crs: CRS, width: float | None) -> bool:
    """Return whether lines along a scene's rows and columns are straight in degrees."""
    if not isinstance(geotransform, AffineTransform):
        return False
    upright = geotransform.matrix.b == 0 and geotransform.matrix.d == 0
    return bool(crs.is_geographic or (width is not None and upright))


def _longer_side(x: Floats, y: Floats) -> Floats:
    return np.asarray(np.maximum(np.ptp(x, axis=1), np.ptp(y, axis=1)))


def _union(parts: NDArray[np.object_]) -> Any:
    """Return the union, as a MultiPolygon, of parts that may touch where they were cut."""
    return shapely.orient_polygons(
        shapely.MultiPolygon(list(shapely.get_parts(shapely.union_all(parts))))
    )


def _crs_name(crs: CRS) -> str:
    named = re.search('"([^"]*)"', crs.to_wkt())
    return named[1] if named else crs.to_string()


def _reproject_to_lonlat(crs: CRS, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return longitudes within ±180 and latitudes; both NaN for positions not on Earth."""
    lon, lat = reproject(crs, LON_LAT, x, y)
    lost = ~(np.abs(lat) <= _MAX_LATITUDE)
    lon[lost] = lat[lost] = np.nan
    beyond = np.abs(lon) > _HALF_TURN
    lon[beyond] = (lon[beyond] + 180) % 360 - 180
    return lon, np.clip(lat, -90, 90)
