"""Tests of COCO's metrics, from label files as swath reads them, against faster-coco-eval.

The cases are random:

- several images, some of them empty
- classes, some without labels or without detections
- stated areas that differ from the boxes' areas, also exactly at the borders of sizes
- crowds, and scores with ties
"""

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.evaluation.metrics.coco import coco_metrics
from swath.evaluation.metrics.objects import GroundTruth, Predictions
from tests.helpers.fuzzing import draws

NAMES = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
CLASSES = 3


@st.composite
def files(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = draw(st.integers(1, 4))
    known, wrong = draw(st.integers(0, 20)), draw(st.integers(0, 10))
    sides = rng.choice([8, 32, 50, 96, 150], (known, 2))
    low = rng.integers(0, 200, (known, 2))
    area = np.where(rng.random(known) < 0.5, sides.prod(axis=1) * rng.uniform(0.2, 1, known), 0)
    area = np.where(rng.random(known) < 0.2, rng.choice([32**2, 96**2], known), area)
    truth = [
        {
            "id": i + 1,
            "image_id": int(rng.integers(images)) + 1,
            "category_id": int(rng.integers(CLASSES - 1)) + 1,
            "bbox": [*low[i].tolist(), *sides[i].tolist()],
            "area": float(area[i] or sides[i].prod()),
            "iscrowd": int(rng.random() < draw(st.sampled_from([0, 0.2]))),
        }
        for i in range(known)
    ]
    predictions = []
    for one in truth:
        if rng.random() < 0.8:
            box = np.add(one["bbox"], rng.integers(-3, 4, 4))
            predictions.append(
                {**one, "bbox": [*box[:2].tolist(), *np.maximum(box[2:], 1).tolist()]}
            )
    for _ in range(wrong):
        box = [*rng.integers(0, 200, 2).tolist(), *rng.choice([10, 60, 120], 2).tolist()]
        image, label = int(rng.integers(images)) + 1, int(rng.integers(CLASSES)) + 1
        predictions.append({"image_id": image, "category_id": label, "bbox": box})
    few = draw(st.booleans())
    for one in predictions:
        one["score"] = float(rng.integers(1, 4) / 4 if few else rng.random())
    return images, truth, predictions


def by_the_library(images, truth, predictions):
    content = {
        "images": [{"id": i + 1, "width": 400, "height": 400} for i in range(images)],
        "categories": [{"id": i + 1, "name": str(i)} for i in range(CLASSES)],
        "annotations": truth,
    }
    names = ("image_id", "category_id", "bbox", "score")
    results = [{name: one[name] for name in names} for one in predictions]
    known = COCO(content)
    evaluator = COCOeval_faster(
        known, known.loadRes(results), "bbox", print_function=lambda *_: None
    )
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    stats = evaluator.stats[:6].tolist()
    # No image has more than a hundred detections, so AR includes all of them.
    return dict(zip((*NAMES, "AR"), [*stats, evaluator.stats[8]], strict=True))


def columns(objects):
    corner = np.array([one["bbox"] for one in objects], np.float64).reshape(-1, 4)
    corner[:, 2:] += corner[:, :2]
    return {
        "scene": np.array([one["image_id"] for one in objects], np.int64),
        "label": np.array([one["category_id"] for one in objects], np.int64) - 1,
        "box": corner,
    }


@pytest.mark.fuzz
@settings(max_examples=draws(60, fuzz=3000), deadline=None)
@given(files())
def test_metrics_are_those_of_coco(case):
    images, truth, predictions = case
    if not predictions:  # the library cannot load an empty list
        return
    figures = coco_metrics(
        GroundTruth(
            **columns(truth),
            crowd=np.array([one["iscrowd"] for one in truth], np.bool_),
            coco_area=np.array([one["area"] for one in truth], np.float64),
        ),
        Predictions(**columns(predictions), score=np.array([one["score"] for one in predictions])),
        CLASSES,
    )

    ours = {
        "AP": figures.ap(),
        "AP50": figures.ap(iou=0.5),
        "AP75": figures.ap(iou=0.75),
        "AP_small": figures.ap(size="small"),
        "AP_medium": figures.ap(size="medium"),
        "AP_large": figures.ap(size="large"),
        "AR": figures.ar(),
    }
    ours = {name: -1 if value is None else value for name, value in ours.items()}
    assert ours == pytest.approx(by_the_library(images, truth, predictions), abs=1e-9)
