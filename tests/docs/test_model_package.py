"""The fragments of docs/model-package.md are packages that swath and the standard take."""

import json
import re
from pathlib import Path

import pytest
from stac_model.schema import MLModelProperties

from swath.models.mlm import parse_description
from swath.models.nms_options import NmsOptions
from swath.raster.band_units import Unit
from tests.helpers.packages import description

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "model-package.md").read_text()
FRAGMENTS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
WHOLE = [fragment for fragment in FRAGMENTS if "mlm:output" in fragment]

OF_BANDS = [fragment for fragment in FRAGMENTS if "bands" in fragment]


def build_item(fragment):
    """A whole `mlm.json` with that fragment, of tiles of 512 px."""

    def change(item):
        item["properties"].update(fragment)
        item["properties"]["mlm:input"][0]["input"]["shape"][-2:] = [512, 512]
        item["properties"]["mlm:tasks"] = fragment["mlm:output"][0]["tasks"]

    return description(change)


@pytest.mark.parametrize("fragment", WHOLE, ids=lambda f: f["mlm:output"][0]["tasks"][0])
def test_each_fragment_describes_a_model(fragment):
    item = build_item(fragment)

    model = parse_description(json.dumps(item).encode())

    outputs = fragment["mlm:output"]
    assert list(model.classes) == [c["name"] for c in outputs[0]["classification:classes"]]
    assert model.tile_size == 512
    standard = {k: v for k, v in item["properties"].items() if k.startswith("mlm:")}
    assert MLModelProperties.model_validate(standard).name == "bright"


def test_every_task_and_head_has_a_fragment():
    found = {
        (model.task, model.head)
        for model in (parse_description(json.dumps(build_item(f)).encode()) for f in WHOLE)
    }

    assert found == {
        *(("detection", head) for head in ("rows", "objectness", "labeled", "detr")),
        ("detection", "torchvision"),
        ("oriented-detection", "rows"),
        ("instance-segmentation", "torchvision"),
        ("instance-segmentation", "prototypes"),
        ("segmentation", "scores"),
        ("segmentation", "labels"),
        ("classification", "scores"),
    }


def test_the_fragment_on_doubles():
    (options,) = (f["mlm:hyperparameters"] for f in FRAGMENTS if f not in WHOLE + OF_BANDS)
    plain = build_item(WHOLE[0])
    plain["properties"]["mlm:hyperparameters"].update(options)

    model = parse_description(json.dumps(plain).encode())

    assert model.matching == NmsOptions(strategy="nmm", metric="ios", threshold=0.5)


def test_the_fragment_on_units():
    (fragment,) = OF_BANDS
    item = description()
    item["properties"].update(fragment)
    item["properties"]["mlm:input"][0]["bands"] = ["B03"]

    model = parse_description(json.dumps(item).encode())

    assert model.units == (Unit("reflectance", 0.0001, -0.1),)
