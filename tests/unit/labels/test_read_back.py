"""Tests of a run's own detections read as labels: the pixels are the same.

Detections come from GeoParquet and as COCO. Scenes are of every kind of location on Earth.
Detections are boxes, rotated boxes and outlines with holes.
"""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from hypothesis import HealthCheck, given, settings
from rasterio.crs import CRS
from rasterio.transform import Affine

from swath.labels.read import read_collection
from tests.helpers.anywhere import KINDS, OUTLINES, GeoreferencedScene, detected
from tests.helpers.fuzzing import draws

CLOSE = 0.1
"""Tolerance in px."""


@pytest.fixture(scope="module", params=KINDS, name="scene")
def _scene(request, tmp_path_factory):
    return GeoreferencedScene(request.param, tmp_path_factory.mktemp("back"))


def as_geojson(path, names, shapes):
    features = [
        {
            "type": "Feature",
            "properties": {"class": name},
            "geometry": json.loads(shapely.to_geojson(shape)),
        }
        for name, shape in zip(names, shapes, strict=True)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(path)


def as_coco(path, table):
    """Write the file's px columns as COCO and return the path."""
    edges = [table[name].to_pylist() for name in ("x_min", "y_min", "x_max", "y_max")]
    annotations = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for i, (x0, y0, x1, y1) in enumerate(zip(*edges, strict=True), 1)
    ]
    images, categories = [{"id": 1, "file_name": "scene.tif"}], [{"id": 1, "name": "ship"}]
    path.write_text(
        json.dumps({"images": images, "categories": categories, "annotations": annotations})
    )
    return str(path)


@pytest.mark.fuzz
@settings(
    max_examples=draws(2, fuzz=300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(outlines=OUTLINES)
def test_own_detections_come_back_as_the_same_pixels(scene, tmp_path_factory, outlines):
    folder = tmp_path_factory.mktemp("own")
    wanted = scene.write_detections(folder / "detections.parquet", detected(outlines))
    if not len(wanted):
        return
    table = pq.read_table(folder / "detections.parquet")
    shapes = shapely.from_wkb(table["geometry"].to_numpy())
    written = as_geojson(folder / "own.geojson", table["class"].to_pylist(), shapes)

    (coco,) = read_collection(as_coco(folder / "own.json", table), scene.info.uri).scenes
    (back,) = read_collection(written, scene.info.uri).scenes

    np.testing.assert_allclose(coco.boxes, wanted.box, atol=1e-6)
    assert len(back.boxes) == len(wanted)
    whole = np.array([_is_whole(scene.georeferencer, box) for box in wanted.box])
    np.testing.assert_allclose(back.boxes[whole], wanted.box[whole], atol=CLOSE)
    for read, drawn in zip(back.outlines[whole], wanted.outline[whole], strict=True):
        assert shapely.hausdorff_distance(read.boundary, drawn.boundary) < 5 * CLOSE
    # A box that the Earth's edge cuts is read back as its part on Earth.
    off = (back.boxes - wanted.box)[~whole]
    assert (off[:, :2] >= -CLOSE).all()
    assert (off[:, 2:] <= CLOSE).all()


def _is_whole(georeferencer, box):
    """Return whether no part of a box lies off the Earth or beyond a pole."""
    x0, y0, x1, y1 = box
    _, lat = georeferencer.to_lonlat(*np.meshgrid(np.linspace(x0, x1, 30), np.linspace(y0, y1, 30)))
    return bool(np.isfinite(lat).all() and (np.abs(lat) == 90).sum() <= 1)


def write_scene(path, transform, width=720, height=100):
    form = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": CRS.from_epsg(4326)}
    with rasterio.open(path, "w", width=width, height=height, transform=transform, **form) as file:
        file.write(np.full((1, height, width), len(path.name), "uint8"))
    return str(path)


def boxes_of(scene, labels):
    (found,) = read_collection(labels, scene).scenes
    return found.boxes


@pytest.mark.parametrize(("first", "west"), [(-180, 178), (0, -2), (-360, -2)])
def test_an_object_that_the_map_cuts_is_one_at_either_end(tmp_path, first, west):
    scene = write_scene(tmp_path / "earth.tif", Affine(0.5, 0, first, 0, -0.5, 25))
    cut = (west + 2 + 180) % 360 - 180
    parts = [shapely.box(west, 0, west + 2, 3), shapely.box(cut, 0, cut + 3, 3)]
    labels = as_geojson(tmp_path / "a.geojson", ["ship"], [shapely.MultiPolygon(parts)])

    found = boxes_of(scene, labels)

    assert sorted(found.tolist()) == [[0, 44, 6, 50], [716, 44, 720, 50]]


def test_an_edge_the_long_way_is_the_short_way_unless_the_scene_holds_it(tmp_path):
    """Check an edge from 179 to -179, as tools that ignore the antimeridian write it."""
    labels = as_geojson(tmp_path / "a.geojson", ["ship"], [shapely.box(-179, 0, 179, 3)])

    (pacific,) = boxes_of(write_scene(tmp_path / "b.tif", Affine(0.5, 0, 0, 0, -0.5, 25)), labels)
    (near,) = boxes_of(write_scene(tmp_path / "cc.tif", Affine(0.01, 0, 177, 0, -0.1, 5)), labels)
    (earth,) = boxes_of(
        write_scene(tmp_path / "ddd.tif", Affine(0.5, 0, -180, 0, -0.5, 25)), labels
    )

    assert pacific.tolist() == [358, 44, 362, 50]
    assert near.tolist() == [200, 20, 400, 50]
    assert earth.tolist() == [2, 44, 718, 50]


def test_two_islands_far_apart_are_one_object_where_the_scene_holds_them_so(tmp_path):
    islands = shapely.MultiPolygon([shapely.box(-150, 0, -140, 3), shapely.box(140, 0, 150, 3)])
    labels = as_geojson(tmp_path / "a.geojson", ["ship"], [islands])

    earth = boxes_of(write_scene(tmp_path / "b.tif", Affine(0.5, 0, -180, 0, -0.5, 25)), labels)
    pacific = boxes_of(write_scene(tmp_path / "c.tif", Affine(0.5, 0, 0, 0, -0.5, 25)), labels)

    assert earth.tolist() == [[60, 44, 660, 50]]
    assert pacific.tolist() == [[280, 44, 440, 50]]


def test_what_a_scene_shows_twice_is_an_object_at_both_places(tmp_path):
    scene = write_scene(tmp_path / "earth.tif", Affine(0.5, 0, -180, 0, -0.5, 25), width=760)
    labels = as_geojson(tmp_path / "a.geojson", ["ship"], [shapely.box(-178, 0, -176, 3)])

    found = boxes_of(scene, labels)

    assert sorted(found.tolist()) == [[4, 44, 8, 50], [724, 44, 728, 50]]
