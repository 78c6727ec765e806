"""Figures that others published, from the very detections that they were published for."""

import json

import numpy as np
import pytest
import shapely

from swath.evaluation.metrics.coco import coco_figures
from swath.evaluation.metrics.curves import curve_of, voc_average_precision
from swath.evaluation.metrics.matching import match
from swath.evaluation.metrics.objects import Found, Truth


@pytest.fixture
def golden(data):
    return data / "metrics_golden"


@pytest.fixture
def expected(golden):
    return json.loads((golden / "expected.json").read_text())


def read(folder, known, seen):
    """Truth, detections and how many classes, of files in COCO's form."""
    known = json.loads((folder / known).read_text())
    seen = json.loads((folder / seen).read_text())
    # COCO takes images in the order of their ids.
    images = {number: n for n, number in enumerate(sorted(i["id"] for i in known["images"]))}
    classes = {category["id"]: n for n, category in enumerate(known["categories"])}

    def columns(rows):
        box = np.array([row["bbox"] for row in rows], np.float64)
        box[:, 2:] += box[:, :2]
        return {
            "scene": np.array([images[row["image_id"]] for row in rows]),
            "label": np.array([classes[row["category_id"]] for row in rows]),
            "box": box,
        }

    crowd = np.array([bool(row["iscrowd"]) for row in known["annotations"]])
    truth = Truth(**columns(known["annotations"]), crowd=crowd)
    found = Found(**columns(seen), score=np.array([row["score"] for row in seen]))
    return truth, found, len(classes)


def test_coco(golden, expected):
    truth, found, classes = read(golden, "coco100_gt.json", "coco100_dt.json")
    wanted = expected["coco100"]

    figures = coco_figures(truth, found, classes)

    assert figures.ap() == pytest.approx(wanted["AP"], abs=1e-5)
    assert figures.ap(iou=0.5) == pytest.approx(wanted["AP50"], abs=1e-5)
    assert figures.ap(iou=0.75) == pytest.approx(wanted["AP75"], abs=1e-5)
    for size in ("small", "medium", "large"):
        assert figures.ap(size=size) == pytest.approx(wanted[f"AP{size[0]}"], abs=1e-5)
        assert figures.ar(size=size) == pytest.approx(wanted[f"AR{size[0]}"], abs=1e-5)


@pytest.mark.parametrize("limit", [1, 10, 100])
def test_coco_with_fewer_detections_a_scene(golden, expected, limit):
    truth, found, classes = read(golden, "coco100_gt.json", "coco100_dt.json")

    figures = coco_figures(truth, found, classes, limit=limit)

    assert figures.ar() == pytest.approx(expected["coco100"][f"AR{limit}"], abs=1e-5)


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.75])
def test_padilla(golden, expected, at):
    truth, found, _ = read(golden, "padilla_gt_coco.json", "padilla_dt_coco.json")
    wanted = expected["padilla"]["continuous_IoU (no +1; what modern code gives)"]["allpoint"]

    matches = match(truth, found, at=at, again=False)

    assert voc_average_precision(truth, found, matches) == pytest.approx(wanted[str(at)], abs=1e-5)


def test_coco_of_padillas_example(golden, expected):
    wanted = expected["padilla"]["pycocotools"]

    figures = coco_figures(*read(golden, "padilla_gt_coco.json", "padilla_dt_coco.json"))

    assert figures.ap() == pytest.approx(wanted["AP"], abs=1e-5)
    assert figures.ap(iou=0.5) == pytest.approx(wanted["AP50"], abs=1e-5)


def outlines(path):
    features = json.loads(path.read_text())["features"]
    shapes = [shapely.from_geojson(json.dumps(feature["geometry"])) for feature in features]
    outline = np.array(shapes, object)
    zeros = np.zeros(len(outline), np.int64)
    return {"scene": zeros, "label": zeros, "box": shapely.bounds(outline), "outline": outline}


def test_spacenet(golden, expected):
    known, seen = (outlines(golden / f"spacenet_{name}.geojson") for name in ("gt", "pred"))
    truth = Truth(**known, crowd=np.zeros(len(known["label"]), np.bool_))
    found = Found(**seen, score=np.ones(len(seen["label"])))
    wanted = expected["spacenet_polygons"]

    counts = curve_of(truth, found, match(truth, found, at=wanted["iou"])).counts(0.5)

    assert (counts.hits, counts.false, counts.missed) == (wanted["TP"], wanted["FP"], wanted["FN"])
    assert counts.precision == pytest.approx(wanted["P"])
    assert counts.recall == pytest.approx(wanted["R"])
    assert counts.f1 == pytest.approx(wanted["F1"])
