"""Tests of cases whose metrics can be computed by hand."""

import numpy as np
import pytest
import shapely

from swath.evaluation.metrics.coco import coco_metrics
from swath.evaluation.metrics.confusion import confusion_matrix
from swath.evaluation.metrics.curves import build_curve, voc_average_precision
from swath.evaluation.metrics.matching import match
from swath.evaluation.metrics.objects import GroundTruth, Predictions
from swath.evaluation.metrics.pairs import build_pairs
from swath.evaluation.metrics.pixels import count_pixels, pixel_f1, pixel_iou

BOXES = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]], np.float64)


def known(box=BOXES, *, label=None, crowd=None, outline=None):
    zeros = np.zeros(len(box), np.int64)
    return GroundTruth(
        scene=zeros,
        label=zeros if label is None else np.array(label),
        box=box,
        crowd=np.zeros(len(box), np.bool_) if crowd is None else np.array(crowd),
        outline=outline,
    )


def seen(box=BOXES, *, score=None, label=None, outline=None):
    zeros = np.zeros(len(box), np.int64)
    return Predictions(
        scene=zeros,
        label=zeros if label is None else np.array(label),
        box=box,
        score=np.linspace(0.9, 0.6, len(box)) if score is None else np.array(score, np.float64),
        outline=outline,
    )


def test_perfect():
    figures = coco_metrics(known(), seen(), 1)

    assert figures.ap() == figures.ar() == figures.ap(size="small") == 1
    assert figures.ap(size="medium") is None
    assert build_curve(known(), seen(), match(known(), seen())).counts(0).f1 == 1


def test_no_detections():
    truth, predictions = known(), seen(np.empty((0, 4)))
    matches = match(truth, predictions)
    counts = build_curve(truth, predictions, matches).counts(0)

    assert coco_metrics(truth, predictions, 1).ap() == 0
    assert (counts.precision, counts.recall, counts.f1) == (None, 0, 0)
    assert build_curve(truth, predictions, matches).best is None
    assert voc_average_precision(truth, predictions, matches) == 0


def test_none_known():
    truth, predictions = known(np.empty((0, 4))), seen()
    matches = match(truth, predictions)
    counts = build_curve(truth, predictions, matches).counts(0)

    assert coco_metrics(truth, predictions, 1).ap() is None
    assert (counts.precision, counts.recall, counts.f1) == (0, None, 0)
    assert voc_average_precision(truth, predictions, matches) is None


def test_shifted_boxes_count_up_to_their_overlap():
    # Boxes of 10 x 10 px are moved by 2 px: 80 of 120 px² are shared.
    figures = coco_metrics(known(), seen(BOXES + np.array([2, 0, 2, 0])), 1)

    assert build_pairs(known(), seen(BOXES + np.array([2, 0, 2, 0]))).overlap == pytest.approx(
        [2 / 3] * 4
    )
    assert figures.ap(iou=0.65) == 1
    assert figures.ap(iou=0.7) == 0
    assert figures.ap() == pytest.approx(4 / 10)


def test_duplicates_are_false_positives():
    predictions = seen(np.concatenate([BOXES, BOXES]), score=[0.9] * 4 + [0.8] * 4)
    matches = match(known(), predictions)
    counts = build_curve(known(), predictions, matches).counts(0)

    assert (counts.precision, counts.recall) == (0.5, 1)
    assert coco_metrics(known(), predictions, 1).ap() == 1  # all duplicates come after full recall
    first = seen(np.repeat(BOXES, 2, axis=0), score=np.linspace(0.9, 0.2, 8))
    assert coco_metrics(known(), first, 1).ap(iou=0.5) == pytest.approx(
        (26 * 1 + 25 * 2 / 3 + 25 * 3 / 5 + 25 * 4 / 7) / 101
    )


