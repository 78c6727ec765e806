"""The synthetic scene: its properties, and the detections of the demo's model in it."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from local_cloud.demo.harbour import BAND_NAMES, Harbour, draw_harbour, write_harbour
from local_cloud.demo.results import read_boxes
from local_cloud.demo.ship_matching import match_ships
from swath.pipeline.local import run_local

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def harbour() -> Harbour:
    return draw_harbour()


@pytest.fixture(scope="module")
def scene(harbour: Harbour, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("harbour") / "harbour.tif"
    write_harbour(harbour, path)
    return path


def test_the_same_seed_draws_the_same_scene_and_another_seed_another():
    first, again, other = (draw_harbour(seed, width=640, height=512) for seed in (3, 3, 4))

    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.pixels, other.pixels)


def test_the_file_has_the_properties_of_a_sentinel_2_crop(harbour: Harbour, scene: Path):
    with rasterio.open(scene) as source:
        assert source.descriptions == BAND_NAMES
        assert source.dtypes == ("uint16",) * 5
        assert source.crs.to_epsg() == 32634
        assert source.res == (10, 10)
        assert source.block_shapes == [(256, 256)] * 5
        assert source.overviews(1)
        np.testing.assert_array_equal(source.read(), harbour.pixels)


def test_the_coarse_band_is_the_same_within_two_by_two_pixels_but_for_noise(harbour: Harbour):
    swir = harbour.pixels[4].astype(float)
    spread = np.abs(swir[::2, ::2] - swir[1::2, 1::2])

    assert np.median(spread) < 0.003 * 65535


def test_every_ship_is_inside_the_scene_and_brighter_than_the_water_around(harbour: Harbour):
    _, rows, cols = harbour.pixels.shape
    x0, y0, x1, y1 = harbour.boxes.T

    assert ((x0 >= 0) & (y0 >= 0) & (x1 <= cols) & (y1 <= rows)).all()
    for box in harbour.boxes.astype(int):
        around = harbour.pixels[3, box[1] - 6 : box[3] + 6, box[0] - 6 : box[2] + 6]
        inside = harbour.pixels[3, box[1] : box[3], box[0] : box[2]]
        assert np.percentile(inside, 90) > 2 * np.percentile(around, 10)


def test_the_truth_beside_the_scene_is_coco(harbour: Harbour, scene: Path):
    truth = json.loads(scene.with_suffix(".json").read_text())

    assert truth["images"][0]["file_name"] == scene.name
    boxes = np.array([annotation["bbox"] for annotation in truth["annotations"]])
    boxes[:, 2:] += boxes[:, :2]
    np.testing.assert_array_equal(boxes, harbour.boxes)


def test_the_demo_model_detects_nearly_all_ships_with_few_false_positives(
    harbour: Harbour, scene: Path, tmp_path: Path
):
    run_local(str(scene), str(ROOT / "models/ships"), tmp_path)

    boxes = read_boxes(tmp_path / "detections.parquet").boxes
    found = match_ships(boxes, harbour.boxes).sum()
    assert found / len(harbour.boxes) >= 0.9
    assert found / len(boxes) >= 0.85
