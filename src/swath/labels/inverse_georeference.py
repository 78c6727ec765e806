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

_GRID_SIZE = 33
"""Number of rows, and of columns, in the grid of start positions. Newton's method starts from the
nearest position."""
_DERIVATIVE_STEP_PX = 0.5
"""Distance in px from a position to each of the two points of a central difference."""
_MAX_STEPS = 30
"""Maximum number of steps of Newton's method."""
_MAX_LAST_STEP_PX = 1e-4
"""Maximum length of the last step in px. The remaining error is about its square."""


class InverseGeoreference:
    """Conversion of longitudes and latitudes to scene px by Newton's method.

    It inverts `Georeferencer.to_lonlat`. A polynomial or spline that is fitted in the opposite
    direction would not be the exact inverse of the one that runs use.
    """

    def __init__(self, scene: SceneInfo, georeferencer: Georeferencer) -> None:
        self._scene, self._georeferencer = scene, georeferencer
        across, down = np.meshgrid(*np.linspace(0, [scene.width, scene.height], _GRID_SIZE).T)
        lon, lat = georeferencer.to_lonlat(across.ravel(), down.ravel())
        on_earth = np.isfinite(lon)
        self._start = np.stack([across.ravel(), down.ravel()], axis=1)[on_earth]
        lon, self._lat = lon[on_earth], lat[on_earth]
        self._first = float(lon[0])
        self._lon = self._first + _wrap_difference(lon - self._first)

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
            LabelsError: Newton's method does not converge for a position.
        """
        positions = self._nearest(lon_lat)
        remaining = np.arange(len(positions))
        for _ in range(_MAX_STEPS):
            step = self._newton(positions[remaining], lon_lat[remaining])
            positions[remaining] += step
            remaining = remaining[
                ~(np.hypot(*step.T) <= _MAX_LAST_STEP_PX)
            ]  # a NaN step counts as not converged
            if not len(remaining):
                return positions
        lon, lat = lon_lat[remaining[0]]
        raise LabelsError(
            f"{self._scene.uri} has ground control points that give no pixel for the corner "
            f"({lon:g}, {lat:g}) of a label (such corners: {len(remaining)}); clip the labels to "
            "the scene (ogr2ogr -clipsrc can), or orthorectify the scene with gdalwarp"
        )

    def _nearest(self, lon_lat: Floats) -> Floats:
        tree = shapely.STRtree(shapely.points(self._lon, self._lat))
        lon = self._first + _wrap_difference(lon_lat[:, 0] - self._first)
        return np.asarray(self._start[tree.nearest(shapely.points(lon, lon_lat[:, 1]))])

    def _newton(self, positions: Floats, wanted: Floats) -> Floats:
        """Return the next step of Newton's method for each position: (n, 2) x and y in px.

        Args:
            positions: (n, 2) current x and y in scene px.
            wanted: (n, 2) longitude and latitude of the target in degrees.
        """
        (x, y), step_px = positions.T, _DERIVATIVE_STEP_PX
        lon, lat = self._georeferencer.to_lonlat(
            np.stack([x, x - step_px, x + step_px, x, x]),
            np.stack([y, y, y, y - step_px, y + step_px]),
        )
        off_lon, off_lat = _wrap_difference(wanted[:, 0] - lon[0]), wanted[:, 1] - lat[0]
        a, b = (_wrap_difference(lon[i + 1] - lon[i]) / (2 * step_px) for i in (1, 3))
        c, d = ((lat[i + 1] - lat[i]) / (2 * step_px) for i in (1, 3))
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.stack([d * off_lon - b * off_lat, a * off_lat - c * off_lon], axis=1)
            return np.asarray(step / (a * d - b * c)[:, None])


def _wrap_difference(degrees: Floats) -> Floats:
    """Return differences of longitudes wrapped to -180 to 180 degrees."""
    return np.asarray((degrees + 180) % 360 - 180)