def test_a_detection_may_take_the_next_best_object_but_not_in_voc():
    truth = known(np.array([[0, 0, 10, 10], [0, 2, 10, 12]], np.float64))
    predictions = seen(np.array([[0, 0.5, 10, 10.5], [0, 0.6, 10, 10.6]]), score=[0.9, 0.8])

    assert match(truth, predictions).truth.tolist() == [0, 1]
    assert match(truth, predictions, allow_next_best=False).truth.tolist() == [0, -1]


def test_crowds_take_any_number_and_count_neither_way():
    truth = known(np.array([[0, 0, 100, 100], [10, 10, 20, 20]], np.float64), crowd=[True, False])
    predictions = seen(np.array([[10, 10, 20, 20], [30, 30, 35, 35], [50, 50, 55, 55]], np.float64))
    matches = match(truth, predictions)

    assert matches.truth.tolist() == [1, 0, 0]
    assert matches.ignored.tolist() == [False, True, True]
    assert not matches.missed.any()
    assert coco_metrics(truth, predictions, 1).ap() == 1
    assert confusion_matrix(truth, predictions, 1).tolist() == [[1, 0], [0, 0]]


def test_confusion_of_classes():
    truth = known(label=[0, 0, 1, 1])
    predictions = seen(np.concatenate([BOXES[:3], BOXES[:1] + 200]), label=[0, 1, 1, 0])

    assert confusion_matrix(truth, predictions, 2).tolist() == [[1, 1, 0], [0, 1, 1], [1, 0, 0]]


def test_outlines_overlap_by_their_areas():
    square = shapely.box(0, 0, 10, 10)
    triangle = shapely.Polygon([(0, 0), (10, 0), (0, 10)])
    truth = known(BOXES[:1], outline=np.array([square], object))
    predictions = seen(BOXES[:1], outline=np.array([triangle], object))

    assert build_pairs(truth, predictions).overlap.tolist() == [0.5]
    assert match(truth, predictions, min_iou=0.5).hit.all()
    assert not match(truth, predictions, min_iou=0.51).hit.any()
    assert coco_metrics(truth, predictions, 1).ap() == pytest.approx(1 / 10)


def test_scenes_have_nothing_to_do_with_one_another():
    predictions = seen()
    elsewhere = Predictions(
        scene=predictions.scene + 1,
        label=predictions.label,
        box=predictions.box,
        score=predictions.score,
    )

    assert not match(known(), elsewhere).hit.any()


def test_detections_of_one_score_share_a_threshold():
    predictions = seen(np.concatenate([BOXES[:2], BOXES[:2] + 300]), score=[0.5] * 4)
    curve = build_curve(known(), predictions, match(known(), predictions))

    assert curve.score.tolist() == [0.5]
    assert curve.precision.tolist() == [0.5]
    assert curve.counts(0.51).hits == 0


def test_the_best_threshold():
    predictions = seen(
        np.concatenate([BOXES[:3], BOXES + 300]), score=[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    )
    curve = build_curve(known(), predictions, match(known(), predictions))

    assert curve.best == pytest.approx(0.7)
    assert curve.counts(curve.best).f1 == pytest.approx(6 / 7)


def test_pixels():
    truth = np.array([[0, 0, 1, 2], [0, 0, 1, 2]], np.uint8)
    said = np.array([[0, 1, 1, 2], [0, 0, 2, 0]], np.uint8)
    valid = np.array([[True] * 4, [True, True, True, False]])

    counts = count_pixels(truth, said, valid, 2)

    assert counts.tolist() == [[3, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert pixel_iou(counts) == pytest.approx([3 / 4, 1 / 3, 1 / 2])
    assert pixel_f1(counts) == pytest.approx([6 / 7, 1 / 2, 2 / 3])


def test_a_class_without_objects_has_no_metric():
    nothing = np.full((2, 2), 1, np.uint8)

    iou = pixel_iou(count_pixels(nothing, nothing, np.ones((2, 2), np.bool_), 1))

    assert np.isnan(iou[0])
    assert iou[1] == 1
