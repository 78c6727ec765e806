"""Tests of invariances: changes of the input that must not change any metric."""

import dataclasses

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.evaluation.metrics import coco
from swath.evaluation.metrics.coco import SIZES, coco_metrics
from swath.evaluation.metrics.confusion import confusion_matrix
from swath.evaluation.metrics.curves import build_curve, voc_average_precision
from swath.evaluation.metrics.matching import match
from swath.evaluation.metrics.objects import GroundTruth, Predictions

CLASSES, SCENES, SIDE = 3, 2, 300.0


@st.composite
def measured(draw):
    """Return ground truth with crowds, and predictions with hits, confusions and false alarms.

    All scores differ: COCO's result for ties depends on the order by its own rules.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    known, extra = draw(st.integers(0, 25)), draw(st.integers(0, 15))
    low = rng.uniform(0, 200, (known, 2))
    box = np.concatenate([low, low + rng.uniform(3, 100, (known, 2))], axis=1)
    truth = GroundTruth(
        scene=rng.integers(0, SCENES, known),
        label=rng.integers(0, CLASSES, known),
        box=box,
        crowd=rng.random(known) < draw(st.sampled_from([0.0, 0.2])),
    )
    again = np.flatnonzero(rng.random(known) < 0.8)
    again = np.concatenate([again, again[rng.random(len(again)) < 0.3]])
    low = rng.uniform(0, 200, (extra, 2))
    others = np.concatenate([low, low + rng.uniform(3, 100, (extra, 2))], axis=1)
    moved = box[again] + rng.normal(0, 3, (len(again), 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    label = np.concatenate([truth.label[again], rng.integers(0, CLASSES, extra)])
    mistaken = rng.random(len(label)) < 0.15
    label[mistaken] = rng.integers(0, CLASSES, mistaken.sum())
    predictions = Predictions(
        scene=np.concatenate([truth.scene[again], rng.integers(0, SCENES, extra)]),
        label=label,
        box=np.concatenate([moved, others]),
        score=rng.permutation(len(label)) / 100,
    )
    return truth, predictions


def all_figures(truth, predictions):
    """Return every metric as arrays, with the axis of classes first if there is one."""
    figures = coco_metrics(truth, predictions, CLASSES)
    curve = build_curve(truth, predictions, match(truth, predictions))
    voc = voc_average_precision(
        truth, predictions, match(truth, predictions, allow_next_best=False)
    )
    return (
        np.moveaxis(figures.precision, 2, 0),
        np.moveaxis(figures.recall, 1, 0),
        confusion_matrix(truth, predictions, CLASSES),
        np.stack([curve.score, curve.precision, curve.recall, curve.f1]),
        -1 if voc is None else voc,
    )


def assert_alike(one, other):
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


@given(measured(), st.randoms(use_true_random=False))
@settings(max_examples=12)
def test_the_order_of_rows_has_no_say(case, random):
    truth, predictions = case
    known, seen = list(range(len(truth))), list(range(len(predictions)))
    random.shuffle(known)
    random.shuffle(seen)

    shuffled = truth.take(np.array(known, np.int64)), predictions.take(np.array(seen, np.int64))

    assert_alike(all_figures(*shuffled), all_figures(truth, predictions))


@given(measured())
@settings(max_examples=12)
def test_scenes_side_by_side_are_as_good_as_apart(case):
    def beside(objects):
        shift = np.outer(objects.scene * SIDE * 2, [1, 0, 1, 0])
        one = np.zeros_like(objects.scene)
        return dataclasses.replace(objects, scene=one, box=objects.box + shift)

    truth, predictions = case

    assert_alike(all_figures(beside(truth), beside(predictions)), all_figures(truth, predictions))


@given(measured(), st.permutations(range(CLASSES)))
@settings(max_examples=12)
def test_the_numbers_of_classes_have_no_say(case, numbers):
    truth, predictions = case
    to = np.array(numbers)
    renamed = [dataclasses.replace(o, label=to[o.label]) for o in case]

    precision, recall, matrix, curve, voc = all_figures(*renamed)

    with_background = np.append(to, CLASSES)
    matrix = matrix[with_background][:, with_background]
    assert_alike((precision[to], recall[to], matrix, curve, voc), all_figures(truth, predictions))


@given(measured())
@settings(max_examples=12)
def test_pieces_are_as_good_as_whole_scenes(case):
    truth, predictions = case
    ours = coco_metrics(truth, predictions, CLASSES)

    precision, recall = by_the_library_alone(truth, predictions)

    np.testing.assert_allclose(ours.precision, precision, atol=1e-9)
    np.testing.assert_allclose(ours.recall, recall, atol=1e-9)


def by_the_library_alone(truth, predictions):
    """Return precision and recall by faster-coco-eval on whole scenes, with its own overlaps."""
    images = [{"id": number + 1, "width": 400, "height": 400} for number in range(SCENES)]
    categories = [{"id": number + 1, "name": str(number)} for number in range(CLASSES)]

    def rows(objects, **more):
        for number in range(len(objects)):
            x0, y0, x1, y1 = objects.box[number]
            yield {
                "id": number + 1,
                "image_id": int(objects.scene[number]) + 1,
                "category_id": int(objects.label[number]) + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": float(objects.area[number]),
                "iscrowd": 0,
            } | {name: values[number].item() for name, values in more.items()}

    known = {"annotations": list(rows(truth, iscrowd=truth.crowd.astype(int)))}
    seen = {"annotations": list(rows(predictions, score=predictions.score))}
    evaluator = COCOeval_faster(
        *(COCO(side | {"images": images, "categories": categories}) for side in (known, seen)),
        "bbox",
        print_function=lambda *_: None,
    )
    evaluator.params.maxDets = [1000]
    evaluator.params.areaRng = [list(limits) for limits in SIZES.values()]
    evaluator.params.areaRngLbl = list(SIZES)
    evaluator.evaluate()
    evaluator.accumulate()
    return evaluator.eval["precision"][..., 0], evaluator.eval["recall"][..., 0]


def test_images_of_few_objects_give_the_same(monkeypatch):
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 2000, (900, 2))
    box = np.concatenate([low, low + rng.uniform(10, 60, (900, 2))], axis=1)
    zeros = np.zeros(900, np.int64)
    truth = GroundTruth(scene=zeros, label=zeros, box=box, crowd=np.zeros(900, np.bool_))
    predictions = Predictions(
        scene=zeros, label=zeros, box=box + rng.normal(0, 2, box.shape), score=rng.random(900)
    )
    many = coco_metrics(truth, predictions, 1)
    monkeypatch.setattr(coco, "_OBJECTS_PER_IMAGE", 10**9)
    one = coco_metrics(truth, predictions, 1)

    np.testing.assert_array_equal(many.precision, one.precision)
    assert 0.3 < many.ap() < 1


@given(measured())
@settings(max_examples=25)
def test_confusion_accounts_for_everything(case):
    truth, predictions = case
    matrix, matches = confusion_matrix(truth, predictions, CLASSES), match(truth, predictions)

    hits = np.bincount(predictions.label[matches.hit], minlength=CLASSES)
    np.testing.assert_array_equal(np.diag(matrix)[:-1], hits)
    known = np.bincount(truth.label[~truth.crowd], minlength=CLASSES)
    np.testing.assert_array_equal(matrix[:-1].sum(axis=1), known)
    assert matrix[:, :-1].sum() <= len(predictions)
    if not truth.crowd.any():
        seen = np.bincount(predictions.label, minlength=CLASSES)
        np.testing.assert_array_equal(matrix[:, :-1].sum(axis=0), seen)


@given(measured(), st.floats(0, 0.5))
@settings(max_examples=25)
def test_a_curve_holds_what_each_threshold_gives(case, threshold):
    truth, predictions = case
    curve = build_curve(truth, predictions, match(truth, predictions))

    kept = predictions.take(predictions.score >= threshold)
    matches = match(truth, kept)

    counts = curve.counts(threshold)
    assert counts.hits == matches.hit.sum()
    assert counts.false == matches.false.sum()
    assert counts.missed == matches.missed.sum()


@given(measured())
@settings(max_examples=12)
def test_exact_detections_have_perfect_metrics(case):
    truth, _ = case
    truth = truth.take(~truth.crowd)
    predictions = Predictions(
        scene=truth.scene, label=truth.label, box=truth.box, score=np.linspace(1, 0.5, len(truth))
    )
    figures = coco_metrics(truth, predictions, CLASSES)

    assert figures.ap() == figures.ar() == (1.0 if len(truth) else None)
    assert not match(truth, predictions, min_iou=1.0).missed.any()
    assert confusion_matrix(truth, predictions, CLASSES).trace() == len(truth)


@given(measured())
@settings(max_examples=12)
def test_recall_agrees_with_the_matching(case):
    truth, predictions = case
    recall = coco_metrics(truth, predictions, CLASSES).recall[0, :, 0]

    matches = match(truth, predictions)

    for label in range(CLASSES):
        known = (truth.label == label) & ~truth.crowd
        if known.any():
            expected = (known & ~matches.missed).sum() / known.sum()
            assert recall[label] == pytest.approx(expected)
