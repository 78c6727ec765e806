"""Tests of areas on the ellipsoid, against pyproj's geodesics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from swath.raster.ellipsoid import EARTH_AREA_M2, signed_ring_areas, zone_area

GEOD = Geod(ellps="WGS84")
FULL_TURN = 2 * math.pi


def area(*corners):
    """Return the signed area of one ring of (lon, lat)."""
    lon, lat = np.array(corners, np.float64).T
    return float(signed_ring_areas(lon[None], lat[None])[0])


def box(lon, lat, width, height):
    return [(lon, lat), (lon + width, lat), (lon + width, lat + height), (lon, lat + height)]


@given(st.floats(-360, 360), st.floats(-80, 80), st.floats(1e-5, 0.01), st.floats(0, FULL_TURN))
def test_small_rings_have_the_area_between_geodesics(lon, lat, size, turn):
    angles = turn + np.array([0, 1.5, 3, 4.5])
    x = lon + size * np.cos(angles) / math.cos(math.radians(lat))
    y = lat + size * np.sin(angles)
    expected, _ = GEOD.polygon_area_perimeter(x, y)
    assert float(signed_ring_areas(x[None], y[None])[0]) == pytest.approx(
        expected, rel=1e-3, abs=1e-4
    )


def test_a_parallel_bounds_the_area_around_a_pole():
    for latitude in (80.0, -80.0):
        ring = [(lon, latitude) for lon in range(0, 360, 2)]
        cap = FULL_TURN * float(zone_area(np.array(90.0)) - zone_area(np.array(80.0)))
        expected = math.copysign(cap, latitude)
        assert area(*ring) == pytest.approx(expected, rel=1e-12)


def test_a_ring_with_a_corner_at_a_pole_is_a_triangle():
    quarter = area((0, 60), (90, 60), (17, 90))
    cap = FULL_TURN * float(zone_area(np.array(90.0)) - zone_area(np.array(60.0)))
    assert quarter == pytest.approx(cap / 4, rel=1e-12)


def test_the_antimeridian_does_not_matter():
    assert area(*box(179.5, 10, 1, 1)) == pytest.approx(area(*box(20, 10, 1, 1)), rel=1e-9)
    across = area((179.5, 10), (-179.5, 10), (-179.5, 11), (179.5, 11))
    assert across == pytest.approx(area(*box(20, 10, 1, 1)), rel=1e-9)


def test_zones_add_up_to_the_earth():
    zones = [
        area(*box(lon, lat, 90, 30)) for lon in range(0, 360, 90) for lat in range(-90, 90, 30)
    ]
    assert sum(zones) == pytest.approx(EARTH_AREA_M2, rel=1e-12)
    assert pytest.approx(EARTH_AREA_M2, rel=1e-9) == 510065621724088.44


def test_a_clockwise_ring_has_a_negative_area():
    assert area(*box(5, 50, 1, 1)) > 0
    assert area(*box(5, 50, 1, 1)[::-1]) < 0


def test_a_ring_that_is_partly_not_on_earth_has_no_area():
    assert math.isnan(area((0, 0), (1, 0), (math.nan, math.nan)))
