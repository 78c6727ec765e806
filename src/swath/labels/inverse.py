"""Convert longitudes and latitudes to scene px, by inverting the georeferencing that runs use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath.errors import LabelsError

if TYPE_CHECKING:
    from swath._types import Floats
    from swath.raster.georeference import Georeferencer
    from swath.raster.scene_info import SceneInfo

_ROWS = 33
"""Number of rows and columns in the grid of start positions. Newton's method starts from the
nearest one."""
_STEP = 0.5
"""Distance in px to either side at which derivatives are computed."""
_ROUNDS = 30
"""Maximum number of steps of Newton's method."""
_CLOSE = 1e-4
"""Maximum length of the last step in px. The remaining error is about its square."""


class Inverse:
    """Conversion of longitudes and latitudes to scene px by Newton's method.

    It inverts `Georeferencer.to_lonlat`. A polynomial or spline that is fitted in the opposite
    direction would not be the exact inverse of the one that runs use.
    """

    def __init__(self, scene: SceneInfo, georeferencer: Georeferencer) -> None:
        self._scene, self._georeferencer = scene, georeferencer
        across, down = np.meshgrid(*np.linspace(0, [scene.width, scene.height], _ROWS).T)
        lon, lat = georeferencer.to_lonlat(across.ravel(), down.ravel())
        there = np.isfinite(lon)
        self._start = np.stack([across.ravel(), down.ravel()], axis=1)[there]
        lon, self._lat = lon[there], lat[there]
        self._first = float(lon[0])
        self._lon = self._first + _short_way(lon - self._first)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """West, south, east and north of the scene in degrees; longitudes may exceed ±180."""
        lon, lat = self._lon, self._lat
        return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())

    def pixels(self, lon_lat: Floats) -> Floats:
        """Return positions in scene px.

        Args:
            lon_lat: (n, 2) longitude and latitude in degrees.

        Returns:
            (n, 2) x and y in scene px.

        Raises:
            LabelsError: Newton's method does not converge to a pixel of a position.
        """
        found = self._nearest(lon_lat)
        left = np.arange(len(found))
        for _ in range(_ROUNDS):
            step = self._newton(found[left], lon_lat[left])
            found[left] += step
            left = left[~(np.hypot(*step.T) <= _CLOSE)]  # a NaN step counts as not converged
            if not len(left):
                return found
        lon, lat = lon_lat[left[0]]
        raise LabelsError(
            f"{self._scene.uri} has ground control points that lead to no pixel of the label's "
            f"corner at ({lon:g}, {lat:g}), like {len(left) - 1} others; clip labels to the scene "
            "(ogr2ogr -clipsrc can), or orthorectify it with gdalwarp"
        )

    def _nearest(self, lon_lat: Floats) -> Floats:
        tree = shapely.STRtree(shapely.points(self._lon, self._lat))
        lon = self._first + _short_way(lon_lat[:, 0] - self._first)
        return np.asarray(self._start[tree.nearest(shapely.points(lon, lon_lat[:, 1]))])

    def _newton(self, found: Floats, wanted: Floats) -> Floats:
        """Return a step (n, 2) of Newton's method in px.

        Args:
            found: (n, 2) current x and y in scene px.
            wanted: (n, 2) longitude and latitude of the target in degrees.
        """
        x, y = found.T
        lon, lat = self._georeferencer.to_lonlat(
            np.stack([x, x - _STEP, x + _STEP, x, x]), np.stack([y, y, y, y - _STEP, y + _STEP])
        )
        off_lon, off_lat = _short_way(wanted[:, 0] - lon[0]), wanted[:, 1] - lat[0]
        a, b = (_short_way(lon[i + 1] - lon[i]) / (2 * _STEP) for i in (1, 3))
        c, d = ((lat[i + 1] - lat[i]) / (2 * _STEP) for i in (1, 3))
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.stack([d * off_lon - b * off_lat, a * off_lat - c * off_lon], axis=1)
            return np.asarray(step / (a * d - b * c)[:, None])


def _short_way(degrees: Floats) -> Floats:
    """Return differences of longitudes wrapped to -180 to 180 degrees."""
    return np.asarray((degrees + 180) % 360 - 180)
