import json

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from swath.detection.detect_scene import SceneDetections
from swath.detection.detections import Detections
from swath.messages import TileCounts
from swath.raster.scene_info import SceneInfo
from swath.sagemaker.server.responses import ModelIdentity, to_geojson, to_json
from tests.helpers.rasters import NORTH_UP, UTM

SOURCE = ModelIdentity(name="ships", digest="d1", classes=("ship", "boat"))
TILES = TileCounts(planned=1, succeeded=1)


def image(crs=None, transform=None):
    return SceneInfo(
        uri="the image",
        width=100,
        height=80,
        count=1,
        dtype="uint8",
        band_names=(None,),
        colors=(None,),
        nodata=(None,),
        masked=False,
        crs=crs,
        transform=transform,
        gcps=(),
        rpcs=False,
        block_shape=(16, 16),
        units=(None,),
    )


def result(rows, grid=None):
    return SceneDetections(detections=rows, tiles=TILES, grid=grid or PLACED)


def found(*, outline=None, grid=None):
    box = np.array([[1, 2, 5, 9], [10.5, 20, 30, 40]], np.float64)
    score, label = np.array([0.1, 0.7], np.float32), np.array([1, 0], np.int16)
    return result(Detections.from_tile(box, score, label, 0, outline), grid)


PLACED = image(CRS.from_string(UTM), NORTH_UP)


def test_geojson_of_a_placed_image():
    told = json.loads(to_geojson(found(), PLACED, SOURCE))

    assert told["type"] == "FeatureCollection"
    assert "crs" not in told
    assert told["model"] == {"name": "ships", "digest": "d1"}
    assert told["tiles"]["succeeded"] == 1
    first = told["features"][0]
    assert first["properties"] == {
        "class": "boat",
        "score": 0.1,
        "x_min": 1,
        "y_min": 2,
        "x_max": 5,
        "y_max": 9,
    }
    shape = shapely.geometry.shape(first["geometry"])
    assert shape.exterior.is_ccw
    assert shape.centroid.x == pytest.approx(15, abs=0.01)  # the zone's central meridian


def test_geojson_in_pixels_says_so():
    told = json.loads(to_geojson(found(grid=image()), image(), SOURCE))

    assert told["crs"] is None
    assert shapely.geometry.shape(told["features"][0]["geometry"]).bounds == (1, 2, 5, 9)


def test_an_image_that_is_nowhere_on_earth_is_in_pixels():
    away = image(CRS.from_string(UTM), Affine(10, 0, 1e12, 0, -10, 1e12))

    assert json.loads(to_geojson(found(grid=away), away, SOURCE))["crs"] is None


def test_detections_that_are_nowhere_are_left_out_of_a_map_only():
    """Check detections off the disc of a weather satellite."""
    disc = CRS.from_string("+proj=geos +h=35785831 +lon_0=0 +sweep=y +units=m")
    beside = image(disc, Affine(110_000, 0, -5_500_000, 0, -110_000, 4_400_000))
    box = np.array([[0, 0, 1, 1], [49, 39, 50, 40]], np.float64)
    rows = Detections.from_tile(box, np.ones(2, np.float32), np.zeros(2, np.int16), 0)

    placed = json.loads(to_geojson(result(rows, beside), beside, SOURCE))
    plain = json.loads(to_json(result(rows, beside), beside, SOURCE))

    assert [f["properties"]["x_min"] for f in placed["features"]] == [49]
    assert len(plain["detections"]) == 2


def test_json_is_in_pixels():
    told = json.loads(to_json(found(), PLACED, SOURCE))

    assert (told["width"], told["height"]) == (100, 80)
    assert told["model"] == {"name": "ships", "digest": "d1"}
    assert told["tiles"] == TILES.to_json()
    first, second = told["detections"]
    assert (first["class"], first["score"], first["box"]) == ("boat", 0.1, [1, 2, 5, 9])
    assert (second["class"], second["box"]) == ("ship", [10.5, 20, 30, 40])
    assert shapely.geometry.shape(second["polygon"]).bounds == (10.5, 20, 30, 40)


def test_outlines_are_kept():
    shapes = [shapely.Polygon([(1, 2), (5, 2), (1, 9)]), shapely.box(10.5, 20, 30, 40)]
    shapes[1] -= shapely.box(15, 25, 20, 30)
    rows = found(outline=np.array(shapes, object))

    plain = json.loads(to_json(rows, PLACED, SOURCE))["detections"]
    placed = json.loads(to_geojson(rows, PLACED, SOURCE))["features"]

    for told, shape in zip(plain, shapes, strict=True):
        assert shapely.geometry.shape(told["polygon"]).equals(shape)
    assert len(placed[1]["geometry"]["coordinates"]) == 2


def test_nothing_found():
    empty = result(Detections.empty())

    assert json.loads(to_geojson(empty, PLACED, SOURCE))["features"] == []
    assert json.loads(to_json(empty, PLACED, SOURCE))["detections"] == []
