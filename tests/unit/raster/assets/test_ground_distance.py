"""Tests of the ground sampling distance: right in any CRS, at any latitude."""

import numpy as np
import pytest
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine

from swath.errors import SceneError
from swath.raster.assets.ground_distance import ground_distances
from tests.helpers.warping import image


def at(code, x, y, size, **more):
    """The header of an image of 100 x 100 px around a position."""
    height = more.get("height", size)
    transform = Affine(size, 0, x - 50 * size, 0, -height, y + 50 * height)
    return image(100, 100, transform, CRS.from_user_input(code))


@pytest.mark.parametrize("latitude", [0, 30, 45, 60, 80])
def test_web_mercator_shrinks_with_the_latitude(latitude):
    y = 6378137 * np.log(np.tan(np.pi / 4 + np.radians(latitude) / 2))
    across, down = ground_distances(at("EPSG:3857", 1_000_000, y, 10))
    sine2 = np.sin(np.radians(latitude)) ** 2
    # The radius of the parallel, and of the meridian, on WGS84.
    expected = 10 * np.cos(np.radians(latitude)) / np.sqrt(1 - 0.00669438 * sine2)
    assert across == pytest.approx(expected, rel=1e-6)
    assert down == pytest.approx(expected * (1 - 0.00669438) / (1 - 0.00669438 * sine2), rel=1e-5)


def test_utm_is_four_ten_thousandths_shorter_at_its_central_meridian():
    across, down = ground_distances(at("EPSG:32633", 500_000, 5_000_000, 10))
    assert across == pytest.approx(10 / 0.9996, rel=1e-6)
    assert down == pytest.approx(10 / 0.9996, rel=1e-6)


@pytest.mark.parametrize("longitude", [0, 179.9999])
def test_degrees(longitude):
    across, down = ground_distances(at("EPSG:4326", longitude, 0, 1e-4))
    assert across == pytest.approx(np.pi / 180 * 6378137 * 1e-4, rel=1e-6)
    assert down == pytest.approx(110574.3 * 1e-4, rel=1e-4)


def test_feet_and_pixels_that_are_not_square():
    # US survey feet of New York (Long Island).
    across, down = ground_distances(at("EPSG:2263", 1_000_000, 200_000, 1, height=2))
    assert across == pytest.approx(0.3048, rel=1e-3)
    assert down == pytest.approx(0.6096, rel=1e-3)


def test_a_rotated_scene():
    transform = Affine(6, 8, 500_000, 8, -6, 5_000_000)
    assert ground_distances(image(100, 100, transform)) == pytest.approx((10, 10), rel=1e-3)


def test_ground_control_points():
    gcps = tuple(
        GroundControlPoint(row=row, col=col, x=500_000 + 20 * col, y=5_000_000 - 10 * row, z=0)
        for row in (0, 50, 100)
        for col in (0, 50, 100)
    )
    scene = image(100, 100, None)
    scene = type(scene)(**{f: getattr(scene, f) for f in scene.__slots__} | {"gcps": gcps})
    assert ground_distances(scene) == pytest.approx((20, 10), rel=1e-3)


def test_a_scene_without_a_location_is_refused():
    with pytest.raises(SceneError, match="no georeference"):
        ground_distances(image(10, 10, None, None))


def test_a_center_in_space_is_refused():
    geostationary = "+proj=geos +h=35785831 +lon_0=0 +ellps=WGS84 +units=m"
    transform = Affine(10_000, 0, 2_000_000, 0, -10_000, 5_000_000)
    with pytest.raises(SceneError, match="not on Earth"):
        ground_distances(image(1000, 1000, transform, CRS.from_string(geostationary)))
