"""Tests of the choice of a grid: the finest band, or the package's ground sampling distance."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from swath.errors import SceneError
from swath.raster.assets.grid import MAX_GSD_RATIO, choose_grid, finest_band
from swath.raster.assets.stack import BandNeeds
from tests.helpers.warping import image

X, Y = 500_000, 5_000_000
"""A position on the central meridian of UTM 33, where 10 m of the map are 10.004 m."""


def band(size, width=600, height=None, uri="b.tif"):
    rows = size if height is None else height
    return image(width, width, Affine(size, 0, X, 0, -rows, Y), uri=uri)


def needs(gsd=None, tolerance=0.1):
    return BandNeeds(("a",), gsd=gsd, gsd_tolerance=tolerance)


def test_the_finest_band_and_the_first_of_equals():
    assert finest_band([band(60), band(10), band(10), band(20)]) == 1
    assert finest_band([band(10, height=30), band(15)]) == 1
    assert finest_band([band(10 + 1e-9), band(10)]) == 0


@pytest.mark.parametrize("gsd", [None, 10, 9.2, 11])
def test_a_scene_within_the_tolerance_keeps_its_pixels(gsd):
    chosen = choose_grid([band(20), band(10)], needs(gsd))
    assert chosen.scale == (1, 1)
    assert chosen.reference == 1
    assert chosen.image == band(10)


@pytest.mark.parametrize(
    ("gsd", "scale", "width"),
    [(20, 2, 300), (30, 3, 200), (5, 0.5, 1200), (2.5, 0.25, 2400), (15, 1.5, 400)],
)
def test_another_resolution(gsd, scale, width):
    chosen = choose_grid([band(10)], needs(gsd))
    assert chosen.scale == pytest.approx((scale, scale), rel=1e-12)
    assert (chosen.image.width, chosen.image.height) == (width, width)
    assert chosen.image.transform[:6] == pytest.approx((10 * scale, 0, X, 0, -10 * scale, Y))


@given(own=st.floats(0.3, 100), ratio=st.floats(1.01 / MAX_GSD_RATIO, 0.99 * MAX_GSD_RATIO))
def test_pixels_come_within_a_hundredth_of_the_wanted_size(own, ratio):
    gsd = own * ratio * 0.9999
    chosen = choose_grid([band(own, 200)], needs(gsd, tolerance=0.02))
    size = own * chosen.scale[0] * 1.0004
    assert abs(size / gsd - 1) < (0.0201 if chosen.scale == (1, 1) else 0.011)
    # The grid covers the scene up to half a pixel.
    assert abs(chosen.image.width * chosen.scale[0] - 200) <= chosen.scale[0] / 2 + 1e-9


def test_pixels_that_are_not_square_become_square():
    chosen = choose_grid([band(10, height=20)], needs(20))
    assert chosen.scale == pytest.approx((2, 1))
    assert (chosen.image.width, chosen.image.height) == (300, 600)


@pytest.mark.parametrize("gsd", [0.5, 200])
def test_a_resolution_far_off_is_refused(gsd):
    with pytest.raises(SceneError, match=r"b\.tif has pixels of 10 x 10 m .* expects .*16: use"):
        choose_grid([band(10)], needs(gsd))


def test_ground_control_points_move_with_the_pixels():
    gcps = tuple(
        GroundControlPoint(row=row, col=col, x=X + 10 * col, y=Y - 10 * row, z=0)
        for row in (0, 300, 600)
        for col in (0, 300, 600)
    )
    scene = replace(band(10), transform=None, gcps=gcps)
    chosen = choose_grid([scene], needs(20))
    assert chosen.scale == (2, 2)
    assert [(gcp.row, gcp.col) for gcp in chosen.image.gcps][-1] == (300, 300)
    assert choose_grid([scene], needs(10)).image.gcps == gcps
