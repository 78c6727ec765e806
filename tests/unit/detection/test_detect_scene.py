import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from swath.detection.detect_scene import detect_scene
from swath.errors import ModelOutputError, SceneError
from swath.messages import TileCounts
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from swath.pipeline.local import run_local
from swath.raster.scene import open_scene
from swath.sagemaker.server.batcher import Batcher
from swath.sagemaker.server.responses import ModelIdentity, to_geojson
from tests.helpers.packages import write_package
from tests.helpers.serving import PLACED, ROOT, bright, dots, encoded

COLUMNS = ("x_min", "y_min", "x_max", "y_max")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Yield a package's folder, the package, and its model behind a batcher."""
    folder = write_package(tmp_path_factory.mktemp("package"))
    package = load_package(folder)
    batcher = Batcher(load_model(package))
    yield folder, package, batcher
    batcher.close()


def answer(scene_path, package, model):
    said = package.description
    source = ModelIdentity(name=said.name, digest=package.digest, classes=said.classes)
    with open_scene(scene_path) as scene:
        found = detect_scene(scene, said, model)
        return json.loads(to_geojson(found, scene.info, source)), found


def assert_as_run(scene, folder, package, model, out):
    """Check that the response has the rows of a run's GeoParquet, to the last bit."""
    run_local(scene, str(folder), out)
    rows = pq.read_table(out / "detections.parquet").to_pylist()
    features = answer(scene, package, model)[0]["features"]
    assert len(features) == len(rows)
    rows.sort(key=lambda row: [row[name] for name in COLUMNS])
    features.sort(key=lambda feature: [feature["properties"][name] for name in COLUMNS])
    for feature, row in zip(features, rows, strict=True):
        properties = feature["properties"]
        assert properties["class"] == row["class"]
        assert np.float32(properties["score"]) == np.float32(row["score"])
        assert [properties[name] for name in COLUMNS] == [row[name] for name in COLUMNS]
        assert shapely.geometry.shape(feature["geometry"]).equals_exact(
            shapely.from_wkb(row["geometry"]), 0
        )
    return rows


@pytest.mark.parametrize(("width", "height"), [(1, 41), (16, 16), (90, 17), (61, 64)])
def test_an_answer_is_what_a_run_gives(loaded, tmp_path, width, height):
    pixels = dots(width, width=width, height=height)
    scene = tmp_path / "x.tif"
    scene.write_bytes(encoded(pixels, "GTiff", **PLACED))

    rows = assert_as_run(str(scene), *loaded, tmp_path / "out")

    places = sorted((row["x_min"], row["y_min"]) for row in rows)
    assert places == [(x, y) for x, y, _ in bright(pixels)]


def test_an_answer_about_a_port_is_what_a_run_gives(data, tmp_path):
    folder = ROOT / "models" / "ships"
    package = load_package(folder)
    batcher = Batcher(load_model(package))
    scene = str(data / "ships_s2" / "busan_S2L2A_5band.tif")

    rows = assert_as_run(scene, folder, package, batcher, tmp_path / "out")

    batcher.close()
    assert len(rows) > 20


def test_tiles_are_accounted_for(loaded, make_scene):
    _, package, model = loaded
    pixels = dots(1, width=100, height=60, dtype=np.int16)
    pixels[0, :, :40] = -999

    told, found = answer(make_scene(pixels, nodata=-999), package, model)

    assert found.tiles.is_complete
    assert (found.tiles.planned, found.tiles.failed) == (40, 0)
    assert found.tiles.skipped > 0
    assert TileCounts.from_json(told["tiles"]) == found.tiles


def test_a_damaged_image_is_the_images_fault(loaded, make_scene):
    _, package, model = loaded
    scene = make_scene(
        np.random.default_rng(0).integers(0, 99, (1, 600, 600)).astype(np.int16),
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
    )
    whole = Path(scene).read_bytes()
    Path(scene).write_bytes(whole[: len(whole) * 8 // 10])

    with pytest.raises(SceneError, match="cannot be read at"):
        answer(scene, package, model)


def test_a_tile_that_the_model_fails_on_is_ours(loaded, make_scene):
    _, package, model = loaded
    pixels = dots(1, dtype=np.int16)
    pixels[0, 20, 30] = -1  # the model takes the root of it and gets NaN

    with pytest.raises(ModelOutputError, match=r"the model failed on tile \d+ at x .* NaN"):
        answer(make_scene(pixels), package, model)


def test_other_bands_are_refused(loaded, make_scene):
    _, package, model = loaded

    with pytest.raises(SceneError, match="has 3 bands without names; the model expects gray"):
        answer(make_scene(np.zeros((3, 20, 20), np.int16)), package, model)
