"""Positions from one coordinate reference system to another.

Axes are in the order of rasterio: x or longitude first.
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

FARTHEST = 1e9
"""CRS units; no position on Earth is farther from an origin, and PROJ may loop for ever beyond."""


def without_session() -> Env:
    """Return an environment for rasterio's arithmetic, which else starts a boto3 session a call."""
    return Env(session=DummySession())


def reproject(source: CRS, target: CRS, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return positions (n,) of one system in another; NaN those that it cannot hold."""
    new_x, new_y = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    parts = [np.flatnonzero((np.abs(x) <= FARTHEST) & (np.abs(y) <= FARTHEST))]
    while parts:
        part = parts.pop()
        try:
            new_x[part], new_y[part] = transform(source, target, x[part], y[part])
        except CPLE_NotSupportedError:  # there is no way from the one system to the other
            break
        except (CPLE_BaseError, RasterioError):
            # One position outside the projection's domain makes GDAL give up all of them.
            if len(part) > 1:
                parts += np.array_split(part, 2)
    lost = ~(np.isfinite(new_x) & np.isfinite(new_y))
    new_x[lost] = new_y[lost] = np.nan
    return new_x, new_y


@lru_cache(maxsize=256)
def world_width(crs: CRS) -> float | None:
    """Return the distance along x after which longitudes repeat, in CRS units.

    Returns:
        None where they do not: a system that is neither geographic nor a cylindrical projection.
    """
    if crs.is_geographic:
        return 2 * math.pi / float(crs.units_factor[1])
    # Two stretches of longitude: the map may be cut within one of them.
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
