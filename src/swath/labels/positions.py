"""From map coordinates to scene pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from rasterio._err import CPLE_BaseError, CPLE_NotSupportedError
from rasterio.env import Env
from rasterio.errors import RasterioError
from rasterio.session import DummySession
from rasterio.warp import transform

from swath.errors import LabelsError
from swath.georeference import Georeferencer
from swath.labels.inverse import Inverse
from swath.projection import LON_LAT

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS

    from swath.scene import Scene

_DECIMALS = 6
"""Of a pixel; what reprojection and back leaves uncertain is less."""
_HALF_TURN = 180
_MARGIN = 0.25
"""Around a scene by ground control points, in its extent; beyond, they mean nothing."""


def moved(
    shapes: NDArray[Any], source: CRS, target: CRS, *, around: float | None = None
) -> NDArray[Any]:
    """Shapes in another coordinate reference system; what has no place there is at infinity.

    Args:
        shapes: (n,) shapely objects.
        source: their system.
        target: the other.
        around: a longitude; those of the result are within half a turn of it.
    """
    if not len(shapes) or (source == target and around is None):
        return shapes.copy()

    def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
        # rasterio's arithmetic would else start a boto3 session for each call.
        with Env(session=DummySession()):
            x, y = _reprojected(points, source, target).T
        return np.stack([x if around is None else _turned(x, around), y], axis=1)

    return np.asarray(shapely.transform(shapes, place))


def _reprojected(points: NDArray[np.float64], source: CRS, target: CRS) -> NDArray[np.float64]:
    """Points (n, 2) in another system; those that it cannot hold are at infinity."""
    placed = np.full(points.shape, np.inf)
    parts = [np.arange(len(points))]
    while parts:
        part = parts.pop()
        try:
            placed[part] = np.transpose(transform(source, target, *points[part].T))
        except CPLE_NotSupportedError:  # no way leads from the one system to the other
            break
        except (CPLE_BaseError, RasterioError):
            # One position outside the projection's domain makes GDAL give up all of them.
            if len(part) > 1:
                parts += np.array_split(part, 2)
    return placed


def _turned(longitude: NDArray[np.float64], around: float) -> NDArray[np.float64]:
    return np.asarray((longitude - around + 180) % 360 - 180 + around)


@dataclass(frozen=True, slots=True)
class Footprint:
    """Where a scene lies, and its pixels there.

    Its `crs` is the scene's own or, where ground control points place it, that of lon and lat.
    """

    scene: Scene
    crs: CRS
    _inverse: Affine | Inverse
    """CRS to pixels."""

    @classmethod
    def of(cls, scene: Scene) -> Footprint:
        """By the header of the scene.

        Raises:
            LabelsError: it does not say where the scene is.
            SceneError: a run cannot use its ground control points either.
        """
        if scene.crs is None or (scene.transform is None and not scene.gcps):
            raise LabelsError(
                f"{scene.uri} does not say where it is, so labels in map coordinates cannot be "
                "placed in it; georeference it (gdal_edit.py can), or give its labels in px as COCO"
            )
        if scene.transform is None:
            return cls(scene, LON_LAT, Inverse(scene, Georeferencer.of(scene)))
        if scene.transform.determinant == 0:
            raise LabelsError(f"{scene.uri} has a geotransform without area; georeference it anew")
        return cls(scene, scene.crs, ~scene.transform)

    @property
    def shape(self) -> Any:
        """A polygon around the scene, in its coordinate reference system."""
        if isinstance(self._inverse, Inverse):
            west, south, east, north = self._inverse.extent
            margins = _MARGIN * (east - west), _MARGIN * (north - south)
            return shapely.box(
                west - margins[0], south - margins[1], east + margins[0], north + margins[1]
            )
        width, height = self.scene.width, self.scene.height
        place = ~self._inverse
        corners = [(0, 0), (width, 0), (width, height), (0, height)]
        return shapely.Polygon([place @ corner for corner in corners])

    @property
    def around(self) -> float | None:
        """The longitude of the middle of a scene across the antimeridian; None of others."""
        west, _, east, _ = self.shape.bounds
        across = self.crs.is_geographic and (west < -_HALF_TURN or east > _HALF_TURN)
        return (west + east) / 2 if across else None

    def place(self, shapes: NDArray[Any], source: CRS) -> NDArray[Any]:
        """Shapes in another coordinate reference system as shapes in the scene's pixels."""
        return self.pixels(moved(shapes, source, self.crs, around=self.around))

    def pixels(self, shapes: NDArray[Any]) -> NDArray[Any]:
        """Shapes in the scene's coordinate reference system as shapes in its pixels."""
        if not len(shapes):
            return shapes
        return np.asarray(shapely.transform(shapes, self._place))

    def _place(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        if isinstance(self._inverse, Inverse):
            return np.round(self._inverse.pixels(points), _DECIMALS)
        a, b, c, d, e, f = self._inverse[:6]
        x, y = points.T
        return np.round(np.stack([a * x + b * y + c, d * x + e * y + f], axis=1), _DECIMALS)
