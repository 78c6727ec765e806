"""An evaluation of a package that states a resolution, on scenes of another one."""

import json
import shutil

import numpy as np
import pytest
import rasterio

import swath
from swath.models.package import load_package
from tests.helpers.items import write_document
from tests.helpers.packages import write_package
from tests.helpers.rasters import NORTH_UP, UTM
from tests.helpers.serving import dots


def write_scene(folder, pixels, pixel_size):
    folder.mkdir()
    count, height, width = pixels.shape
    transform = NORTH_UP @ rasterio.Affine.scale(pixel_size / 10)
    profile = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", crs=UTM, transform=transform, **profile
    ) as out:
        out.write(pixels)
    return folder


@pytest.fixture
def scenes(tmp_path):
    """Write the same dots in pixels of 10 m and of 5 m, whose last row and column are cut."""
    pixels = dots(5, width=60, height=50, count=40)
    fine = np.kron(pixels, np.ones((2, 2), "u1"))[:, :-1, :-1]
    return write_scene(tmp_path / "10m", pixels, 10), write_scene(tmp_path / "5m", fine, 5)


def test_boxes_and_tiles_are_those_of_the_scene(tmp_path, scenes):
    coarse, fine = scenes
    own = write_package(tmp_path / "own")

    def state(item):
        item["properties"]["mlm:hyperparameters"] |= {"gsd": 10, "resampling": "average"}

    stated = write_package(tmp_path / "stated", state)
    labels = label_some(coarse, own, tmp_path)

    expected = swath.evaluate(own, labels, coarse, tmp_path / "a")
    found = swath.evaluate(stated, labels, fine, tmp_path / "b")

    assert found.metrics["AP50"] == expected.metrics["AP50"]
    assert 0.3 < found.metrics["AP50"] < 1
    assert (found.metrics["precision"], found.metrics["recall"]) == (
        expected.metrics["precision"],
        expected.metrics["recall"],
    )
    assert "<svg" in (tmp_path / "b" / "report.html").read_text()


def test_an_item_is_evaluated_as_its_file_is(tmp_path, scenes):
    coarse, _ = scenes
    model = write_package(tmp_path / "own")
    (band,) = load_package(model).description.bands
    items = tmp_path / "items"
    items.mkdir()
    shutil.copy(coarse / "scene.tif", items / f"{band}.tif")
    write_document(items / "item.json", [band], {}, item_id="dots")
    labels = label_some(coarse, model, tmp_path)

    expected = swath.evaluate(model, labels, coarse, tmp_path / "a")
    found = swath.evaluate(model, labels, items, tmp_path / "b")

    assert [scene.uri for scene in found.scenes] == [str(items / "item.json")]
    assert found.metrics == expected.metrics
    assert 0.3 < found.metrics["AP50"] < 1
    assert "<svg" in (tmp_path / "b" / "report.html").read_text()


def label_some(scene, model, folder):
    """Write labels of every second dot."""
    path = folder / "labels.geojson"
    collection = swath.detect(scene / "scene.tif", model).to_geojson()
    features = collection["features"][::2]
    for feature in features:
        feature["properties"] = {"class": "dot"}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path
