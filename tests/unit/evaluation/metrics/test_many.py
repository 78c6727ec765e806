"""Test of a scene with 100,000 objects: a matrix of all pairs would need 80 GB."""

import numpy as np
import pytest

from swath.evaluation.metrics.coco import coco_metrics
from swath.evaluation.metrics.confusion import confusion_matrix
from swath.evaluation.metrics.matching import match
from swath.evaluation.metrics.objects import GroundTruth, Predictions

COUNT, CLASSES = 100_000, 3


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 20_000, (COUNT, 2))
    box = np.concatenate([low, low + rng.uniform(5, 40, (COUNT, 2))], axis=1)
    truth = GroundTruth(
        scene=np.zeros(COUNT, np.int64),
        label=rng.integers(0, CLASSES, COUNT),
        box=box,
        crowd=np.zeros(COUNT, np.bool_),
    )
    predictions = Predictions(
        scene=truth.scene,
        label=truth.label,
        box=box + rng.normal(0, 1, box.shape),
        score=rng.random(COUNT),
    )
    return truth, predictions


def test_matching_and_confusion(scene):
    hits = match(*scene).hit.sum()
    matrix = confusion_matrix(*scene, CLASSES)

    assert 0.98 * COUNT < hits < COUNT
    assert matrix.trace() == hits


def test_coco(scene):
    figures = coco_metrics(*scene, CLASSES)

    assert figures.ar(iou=0.5) > 0.98
    assert 0.5 < figures.ap() < 0.8
