"""Tests of outlines of scenes that rasterio wrote."""

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import shapely
from rasterio import Affine
from rasterio.warp import transform

from swath.errors import SceneError
from swath.messages import Georeference
from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from swath.raster.scene import open_scene
from swath.raster.scene_info import ImageInfo


def north_up(west, north, pixel):
    """Return the transform of a grid of square pixels."""
    return Affine(pixel, 0, west, 0, -pixel, north)


@pytest.fixture
def outlined(tmp_path):
    """Return a function that writes a scene and returns its path and its outline."""

    def write(crs, place, *, width=400, height=200):
        path = tmp_path / "scene.tif"
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": crs, "transform": place}
        with rasterio.open(path, "w", width=width, height=height, **profile) as target:
            target.write(np.ones((1, height, width), "uint8"))
        with open_scene(str(path)) as scene:
            return path, footprint(scene.info, Georeferencer.from_info(scene.info))

    return write


def test_in_degrees_it_is_a_rectangle(outlined):
    _, outline = outlined("EPSG:4326", north_up(10, 50, 0.01))
    assert shapely.symmetric_difference(outline, shapely.box(10, 48, 14, 50)).area < 1e-9


def test_wider_than_the_earth_it_goes_around_once(outlined):
    _, outline = outlined("EPSG:4326", north_up(-190, 60, 0.98), height=100)
    assert outline.bounds == (-180, -38, 180, 60)
    assert outline.area == pytest.approx(360 * 98)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
@pytest.mark.parametrize("pixel", [1e8, 1e100, 1e300])
def test_of_a_scene_that_goes_around_the_earth_too_often_is_refused(outlined, crs, pixel):
    with pytest.raises(SceneError, match=r"goes around the Earth .* times"):
        outlined(crs, north_up(0, 0, pixel))


def test_of_a_projected_scene_it_follows_the_bent_edges(outlined):
    path, outline = outlined("EPSG:32633", north_up(100_000, 8_000_000, 2000))
    with rasterio.open(path) as opened:
        corners = [(0, 0), (400, 0), (400, 200), (0, 200)]
        edge = [
            opened.transform @ (column, row)
            for (column, row) in shapely.segmentize(shapely.Polygon(corners), 1).exterior.coords
        ]
        xs, ys = transform(opened.crs, "EPSG:4326", *zip(*edge, strict=True))
    truth = shapely.Polygon(zip(xs, ys, strict=True))
    assert outline.geom_type == "Polygon"
    assert shapely.symmetric_difference(outline, truth).area / truth.area < 1e-3


def test_across_the_antimeridian_it_has_two_parts(outlined):
    _, outline = outlined("EPSG:32601", north_up(100_000, 2_000_000, 500))
    assert outline.geom_type == "MultiPolygon"
    (east, west) = sorted((part.bounds for part in outline.geoms), key=lambda b: -b[0])
    assert 179 < east[0] < 179.5
    assert east[2] == 180
    assert west[0] == -180
    assert -180 < west[2] < -177


def test_a_fold_of_splines_that_run_away_is_found_without_an_overflow():
    scene = ImageInfo.from_georeference(
        Georeference(crs="", transform=None, gcps=[]), uri="scene.tif", width=400, height=200
    )

    class RunAway:
        """Splines through contradicting points, which mirror one half of the scene."""

        @staticmethod
        def forward(columns, rows):
            return np.where(columns > 90, columns, -columns) * 1e200, rows * 1e200

    with pytest.raises(SceneError, match=r"scene\.tif .* fold"):
        footprint(scene, SimpleNamespace(geotransform=RunAway))
