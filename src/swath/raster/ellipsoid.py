"""Compute areas on the WGS 84 ellipsoid, for arrays of rings at once.

The equal-area cylindrical projection of the ellipsoid maps a ring to a plane ring of the same area.
The formula of the authalic latitude is from Snyder, Map Projections: A Working Manual, USGS
Professional Paper 1395, equation 3-12. `pyproj.Geod` takes one ring at a time and 8 times as long
(4 µs for four corners), and nothing else in swath needs pyproj.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from swath._types import Floats

SEMI_MAJOR_AXIS_M = 6378137.0
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY_SQUARED = _FLATTENING * (2 - _FLATTENING)
_ECCENTRICITY = np.sqrt(_ECCENTRICITY_SQUARED)
_POLE_DEGREES = 90 - 1e-9
"""Latitude from which a corner counts as a pole, whose longitude has no meaning."""
_HALF_TURN = 180


def zone_area(latitude: Floats) -> Floats:
    """Return the areas between the equator and parallels, in m² per radian of longitude.

    Args:
        latitude: Latitudes in degrees, of any shape; areas south of the equator are negative.
    """
    sine = np.sin(np.radians(latitude))
    q = (1 - _ECCENTRICITY_SQUARED) * (
        sine / (1 - _ECCENTRICITY_SQUARED * sine**2)
        + np.arctanh(_ECCENTRICITY * sine) / _ECCENTRICITY
    )
    return np.asarray(SEMI_MAJOR_AXIS_M**2 / 2 * q)


def curvature_radii(latitude: Floats) -> tuple[Floats, Floats]:
    """Return the radii of curvature along meridians and across them, in m.

    The formulas are equations 4-19 and 4-20 of Snyder's manual.

    Args:
        latitude: Latitudes in degrees, of any shape.
    """
    flat = 1 - _ECCENTRICITY_SQUARED * np.sin(np.radians(latitude)) ** 2
    across = SEMI_MAJOR_AXIS_M / np.sqrt(flat)
    return np.asarray(across * (1 - _ECCENTRICITY_SQUARED) / flat), np.asarray(across)


EARTH_AREA_M2 = float(4 * np.pi * zone_area(np.asarray(90.0)))
"""Area of the whole ellipsoid in m²."""


def signed_ring_areas(lon: Floats, lat: Floats) -> Floats:
    """Return the areas of rings on the ellipsoid in m², positive for counter-clockwise rings.

    A ring may cross the antimeridian, go around a pole, or have a corner at one. Its edges are
    straight in the equal-area cylindrical projection. For rings of 1 km up to a latitude of 80
    degrees, that differs by less than 1e-3 from the area between geodesics.

    Args:
        lon: Longitudes of the corners in degrees, (n, corners), without the closing one; an edge
            takes the shorter direction around the Earth.
        lat: Latitudes of the corners in degrees, (n, corners).

    Returns:
        Areas, (n,); NaN for a ring with a corner that is NaN.
    """
    height = zone_area(lat)
    at_pole = np.abs(lat) >= _POLE_DEGREES
    # At a pole, the longitude jumps from that of the previous corner to that of the next.
    arriving = np.where(at_pole, np.roll(lon, 1, axis=1), lon)
    leaving = np.where(at_pole, np.roll(lon, -1, axis=1), lon)
    along_edge = _shorter_turn(np.roll(arriving, -1, axis=1) - leaving)
    at_corner = _shorter_turn(leaving - arriving)
    turn = (along_edge + at_corner).sum(axis=1)
    around_pole = np.abs(turn) > _HALF_TURN
    pole = np.copysign(zone_area(np.asarray(90.0)), lat.mean(axis=1))
    # Heights are taken from a near parallel, so that small areas keep their digits.
    base = np.where(around_pole, pole, height[:, 0])[:, None]
    height = height - base
    edge_height = (height + np.roll(height, -1, axis=1)) / 2
    degrees = (along_edge * edge_height + at_corner * height).sum(axis=1)
    return np.asarray(-np.radians(degrees))


def _shorter_turn(degrees: Floats) -> Floats:
    return np.asarray((degrees + _HALF_TURN) % 360 - _HALF_TURN)
