"""Cases whose figures can be worked out by hand."""

import numpy as np
import pytest
import shapely

from swath.evaluation.metrics.coco import coco_figures
from swath.evaluation.metrics.confusion import confusion
from swath.evaluation.metrics.curves import curve_of, voc_average_precision
from swath.evaluation.metrics.matching import match
from swath.evaluation.metrics.objects import Found, Truth
from swath.evaluation.metrics.pairs import pairs_of
from swath.evaluation.metrics.pixels import count_pixels, pixel_f1, pixel_iou

BOXES = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]], np.float64)


def known(box=BOXES, *, label=None, crowd=None, outline=None):
    zeros = np.zeros(len(box), np.int64)
    return Truth(
        scene=zeros,
        label=zeros if label is None else np.array(label),
        box=box,
        crowd=np.zeros(len(box), np.bool_) if crowd is None else np.array(crowd),
        outline=outline,
    )


def seen(box=BOXES, *, score=None, label=None, outline=None):
    zeros = np.zeros(len(box), np.int64)
    return Found(
        scene=zeros,
        label=zeros if label is None else np.array(label),
        box=box,
        score=np.linspace(0.9, 0.6, len(box)) if score is None else np.array(score, np.float64),
        outline=outline,
    )


def test_perfect():
    figures = coco_figures(known(), seen(), 1)

    assert figures.ap() == figures.ar() == figures.ap(size="small") == 1
    assert figures.ap(size="medium") is None
    assert curve_of(known(), seen(), match(known(), seen())).counts(0).f1 == 1


def test_none_found():
    truth, found = known(), seen(np.empty((0, 4)))
    matches = match(truth, found)
    counts = curve_of(truth, found, matches).counts(0)

    assert coco_figures(truth, found, 1).ap() == 0
    assert (counts.precision, counts.recall, counts.f1) == (None, 0, 0)
    assert curve_of(truth, found, matches).best is None
    assert voc_average_precision(truth, found, matches) == 0


def test_none_known():
    truth, found = known(np.empty((0, 4))), seen()
    matches = match(truth, found)
    counts = curve_of(truth, found, matches).counts(0)

    assert coco_figures(truth, found, 1).ap() is None
    assert (counts.precision, counts.recall, counts.f1) == (0, None, 0)
    assert voc_average_precision(truth, found, matches) is None


def test_shifted_boxes_count_up_to_their_overlap():
    # 10 x 10 px moved by 2 px: 80 of 120 px² are shared.
    figures = coco_figures(known(), seen(BOXES + np.array([2, 0, 2, 0])), 1)

    assert pairs_of(known(), seen(BOXES + np.array([2, 0, 2, 0]))).overlap == pytest.approx(
        [2 / 3] * 4
    )
    assert figures.ap(iou=0.65) == 1
    assert figures.ap(iou=0.7) == 0
    assert figures.ap() == pytest.approx(4 / 10)


def test_doubles_are_false_alarms():
    found = seen(np.concatenate([BOXES, BOXES]), score=[0.9] * 4 + [0.8] * 4)
    matches = match(known(), found)
    counts = curve_of(known(), found, matches).counts(0)

    assert (counts.precision, counts.recall) == (0.5, 1)
    assert coco_figures(known(), found, 1).ap() == 1  # all doubles come after full recall
    first = seen(np.repeat(BOXES, 2, axis=0), score=np.linspace(0.9, 0.2, 8))
    assert coco_figures(known(), first, 1).ap(iou=0.5) == pytest.approx(
        (26 * 1 + 25 * 2 / 3 + 25 * 3 / 5 + 25 * 4 / 7) / 101
    )


def test_a_detection_may_take_the_next_best_object_but_not_in_voc():
    truth = known(np.array([[0, 0, 10, 10], [0, 2, 10, 12]], np.float64))
    found = seen(np.array([[0, 0.5, 10, 10.5], [0, 0.6, 10, 10.6]]), score=[0.9, 0.8])

    assert match(truth, found).truth.tolist() == [0, 1]
    assert match(truth, found, again=False).truth.tolist() == [0, -1]


def test_crowds_take_any_number_and_count_neither_way():
    truth = known(np.array([[0, 0, 100, 100], [10, 10, 20, 20]], np.float64), crowd=[True, False])
    found = seen(np.array([[10, 10, 20, 20], [30, 30, 35, 35], [50, 50, 55, 55]], np.float64))
    matches = match(truth, found)

    assert matches.truth.tolist() == [1, 0, 0]
    assert matches.ignored.tolist() == [False, True, True]
    assert not matches.missed.any()
    assert coco_figures(truth, found, 1).ap() == 1
    assert confusion(truth, found, 1).tolist() == [[1, 0], [0, 0]]


def test_confusion_of_classes():
    truth = known(label=[0, 0, 1, 1])
    found = seen(np.concatenate([BOXES[:3], BOXES[:1] + 200]), label=[0, 1, 1, 0])

    assert confusion(truth, found, 2).tolist() == [[1, 1, 0], [0, 1, 1], [1, 0, 0]]


def test_outlines_overlap_by_their_areas():
    square = shapely.box(0, 0, 10, 10)
    triangle = shapely.Polygon([(0, 0), (10, 0), (0, 10)])
    truth = known(BOXES[:1], outline=np.array([square], object))
    found = seen(BOXES[:1], outline=np.array([triangle], object))

    assert pairs_of(truth, found).overlap.tolist() == [0.5]
    assert match(truth, found, at=0.5).hit.all()
    assert not match(truth, found, at=0.51).hit.any()
    assert coco_figures(truth, found, 1).ap() == pytest.approx(1 / 10)


def test_scenes_have_nothing_to_do_with_one_another():
    found = seen()
    elsewhere = Found(scene=found.scene + 1, label=found.label, box=found.box, score=found.score)

    assert not match(known(), elsewhere).hit.any()


def test_detections_of_one_score_stand_or_fall_together():
    found = seen(np.concatenate([BOXES[:2], BOXES[:2] + 300]), score=[0.5] * 4)
    curve = curve_of(known(), found, match(known(), found))

    assert curve.score.tolist() == [0.5]
    assert curve.precision.tolist() == [0.5]
    assert curve.counts(0.51).hits == 0


def test_the_best_threshold():
    found = seen(
        np.concatenate([BOXES[:3], BOXES + 300]), score=[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    )
    curve = curve_of(known(), found, match(known(), found))

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


def test_a_class_that_is_nowhere_has_no_figure():
    nothing = np.full((2, 2), 1, np.uint8)

    iou = pixel_iou(count_pixels(nothing, nothing, np.ones((2, 2), np.bool_), 1))

    assert np.isnan(iou[0])
    assert iou[1] == 1
