"""Convert positions from one coordinate reference system to another.

Axes are in rasterio's order: x or longitude first.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from rasterio._err import CPLE_BaseError, CPLE_NotSupportedError
from rasterio.crs import CRS
from rasterio.env import Env
from rasterio.errors import RasterioError
from rasterio.session import DummySession
from rasterio.warp import transform

if TYPE_CHECKING:
    from swath._types import Floats

LON_LAT = CRS.from_epsg(4326)

MAX_COORDINATE = 1e9
"""Largest coordinate in CRS units; no position on Earth has a larger one.

Beyond it PROJ may loop forever.
"""


def without_session() -> Env:
    """Return an environment in which rasterio's functions do not start a boto3 session per call."""
    return Env(session=DummySession())


def reproject(source: CRS, target: CRS, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Convert positions from the source system to the target system.

    Args:
        source: Coordinate reference system of the positions.
        target: Coordinate reference system of the result.
        x: Coordinates along x, or longitudes, (n,).
        y: Coordinates along y, or latitudes, (n,).

    Returns:
        x and y in the target system, (n,) each; both NaN for positions without coordinates in it.
    """
    new_x, new_y = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    parts = [np.flatnonzero((np.abs(x) <= MAX_COORDINATE) & (np.abs(y) <= MAX_COORDINATE))]
    while parts:
        part = parts.pop()
        try:
            new_x[part], new_y[part] = transform(source, target, x[part], y[part])
        except CPLE_NotSupportedError:  # PROJ has no transformation between the two systems
            break
        except (CPLE_BaseError, RasterioError):
            # A single position outside the projection's domain makes GDAL fail for all of them.
            if len(part) > 1:
                parts += np.array_split(part, 2)
    failed = ~(np.isfinite(new_x) & np.isfinite(new_y))
    new_x[failed] = new_y[failed] = np.nan
    return new_x, new_y


@lru_cache(maxsize=256)
def world_width(crs: CRS) -> float | None:
    """Return the width of the whole world along x, in CRS units.

    Returns:
        Distance along x after which longitudes repeat. None where they do not repeat: in systems
        that are neither geographic nor cylindrical projections.
    """
    if crs.is_geographic:
        return 2 * math.pi / float(crs.units_factor[1])
    # Two ranges of longitude are tried, as the map may be cut within one of them.
    for first in (0.0, 100.0):
        lon, lat = np.meshgrid([first, first + 1, first + 2], [0.0, 50.0])
        x, y = (
            part.reshape(lon.shape) for part in reproject(LON_LAT, crs, lon.ravel(), lat.ravel())
        )
        steps = np.diff(x, axis=1)
        width = 360 * float(steps[0, 0])
        if (
            width > 0
            and np.allclose(steps, steps[0, 0])
            and np.ptp(y, axis=1).max() < abs(width) * 1e-9
        ):
            return width
    return None
