"""Compute the ground sampling distance of a scene: the geodesic length of a pixel step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from swath.errors import SceneError
from swath.raster.ellipsoid import curvature_radii
from swath.raster.georeference import Georeferencer

if TYPE_CHECKING:
    from swath.raster.scene_info import ImageInfo

_STEP_PX = 8.0
"""Distance in px from the center of a scene at which positions are compared."""


def ground_distances(scene: ImageInfo) -> tuple[float, float]:
    """Return the lengths in m on the ellipsoid of steps of 1 px along x and y at a scene's center.

    The result is right in any CRS: in Web Mercator, whose unit is 1 m at the equator only, in
    degrees and in feet. It is a difference of positions, in which the ellipsoid's radii of
    curvature are constant; for pixels below 10 km this costs less than 1e-6 of the length.

    Args:
        scene: Size of the scene, and its location on Earth.

    Raises:
        SceneError: The scene has no usable georeference, or its center is not on Earth.
    """
    x, y = scene.width / 2, scene.height / 2
    step = min(_STEP_PX, max(scene.width, scene.height) / 2)
    lon, lat = Georeferencer.from_info(scene).to_lonlat(
        np.array([x - step, x + step, x, x]), np.array([y, y, y - step, y + step])
    )
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise SceneError(
            f"{scene.uri} has a center that is not on Earth, so its ground sampling distance is "
            "unknown; use a model package without gsd, or extract the part on Earth"
        )
    across, down = (
        _length((lon[i], lat[i]), (lon[i + 1], lat[i + 1])) / (2 * step) for i in (0, 2)
    )
    return across, down


def _length(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance in m of two positions (lon, lat) that are close to each other."""
    turn = math.radians((other[0] - one[0] + 180) % 360 - 180)
    rise = math.radians(other[1] - one[1])
    latitude = (one[1] + other[1]) / 2
    meridian, normal = map(float, curvature_radii(np.asarray(latitude)))
    return math.hypot(meridian * rise, normal * math.cos(math.radians(latitude)) * turn)
