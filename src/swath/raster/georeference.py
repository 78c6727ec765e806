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
from swath.raster.geotransform import AffineTransform, Geotransform, geotransform_of
from swath.raster.polygons import Places, convex, has_four_corners
from swath.raster.projection import LON_LAT, reproject, without_session, world_width
from swath.raster.unusual_polygons import FOLLOWED, cut_at, deviation, place_polygon

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from rasterio.crs import CRS

    from swath._types import Floats
    from swath.raster.scene_info import Placed
    from swath.raster.unusual_polygons import Points

_HIGHEST = 91
"""Largest latitude in degrees; a global grid may exceed a pole by half of a large pixel."""
_MAX_TURNS = 10
"""Largest number of turns of a scene around the Earth; a header that states more is damaged."""
_OFF = 0.02
"""Largest distance in px between a position and the result of converting it there and back.

At a pole, a whole map may be less than 1 px wide.
"""
_CHUNK = 1 << 18
"""Number of positions that are converted at once."""
_HALF_TURN = 180
_BENT = 0.25
"""Largest distance in px of a box's edge from the straight line in degrees between its ends."""
_LONGEST = 64
"""Length in px above which edges of outlines are cut before their curvature is measured.

A longer edge may be curved in any way, for example by ground control points.
"""
_TINY = 1e-9
"""Rounding error, as a share of the map's width."""
_CHECKED = 33
"""Number of rows and of columns of the positions at which a georeference is checked."""
# Corners of a box as columns of (x0, y0, x1, y1), counter-clockwise on a north-up map.
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
    """Largest curvature in degrees, in 1/px, of straight edges in px; 0 if all stay straight."""
    _pixel: float = np.inf
    """Size of a pixel in CRS units, if the scene has pixels beyond the map's edge.

    PROJ maps such pixels onto others. Infinite for other scenes, whose pixels need no check.
    """
    _half: float = np.inf
    """Half of the world's width along x, in CRS units, if the scene covers at least as much.

    The ends of a wider shape are closer to each other in the other direction around the Earth.
    Infinite for narrower scenes.
    """

    @classmethod
    def of(cls, scene: Placed) -> Georeferencer:
        """Create the conversion from a scene's affine transform or its ground control points.

        The points are used only where the scene has no affine transform.

        Raises:
            SceneError: The scene has no usable georeference, or no pixel of it is on Earth.
        """
        geotransform = geotransform_of(scene)
        if scene.crs is None:
            raise SceneError(
                f"{scene.uri} has no coordinate reference system; "
                "give it its own with gdal_edit.py -a_srs EPSG:…"
            )
        if scene.crs.to_wkt().startswith("GEOCCS"):
            raise SceneError(
                f"{scene.uri} counts from the Earth's centre ({_name(scene.crs)}), so its pixels "
                "are on no map; give it its own system with gdal_edit.py -a_srs EPSG:…"
            )
        width = world_width(scene.crs)
        made = cls(geotransform, scene.crs, _curvature=0, _half=_half(scene, width))
        across, down = np.linspace(0, [scene.width, scene.height], _CHECKED).T
        lon, _ = made.points(across, down[:, None])
        if not np.isfinite(lon).any():
            raise SceneError(
                f"{scene.uri} has no pixel that its coordinate reference system, "
                f"{_name(scene.crs)}, can place in EPSG:4326: is it of another planet or a local "
                "system, or is its geotransform wrong?"
            )
        if width is None and isinstance(geotransform, AffineTransform):
            checked = replace(made, _pixel=math.sqrt(abs(geotransform.matrix.determinant)))
            if (np.isnan(checked.points(across, down[:, None])[0]) & np.isfinite(lon)).any():
                made = checked
        if _stays_straight(geotransform, scene.crs, width):
            return made
        return replace(made, _curvature=_measure(made.points, across[::2], down[::2]))

    def points(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
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
            for start in range(0, xs.size, _CHUNK):
                part = slice(start, start + _CHUNK)
                placed = self.geotransform.forward(xs.ravel()[part], ys.ravel()[part])
                lon[part], lat[part] = _to_lon_lat(self.crs, *placed)
                if np.isfinite(self._pixel):
                    lost = ~self._is_there(*placed, lon[part], lat[part])
                    lon[part][lost] = lat[part][lost] = np.nan
        return lon.reshape(xs.shape), lat.reshape(xs.shape)

    def _is_there(self, x: Floats, y: Floats, lon: Floats, lat: Floats) -> NDArray[np.bool_]:
        """Return which positions in the CRS are recovered when lon and lat are converted back."""
        back_x, back_y = reproject(LON_LAT, self.crs, lon, lat)
        return np.asarray(np.hypot(back_x - x, back_y - y) < _OFF * self._pixel)

    def polygons(self, boxes: ArrayLike) -> NDArray[np.object_]:
        """Return the outlines of boxes on Earth.

        Args:
            boxes: Boxes (n, 4) x0, y0, x1, y1 in scene px.

        Returns:
            shapely Polygons in EPSG:4326, (n,), with counter-clockwise exteriors. MultiPolygon
            where the outline is split at the antimeridian; None where no part is on Earth.
        """
        return self.place(boxes).polygons()

    def place(self, boxes: ArrayLike, outline: NDArray[np.object_] | None = None) -> Places:
        """Return the polygons of detections on Earth, without the parts that are not on Earth.

        Args:
            boxes: Boxes (n, 4) x0, y0, x1, y1 in scene px.
            outline: Outlines that replace the boxes: shapely Polygons and MultiPolygons in scene
                px, (n,).
        """
        if outline is None:
            corners = np.asarray(boxes, np.float64).reshape(-1, 4)
            return self._place_rings(corners[:, _RING_X], corners[:, _RING_Y])
        simple = has_four_corners(outline)
        rings = shapely.get_coordinates(outline[simple]).reshape(-1, 5, 2)[:, :4]
        placed = self._place_rings(rings[..., 0], rings[..., 1])
        places = Places.nowhere(len(outline))
        places.ring[simple] = placed.ring
        if placed.shape is None and simple.all():
            return places
        shape = places.shapes
        shape[simple] = placed.shapes
        shape[~simple] = self._place_outlines(outline[~simple])
        return Places(places.ring, shape)

    def once_around(self, outline: Any) -> Any:
        """Return an outline in px that covers each longitude once, even if the scene is wider."""
        step = np.diff(self.geotransform.forward(np.array([0.0, 1]), np.zeros(2))[0])[0]
        return cut_at(outline, 2 * self._half / abs(step) if step else np.inf)

    def _place_rings(self, x: Floats, y: Floats) -> Places:
        """Convert rings of four corners, (n, 4) x and y, from scene px to EPSG:4326."""
        lon, lat = self.points(x, y)
        # Where a corner is NaN, every comparison is False.
        plain = (np.ptp(lon, axis=1) <= _HALF_TURN) & convex(lon, lat)
        plain &= self._are_straight(x, y, lon, lat)
        if np.isfinite(self._half):
            plain &= np.ptp(self.geotransform.forward(x, y)[0], axis=1) < self._half * (1 - _TINY)
        if plain.all():
            return Places.of_rings(lon, lat)
        lon[~plain] = np.nan
        places = Places.of_rings(lon, lat)
        shape = places.shapes
        shape[~plain] = self._place_outlines(
            shapely.polygons(np.stack([x[~plain], y[~plain]], axis=2))
        )
        return Places(places.ring, shape)

    def _are_straight(self, x: Floats, y: Floats, lon: Floats, lat: Floats) -> NDArray[np.bool_]:
        """Return which rings (n, 4) have edges that are straight in scene px and in degrees.

        Args:
            x: Positions of the corners along x in scene px, (n, 4).
            y: Positions of the corners along y in scene px, (n, 4).
            lon: Longitudes of the corners, (n, 4).
            lat: Latitudes of the corners, (n, 4).
        """
        size = _size(x, y)
        straight = self._curvature * size**2 / 8 <= _BENT
        if isinstance(self.geotransform, AffineTransform):
            # In a projection, the direction of an edge turns by at most the angle that the edge
            # covers on the Earth. In one as slanting as the sinusoidal projection, it turns by up
            # to half a circle.
            turn = np.radians(np.ptp(lon, axis=1) + np.pi * np.ptp(lat, axis=1))
            straight |= turn * size / 8 <= _BENT
        asked = np.flatnonzero(~straight)
        start = np.stack([x[asked], y[asked]], axis=2)
        off = deviation(
            self.points, start.reshape(-1, 2), np.roll(start, -1, axis=1).reshape(-1, 2)
        )
        straight[asked] = off.reshape(-1, 4).max(axis=1, initial=0) <= _BENT
        return np.asarray(straight)

    def _place_outlines(self, outline: NDArray[np.object_]) -> NDArray[np.object_]:
        """Convert shapely objects of any number of corners, (n,), from scene px to EPSG:4326."""
        bent = np.zeros(len(outline), np.bool_)
        if self._curvature:
            outline, bent = self._followed(shapely.segmentize(outline, _LONGEST))
        corners, owner = shapely.get_coordinates(outline, return_index=True)
        lon, lat = self.points(*corners.T)
        starts = np.searchsorted(owner, np.arange(len(outline)))
        placed = np.full(len(outline), None, object)
        if not len(starts):
            return placed
        # Where a corner is NaN, the extent is NaN, and every comparison is False.
        extent = np.maximum.reduceat(lon, starts) - np.minimum.reduceat(lon, starts)
        plain = (extent <= _HALF_TURN) & ~bent
        if np.isfinite(self._half):
            along, _ = self.geotransform.forward(*corners.T)
            span = np.maximum.reduceat(along, starts) - np.minimum.reduceat(along, starts)
            plain &= span < self._half * (1 - _TINY)
        places = np.stack([lon, lat], axis=1)[plain[owner]]
        moved = shapely.set_coordinates(outline[plain].copy(), places)
        plain[plain] = valid = shapely.is_valid(moved)
        placed[plain] = shapely.orient_polygons(moved[valid])
        for i in np.flatnonzero(~plain):
            placed[i] = self._place_unusual(outline[i])
        return placed

    def _followed(
        self, outline: NDArray[np.object_]
    ) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
        """Return outlines with corners added where edges are curved.

        Args:
            outline: Outlines in scene px, (n,) shapely Polygons and MultiPolygons.

        Returns:
            Outlines in scene px, (n,), and a mask (n,) of those that would need too many corners.
        """
        bent = np.zeros(len(outline), np.bool_)
        for last in (False, True):
            parts, owner = shapely.get_parts(outline, return_index=True)
            rings, part = shapely.get_rings(parts, return_index=True)
            corners, ring = shapely.get_coordinates(rings, return_index=True)
            edges = np.flatnonzero(np.diff(ring) == 0)
            length = np.hypot(*(corners[edges + 1] - corners[edges]).T)
            kept = self._curvature * length**2 / 8 > FOLLOWED
            edges = edges[kept]
            off = deviation(self.points, corners[edges], corners[edges + 1])
            whose = owner[part[ring[edges]]]
            most, longest = np.zeros((2, len(outline)))
            np.maximum.at(most, whose, np.nan_to_num(off, nan=np.inf))
            np.maximum.at(longest, whose, length[kept])
            if last:
                return outline, bent | (most > 2 * FOLLOWED)
            bent = most > _LONGEST
            some = (most > FOLLOWED) & ~bent
            edge = longest[some] * np.sqrt(FOLLOWED / most[some])
            outline[some] = shapely.segmentize(outline[some], np.maximum(edge, 1))
        raise AssertionError

    def _place_unusual(self, outline: Any) -> Any:
        bends = self._curvature > 0
        parts = [
            place_polygon(self.points, part, bends=bends)
            for part in shapely.get_parts(self.once_around(outline))
        ]
        found = shapely.get_parts([part for part in parts if part is not None])
        if not len(found):
            return None
        return found[0] if len(found) == 1 else _joined(found)


def _half(scene: Placed, width: float | None) -> float:
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
    return width / 2 if span >= width / 2 * (1 - _TINY) else np.inf


def _measure(points: Points, across: Floats, down: Floats) -> float:
    """Return the largest curvature of the edges of a grid of positions in px, in 1/px."""
    grid = np.stack(np.meshgrid(across, down), axis=-1)
    edges = [(grid[:, :-1], grid[:, 1:]), (grid[:-1], grid[1:])]
    most = 0.0
    for start, end in edges:
        length = np.hypot(*(end - start).reshape(-1, 2).T)
        off = deviation(points, start.reshape(-1, 2), end.reshape(-1, 2))
        with np.errstate(invalid="ignore"):
            most = max(most, float(np.nanmax(np.nan_to_num(8 * off / length**2))))
    return most


def _stays_straight(geotransform: Geotransform, crs: CRS, width: float | None) -> bool:
    """Return whether lines along a scene's rows and columns are straight in degrees."""
    if not isinstance(geotransform, AffineTransform):
        return False
    upright = geotransform.matrix.b == 0 and geotransform.matrix.d == 0
    return bool(crs.is_geographic or (width is not None and upright))


def _size(x: Floats, y: Floats) -> Floats:
    return np.asarray(np.maximum(np.ptp(x, axis=1), np.ptp(y, axis=1)))


def _joined(parts: NDArray[np.object_]) -> Any:
    """Return the union, as a MultiPolygon, of parts that may touch where they were cut."""
    return shapely.orient_polygons(
        shapely.MultiPolygon(list(shapely.get_parts(shapely.union_all(parts))))
    )


def _name(crs: CRS) -> str:
    named = re.search('"([^"]*)"', crs.to_wkt())
    return named[1] if named else crs.to_string()


def _to_lon_lat(crs: CRS, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return longitudes within ±180 and latitudes; both NaN for positions not on Earth."""
    lon, lat = reproject(crs, LON_LAT, x, y)
    lost = ~(np.abs(lat) <= _HIGHEST)
    lon[lost] = lat[lost] = np.nan
    beyond = np.abs(lon) > _HALF_TURN
    lon[beyond] = (lon[beyond] + 180) % 360 - 180
    return lon, np.clip(lat, -90, 90)
