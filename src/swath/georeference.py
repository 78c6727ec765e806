"""From scene pixels to longitude and latitude, and back.

Positions in EPSG:4326 are (lon, lat). Corners are joined by straight lines there. Where those would
leave the true edge by a quarter of a pixel, the edge gets more corners.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from swath.errors import SceneError
from swath.geotransform import AffineTransform, Geotransform, geotransform_of
from swath.places import Places, convex, has_four_corners, rings_of, shape_of
from swath.projection import LON_LAT, reproject, without_session, world_width

if TYPE_CHECKING:
    from rasterio.crs import CRS

    from swath.scene import Placed

Floats = NDArray[np.float64]

_HIGHEST = 91
"""Degrees of latitude; a global grid may stick out over the pole by half of a large pixel."""
_CHUNK = 1 << 18
_HALF_TURN = 180
_BENT = 0.25
"""px by which a box's edge may leave the straight line between its ends: at most its length times
the difference of the longitudes there over 8, the sagitta of an arc."""
_FOLLOWED = 0.05
"""px, likewise, for edges that get more corners."""
_WARPED = 64
"""px; by ground control points, a longer edge of an outline may be bent in any way."""
_FEWEST = 3
"""Corners of a ring."""
_STEEP = 45
"""Degrees of longitude between two corners; beyond, which way round is shorter is not certain."""
_FINEST = 1e-3
"""px between two corners."""
_CHECKED = 33
"""Rows and columns of positions at which a projection is tried both ways."""
# Corners of a box as columns of (x0, y0, x1, y1), counter-clockwise on a north-up map.
_RING_X = [0, 0, 2, 2]
_RING_Y = [1, 3, 3, 1]


@dataclass(frozen=True, slots=True)
class Georeferencer:
    """The positions on Earth of a scene's pixels.

    Attributes:
        geotransform: scene px to the CRS and back.
        crs: the scene's coordinate reference system.
        width: the distance in CRS units after which longitudes repeat along x, if they do.
    """

    geotransform: Geotransform
    crs: CRS
    width: float | None
    _bends: bool
    """Whether straight edges in px may be bent in degrees."""
    _overlaps: bool
    """Whether the scene has pixels beyond the map's edge, which PROJ puts over others."""

    @classmethod
    def of(cls, scene: Placed) -> Georeferencer:
        """Make one by the scene's affine transform or, without one, its ground control points.

        Raises:
            SceneError: the scene does not say where it is, or it is nowhere on Earth.
        """
        geotransform = geotransform_of(scene)
        if scene.crs is None:
            raise SceneError(
                f"{scene.uri} has no coordinate reference system; "
                "give it its own with gdal_edit.py -a_srs EPSG:…"
            )
        width = world_width(scene.crs)
        bends = _bends(geotransform, scene.crs, width)
        made = cls(geotransform, scene.crs, width, bends, _overlaps=False)
        across, down = np.linspace(0, [scene.width, scene.height], _CHECKED).T
        lon, _ = made.points(across, down[:, None])
        if not np.isfinite(lon).any():
            raise SceneError(
                f"{scene.uri} has no pixel that its coordinate reference system, "
                f"{_name(scene.crs)}, can place in EPSG:4326: is it of another planet or a local "
                "system, or is its geotransform wrong?"
            )
        checked = cls(geotransform, scene.crs, width, bends, _overlaps=width is None)
        if (np.isnan(checked.points(across, down[:, None])[0]) & np.isfinite(lon)).any():
            return checked
        return made

    def points(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Longitudes and latitudes of positions in scene px, shaped like them.

        Positions that are nowhere on Earth, as in the corners of a geostationary image, are NaN.
        """
        xs, ys = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        lon, lat = np.empty(xs.size), np.empty(xs.size)
        with without_session():
            for start in range(0, xs.size, _CHUNK):
                part = slice(start, start + _CHUNK)
                placed = self.geotransform.forward(xs.ravel()[part], ys.ravel()[part])
                lon[part], lat[part] = _to_lon_lat(self.crs, *placed)
                if self._overlaps:
                    lost = ~self._is_there(*placed, lon[part], lat[part])
                    lon[part][lost] = lat[part][lost] = np.nan
        return lon.reshape(xs.shape), lat.reshape(xs.shape)

    def _is_there(self, x: Floats, y: Floats, lon: Floats, lat: Floats) -> NDArray[np.bool_]:
        """Tell which positions in the CRS are those that the map has for their lon and lat."""
        back_x, back_y = reproject(LON_LAT, self.crs, lon, lat)
        moved_x, moved_y = self.geotransform.backward(back_x, back_y)
        at_x, at_y = self.geotransform.backward(x, y)
        return np.asarray(np.hypot(moved_x - at_x, moved_y - at_y) < 1)

    def pixels(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in the scene's CRS as positions in scene px, exactly.

        It undoes `geotransform.forward`; positions without such px are NaN.
        """
        with without_session():
            return self.geotransform.backward(x, y)

    def polygons(self, boxes: ArrayLike) -> NDArray[np.object_]:
        """The outlines of boxes, (n, 4) x0, y0, x1, y1 in scene px.

        Returns:
            (n,) shapely Polygon in EPSG:4326, its exterior counter-clockwise; MultiPolygon where it
            is split at the antimeridian; None where no part of it is on Earth.
        """
        return self.place(boxes).polygons()

    def place(self, boxes: ArrayLike, outline: NDArray[np.object_] | None = None) -> Places:
        """Return where detections are; outlines go without what is nowhere on Earth.

        Args:
            boxes: (n, 4) x0, y0, x1, y1 in scene px.
            outline: (n,) shapely Polygons and MultiPolygons in scene px, instead of the boxes.
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

    def _place_rings(self, x: Floats, y: Floats) -> Places:
        """Place rings of four corners, (n, 4), in scene px."""
        lon, lat = self.points(x, y)
        # Where a corner is NaN, no comparison holds.
        plain = (np.ptp(lon, axis=1) <= _HALF_TURN) & convex(lon, lat)
        if self._bends:
            plain &= np.radians(np.ptp(lon, axis=1)) * _size(x, y) / 8 <= _BENT
        if plain.all():
            return Places.of_rings(lon, lat)
        lon[~plain] = np.nan
        places = Places.of_rings(lon, lat)
        shape = places.shapes
        shape[~plain] = self._place_outlines(
            shapely.polygons(np.stack([x[~plain], y[~plain]], axis=2))
        )
        return Places(places.ring, shape)

    def _place_outlines(self, outline: NDArray[np.object_]) -> NDArray[np.object_]:
        """Place shapes of any number of corners, as shapely objects."""
        size = _size(*shapely.bounds(outline).reshape(-1, 2, 2).transpose(2, 0, 1))
        lon, lat, owner, extent = self._place_corners(outline)
        if self._bends:
            # Where a corner is nowhere, or the shape goes around the Earth, every pixel may count.
            angle = np.radians(np.where(extent <= _HALF_TURN, extent, 360))
            edge = np.sqrt(8 * _FOLLOWED * size / np.maximum(angle, 1e-12))
            warped = not isinstance(self.geotransform, AffineTransform)
            edge = np.clip(edge, 1, _WARPED if warped else None)
            outline = shapely.segmentize(outline, edge)
            lon, lat, owner, extent = self._place_corners(outline)
        placed = np.full(len(outline), None, object)
        plain = extent <= _HALF_TURN
        places = np.stack([lon, lat], axis=1)[plain[owner]]
        moved = shapely.set_coordinates(outline[plain].copy(), places)
        plain[plain] = valid = shapely.is_valid(moved)
        placed[plain] = shapely.orient_polygons(moved[valid])
        for i in np.flatnonzero(~plain):
            parts = [self._place_polygon(part) for part in shapely.get_parts(outline[i])]
            found = shapely.get_parts([part for part in parts if part is not None])
            if len(found):
                placed[i] = found[0] if len(found) == 1 else _joined(found)
        return placed

    def _place_corners(
        self, outline: NDArray[np.object_]
    ) -> tuple[Floats, Floats, NDArray[np.int64], Floats]:
        """Return the corners' lon and lat, whose they are, and each outline's extent in degrees."""
        corners, owner = shapely.get_coordinates(outline, return_index=True)
        lon, lat = self.points(*corners.T)
        starts = np.searchsorted(owner, np.arange(len(outline)))
        if not len(starts):
            return lon, lat, owner, np.empty(0)
        # Of NaN both are NaN, and no comparison with NaN holds.
        extent = np.maximum.reduceat(lon, starts) - np.minimum.reduceat(lon, starts)
        return lon, lat, owner, extent

    def _place_polygon(self, polygon: Any) -> Any:
        """Place a polygon in scene px that is over a pole, the antimeridian or the Earth's edge."""
        rings = [self._place_ring(ring) for ring in rings_of(polygon)]
        if len(rings[0]) < _FEWEST:
            return None
        return shape_of([ring for ring in rings if len(ring) >= _FEWEST], self._inside(polygon))

    def _place_ring(self, ring: Floats) -> Floats:
        """Return a ring's lon and lat (corners, 2), with as many corners as it takes."""
        closed = np.concatenate([ring, ring[:1]])
        size = np.ptp(ring, axis=0).max()
        closed = shapely.get_coordinates(shapely.segmentize(shapely.LineString(closed), size / 16))
        while True:
            lon, lat = self.points(*closed.T)
            turn = np.abs((np.diff(lon) + 180) % 360 - 180)
            length = np.hypot(*np.diff(closed, axis=0).T)
            steep = np.flatnonzero((turn > _STEEP) & (length > _FINEST))
            if not len(steep):
                break
            halfway = (closed[steep] + closed[steep + 1]) / 2
            closed = np.insert(closed, steep + 1, halfway, axis=0)
        placed = np.stack([lon, lat], axis=1)[:-1]
        return placed[np.isfinite(lon[:-1])]

    def _inside(self, polygon: Any) -> tuple[float, float] | None:
        """Return lon and lat of a position inside a polygon in scene px, if one is on Earth."""
        x0, y0, x1, y1 = polygon.bounds
        across, down = np.meshgrid(*(np.linspace(a, b, 19)[1:-1] for a, b in ((x0, x1), (y0, y1))))
        grid = shapely.points(across.ravel(), down.ravel())
        within = grid[shapely.contains_properly(polygon, grid)]
        tried = np.concatenate([[polygon.representative_point()], within])
        lon, lat = self.points(*shapely.get_coordinates(tried).T)
        found = np.flatnonzero(np.isfinite(lon))
        return (float(lon[found[0]]), float(lat[found[0]])) if len(found) else None


def _bends(geotransform: Geotransform, crs: CRS, width: float | None) -> bool:
    if not isinstance(geotransform, AffineTransform):
        return True
    if crs.is_geographic:
        return False
    upright = geotransform.matrix.b == 0 and geotransform.matrix.d == 0
    return width is None or not upright


def _size(x: Floats, y: Floats) -> Floats:
    return np.maximum(np.ptp(x, axis=1), np.ptp(y, axis=1))


def _joined(parts: NDArray[np.object_]) -> Any:
    """Return a MultiPolygon of parts that may touch where they were cut."""
    return shapely.orient_polygons(
        shapely.MultiPolygon(list(shapely.get_parts(shapely.union_all(parts))))
    )


def _name(crs: CRS) -> str:
    named = re.search('"([^"]*)"', crs.to_wkt())
    return named[1] if named else crs.to_string()


def _to_lon_lat(crs: CRS, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return longitudes within ±180 and latitudes; NaN where there are none."""
    lon, lat = reproject(crs, LON_LAT, x, y)
    lost = ~(np.abs(lat) <= _HIGHEST)
    lon[lost] = lat[lost] = np.nan
    beyond = np.abs(lon) > _HALF_TURN
    lon[beyond] = (lon[beyond] + 180) % 360 - 180
    return lon, np.clip(lat, -90, 90)
