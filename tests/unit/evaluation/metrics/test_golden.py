"""Tests of published metrics, computed from the detections that they were published for."""

import json

import numpy as np
import pytest
import shapely

from swath.evaluation.metrics.coco import coco_metrics
from swath.evaluation.metrics.curves import build_curve, voc_average_precision
from swath.evaluation.metrics.matching import match
from swath.evaluation.metrics.objects import GroundTruth, Predictions


@pytest.fixture
def golden(data):
    return data / "metrics_golden"


@pytest.fixture
def expected(golden):
    return json.loads((golden / "expected.json").read_text())


def read(folder, known, seen):
    """Return ground truth, predictions and the number of classes, from files in COCO's format."""
    known = json.loads((folder / known).read_text())
    seen = json.loads((folder / seen).read_text())
    # COCO sorts images by their ids.
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
    truth = GroundTruth(**columns(known["annotations"]), crowd=crowd)
    predictions = Predictions(**columns(seen), score=np.array([row["score"] for row in seen]))
    return truth, predictions, len(classes)


def test_coco(golden, expected):
    truth, predictions, classes = read(golden, "coco100_gt.json", "coco100_dt.json")
    wanted = expected["coco100"]

    figures = coco_metrics(truth, predictions, classes)

    assert figures.ap() == pytest.approx(wanted["AP"], abs=1e-5)
    assert figures.ap(iou=0.5) == pytest.approx(wanted["AP50"], abs=1e-5)
    assert figures.ap(iou=0.75) == pytest.approx(wanted["AP75"], abs=1e-5)
    for size in ("small", "medium", "large"):
        assert figures.ap(size=size) == pytest.approx(wanted[f"AP{size[0]}"], abs=1e-5)
        assert figures.ar(size=size) == pytest.approx(wanted[f"AR{size[0]}"], abs=1e-5)


@pytest.mark.parametrize("max_predictions", [1, 10, 100])
def test_coco_with_fewer_detections_a_scene(golden, expected, max_predictions):
    truth, predictions, classes = read(golden, "coco100_gt.json", "coco100_dt.json")

    figures = coco_metrics(truth, predictions, classes, max_predictions=max_predictions)

    assert figures.ar() == pytest.approx(expected["coco100"][f"AR{max_predictions}"], abs=1e-5)


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.75])
def test_padilla(golden, expected, at):
    truth, predictions, _ = read(golden, "padilla_gt_coco.json", "padilla_dt_coco.json")
    wanted = expected["padilla"]["continuous_IoU (no +1; what modern code gives)"]["allpoint"]

    matches = match(truth, predictions, min_iou=at, allow_next_best=False)

    assert voc_average_precision(truth, predictions, matches) == pytest.approx(
        wanted[str(at)], abs=1e-5
    )


def test_coco_of_padillas_example(golden, expected):
    wanted = expected["padilla"]["pycocotools"]

    figures = coco_metrics(*read(golden, "padilla_gt_coco.json", "padilla_dt_coco.json"))

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
    truth = GroundTruth(**known, crowd=np.zeros(len(known["label"]), np.bool_))
    predictions = Predictions(**seen, score=np.ones(len(seen["label"])))
    wanted = expected["spacenet_polygons"]

    counts = build_curve(
        truth, predictions, match(truth, predictions, min_iou=wanted["iou"])
    ).counts(0.5)

    assert (counts.hits, counts.false, counts.missed) == (wanted["TP"], wanted["FP"], wanted["FN"])
    assert counts.precision == pytest.approx(wanted["P"])
    assert counts.recall == pytest.approx(wanted["R"])
    assert counts.f1 == pytest.approx(wanted["F1"])
