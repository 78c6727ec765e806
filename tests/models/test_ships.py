"""The package that is deployed and shown: what it says of itself, and what it finds."""

import json
from pathlib import Path

import pystac
import pytest
from stac_model.schema import MLModelProperties

from swath.authoring.check import check_package
from swath.evaluation.evaluate import evaluate
from swath.labels.read import read_collection
from swath.package import load_package
from swath.training.options import read_options

ROOT = Path(__file__).resolve().parents[2]
SHIPS = ROOT / "models" / "ships"


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

    assert measured.figures["AP50"] == pytest.approx(0.396, abs=0.002)


def test_the_recipe_is_what_it_was_trained_with(item):
    recipe = read_options(str(ROOT / "docs" / "recipes" / "ships.toml"))

    assert recipe.to_json() == item["properties"]["swath:training"]["options"]
