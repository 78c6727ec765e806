"""Tests of alignment: exact positions in asset px, and what cannot be aligned."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine

from swath.errors import SceneError
from swath.raster.assets.alignment import Axis, align
from tests.helpers.warping import image

GRID = image(1098, 1098, Affine(10, 0, 499_980, 0, -10, 4_200_000), uri="grid.tif")


@pytest.mark.parametrize(
    ("size", "x", "y", "scale", "offset", "period"),
    [
        (10, 0, 0, 1, (0, 0), (1, 1)),
        (20, 0, 0, 0.5, (0, 0), (2, 1)),
        (60, -60, 120, 1 / 6, (1, 2), (6, 1)),
        (15, 7.5, 0, 2 / 3, (-0.5, 0), (3, 2)),
        (5, 0, -5, 2, (0, -1), (1, 2)),
    ],
)
def test_bands_of_other_resolutions_and_origins(size, x, y, scale, offset, period):
    transform = Affine(size, 0, 499_980 + x, 0, -size, 4_200_000 + y)
    aligned = align(image(500, 500, transform), GRID)
    assert (aligned.x.scale, aligned.x.period) == (scale, period)
    assert (aligned.x.offset, aligned.y.offset) == offset
    assert aligned.coincides == (scale == 1)


def test_the_rounding_of_headers_is_no_shift():
    noisy = Affine(20 + 1e-9, 0, 499_980 + 1e-7, 0, -20 - 1e-9, 4_200_000 - 1e-7)
    aligned = align(image(549, 549, noisy), GRID)
    assert aligned.x == Axis(0.5, 0.0, 549, (2, 1))


def test_degrees():
    step = 1 / 3600 / 3
    grid = image(3601, 3601, Affine(step, 0, 7.0, 0, -step, 47.0), CRS.from_epsg(4326))
    coarse = image(1200, 1200, Affine(step * 3, 0, 7.0, 0, -step * 3, 47.0), CRS.from_epsg(4326))
    assert align(coarse, grid).x == Axis(1 / 3, 0.0, 1200, (3, 1))


@given(
    scale=st.sampled_from([1.0, 0.5, 2.0, 1 / 6, 0.7364829]),
    offset=st.floats(-500, 500),
    start=st.integers(-1000, 1000),
    skip=st.integers(0, 20),
)
def test_a_position_does_not_depend_on_the_start(scale, offset, start, skip):
    period = {1.0: (1, 1), 0.5: (2, 1), 2.0: (1, 2), 1 / 6: (6, 1)}.get(scale, (0, 0))
    axis = Axis(scale, offset, 100, period)
    whole, rest = axis.split(start, 40, 0.5)
    some, other = axis.split(start + skip, 5, 0.5)
    assert some.tolist() == whole[skip : skip + 5].tolist()
    assert other.tolist() == rest[skip : skip + 5].tolist()
    exact = (np.arange(start, start + 40) + 0.5) * scale + offset
    np.testing.assert_allclose(whole + rest, exact, atol=1e-9)
    assert ((rest >= 0) & (rest < 1)).all()


@pytest.mark.parametrize(
    ("asset", "reason"),
    [
        (
            image(9, 9, GRID.transform, CRS.from_epsg(32634), "a.tif"),
            "EPSG:32634 and grid.tif EPSG",
        ),
        (image(9, 9, GRID.transform, None, "a.tif"), r"reference system \(none\)"),
        (image(9, 9, Affine(8, 6, 0, 6, -8, 0), uri="a.tif"), "rotated or mirrored"),
        (image(9, 9, Affine(10, 0, 0, 0, 10, 0), uri="a.tif"), "rotated or mirrored"),
        (image(9, 9, Affine(1000, 0, 0, 0, -1000, 0), uri="a.tif"), "100 times larger"),
        (image(9, 9, Affine(0.1, 0, 0, 0, -0.1, 0), uri="a.tif"), "100 times smaller"),
        (image(9, 9, None, uri="a.tif"), "no geotransform"),
    ],
)
def test_what_cannot_be_aligned_is_refused_with_a_remedy(asset, reason):
    with pytest.raises(SceneError, match=rf"a\.tif .*{reason}.*gdalwarp -t_srs EPSG:32633"):
        align(asset, GRID)


def test_ground_control_points_that_are_the_same_grid():
    gcps = tuple(GroundControlPoint(row=i, col=i % 3, x=i, y=-i, z=0) for i in range(4))
    one = replace(image(9, 9, None), gcps=gcps)
    assert align(one, replace(one, uri="other.tif")).coincides
    other = replace(one, gcps=gcps[:3])
    with pytest.raises(SceneError, match="no geotransform"):
        align(other, one)


def test_larger_pixels_keep_the_period():
    aligned = align(image(549, 549, Affine(20, 0, 499_980, 0, -20, 4_200_000)), GRID)
    assert aligned.scaled(3, 3).x == Axis(1.5, 0.0, 549, (2, 3))
    assert aligned.scaled(1, 1) is aligned
