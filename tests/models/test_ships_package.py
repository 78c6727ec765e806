"""The package that is deployed and shown: what it says of itself, and what it finds."""

import itertools
import json
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
from stac_model.schema import MLModelProperties

from swath.detection.boxes import iou
from swath.evaluation.evaluate import evaluate
from swath.labels.read import read_collection
from swath.models.package import load_package
from swath.packaging.check import check_package
from swath.pipeline.local import run_local
from swath.raster.radiometry.comparison import TrainingStatistics, compare
from swath.raster.radiometry.sampling import SampleGrid
from swath.raster.radiometry.scenes import profile_scene
from swath.training.options import TrainOptions, read_options

ROOT = Path(__file__).resolve().parents[2]
SHIPS = ROOT / "models" / "ships"
SIDES = ("x_min", "y_min", "x_max", "y_max")


@pytest.fixture(scope="module")
def item():
    return json.loads((SHIPS / "mlm.json").read_text())


def test_it_is_described_as_the_standard_has_it(item):
    properties = {k: v for k, v in item["properties"].items() if k.startswith("mlm:")}

    assert MLModelProperties.model_validate(properties).tasks == {"object-detection"}
    assert pystac.Item.from_dict(item).properties["license"] == "Apache-2.0"


def test_it_is_what_it_says(item):
    package = load_package(SHIPS)

    assert package.description.bands == ("B02", "B03", "B04", "B08", "B11")
    assert package.description.classes == ("ship",)
    assert package.weights[0].path.stat().st_size == item["assets"]["onnx"]["file:size"]


def test_every_library_gives_the_same(data):
    report = check_package(SHIPS, images=[str(data / "ships_s2/busan_S2L2A_5band.tif")], tiles=2)

    assert report.passed, report.faults


def test_the_port_that_it_never_saw(data, item, tmp_path):
    training = item["properties"]["swath:training"]
    assert not any("busan" in name for name in training["data"]["training"]["scenes"])
    folder = data / "ships_s2"

    measured = evaluate(
        SHIPS, read_collection(str(folder / "val.json"), str(folder)), tmp_path, report=False
    )

    assert measured.metrics["AP50"] == pytest.approx(0.396, abs=0.002)


UNITS = {
    "x 10000": (lambda pixels: np.round(pixels / 6.5535), "uint16", ("reflectance", 1e-4, 0.0)),
    "+ 1000": (
        lambda pixels: np.round(pixels / 6.5535) + 1000,
        "uint16",
        ("reflectance", 1e-4, -0.1),
    ),
    "0 to 1": (lambda pixels: pixels / 65535, "float32", ("reflectance", 1.0, 0.0)),
}


def rewritten(source, target, change, dtype, unit=None):
    """A scene in another unit, which it states or not."""
    with rasterio.open(source) as scene:
        profile, pixels, names = scene.profile, scene.read(), scene.descriptions
    with rasterio.open(target, "w", **(profile | {"dtype": dtype})) as scene:
        scene.write(change(pixels.astype(np.float64)).astype(dtype))
        scene.descriptions = names
        if unit:
            scene.units, scene.scales, scene.offsets = zip(*[unit] * len(names), strict=True)
    return str(target)


@pytest.mark.parametrize("unit", UNITS)
def test_a_stated_unit_changes_no_detection(data, tmp_path, unit):
    port = data / "ships_s2" / "casablanca_S2L2A_5band.tif"
    scene = rewritten(port, tmp_path / "scene.tif", *UNITS[unit])

    before, after = (
        run_local(str(uri), str(SHIPS), tmp_path / name)
        for uri, name in ((port, "before"), (scene, "after"))
    )

    assert before.warnings == after.warnings == []
    found = [pq.read_table(tmp_path / name / "detections.parquet") for name in ("before", "after")]
    boxes = [np.stack([rows[side].to_numpy() for side in SIDES], axis=1) for rows in found]
    scores = [rows["score"].to_numpy() for rows in found]
    assert len(boxes[0]) == len(boxes[1]) > 10
    count = len(boxes[0])
    overlap = iou(np.repeat(boxes[0], count, axis=0), np.tile(boxes[1], (count, 1)))
    same = overlap.reshape(count, count) >= 0.9
    same &= np.abs(scores[0][:, None] - scores[1][None]) <= 0.02
    assert same.any(axis=1).all()
    assert same.any(axis=0).all()


def warnings_of(pixels, known):
    _, height, width = pixels.shape
    sample_grid = SampleGrid.for_scene(width, height)
    taken = sample_grid.sample(pixels, None, (0, 0), (0, 0, width, height))
    return compare(taken, known.expected, known.bands, stride=sample_grid.stride, scene="x.tif")


def test_its_statistics_see_units_and_exchanged_bands_and_nothing_in_the_ports(data):
    known = load_package(SHIPS).description
    ports = sorted((data / "ships_s2").glob("*_5band.tif"))
    assert len(ports) == 9

    for port in ports:
        with rasterio.open(port) as scene:
            pixels = scene.read()
        assert warnings_of(pixels, known) == [], port
        for change, dtype, _ in UNITS.values():
            (warning,) = warnings_of(change(pixels.astype(np.float64)).astype(dtype), known)
            assert "the model was trained around" in warning, port
        for i, j in itertools.combinations(range(5), 2):
            order = list(range(5))
            order[i], order[j] = j, i
            (warning,) = warnings_of(pixels[order], known)
            assert f"{known.bands[j]} resembles {known.bands[i]}" in warning, port


def test_ports_that_it_was_not_trained_on_have_no_warnings(data):
    """Check each port against the statistics of the other eight."""
    ports = [str(path) for path in sorted((data / "ships_s2").glob("*_5band.tif"))]
    known = load_package(SHIPS).description
    profiles = [profile_scene(port, known.band_needs, known.units) for port in ports]

    for place, port in enumerate(ports):
        others = TrainingStatistics.from_profiles(profiles[:place] + profiles[place + 1 :])
        with rasterio.open(port) as scene:
            pixels = scene.read()
        seen = msgspec.structs.replace(known, expected=others)
        assert warnings_of(pixels, seen) == [], port
        for i, j in itertools.combinations(range(5), 2):
            order = list(range(5))
            order[i], order[j] = j, i
            assert len(warnings_of(pixels[order], seen)) == 1, (port, i, j)


def test_the_recipe_is_what_it_was_trained_with(item):
    recipe = read_options(str(ROOT / "docs" / "recipes" / "ships.toml"))

    # An option that did not exist when the model was trained had its default.
    recorded = TrainOptions.from_values(item["properties"]["swath:training"]["options"])

    assert recipe == recorded
