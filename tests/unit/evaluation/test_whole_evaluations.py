"""Tests of all object metrics on random, hostile evaluations, against loops over each pair.

The evaluations are random:

- scenes and classes, some without labels or detections
- boxes that touch, nest, repeat, have no area, lie outside the scene or cover 1e10 px²
- rotated boxes, whose overlap shapely computes
- crowds, stated areas at COCO's borders of sizes, and scores with ties

Coordinates are whole numbers, so an overlap of exactly a half is common.
"""

import dataclasses

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.evaluation.measure import measure_objects
from swath.evaluation.metrics.coco import IOUS, SIZES
from swath.evaluation.metrics.confusion import confusion_matrix
from swath.evaluation.metrics.objects import GroundTruth, Predictions
from tests.helpers.fuzzing import draws

CLASSES, SCENES, THRESHOLD = 3, 3, 0.5
NEARLY_ONE = 1 - 1e-10
SIDES = np.array([1, 2, 8, 16, 32, 60, 96, 120])


@st.composite
def evaluations(draw, *, tied=None):
    """Return random ground truth and predictions, as boxes or outlines, ordered by scene."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    outlined = draw(st.booleans())
    known, extra = draw(st.integers(0, 14)), draw(st.integers(0, 8))
    box = boxes(rng, known)
    if draw(st.integers(0, 5)) == 0:
        box = box * 4096.0  # areas beyond 1e10 px²
    again = rng.integers(0, known, draw(st.integers(0, 16))) if known else np.empty(0, np.int64)
    near = box[again] + np.rint(rng.choice([0.0, 1.0, 4.0]) * rng.normal(0, 1, (len(again), 4)))
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])  # some without an area
    label, scene = rng.integers(0, CLASSES - 1, known), rng.integers(0, SCENES - 1, known)
    seen = np.concatenate([near, boxes(rng, extra)])
    own = {
        "scene": np.concatenate([scene[again], rng.integers(0, SCENES, extra)]),
        "label": np.concatenate([label[again], rng.integers(0, CLASSES, extra)]),
        "score": scores(rng, len(seen), tied=draw(st.booleans()) if tied is None else tied),
    }
    mistaken = rng.random(len(seen)) < 0.1
    own["label"][mistaken] = rng.integers(0, CLASSES, mistaken.sum())
    size = (box[:, 2:] - box[:, :2]).prod(axis=1)
    stated = np.where(rng.random(known) < 0.3, rng.choice([32.0**2, 96.0**2, 2e10], known), size)
    truth = GroundTruth(
        scene=scene,
        label=label,
        box=box,
        outline=turned(rng, box) if outlined else None,
        crowd=rng.random(known) < draw(st.sampled_from([0.0, 0.3])),
        coco_area=stated if draw(st.booleans()) else None,
    )
    predictions = Predictions(box=seen, outline=turned(rng, seen) if outlined else None, **own)
    return truth, predictions.take(np.argsort(predictions.scene, kind="stable"))


def boxes(rng, count):
    low = rng.integers(-20, 100, (count, 2)).astype(np.float64)
    return np.concatenate([low, low + rng.choice(SIDES, (count, 2))], axis=1)


def scores(rng, count, *, tied):
    values = rng.integers(1, 5, count) / 4 if tied else rng.permutation(count) / max(count, 1)
    return np.asarray(values, np.float64)


def turned(rng, box):
    """Return boxes as polygons, half of them rotated about their center. Their bounds differ."""
    shapes = [shapely.box(*row) for row in box]
    turns = np.where(rng.random(len(box)) < 0.5, 0.0, rng.uniform(0, 180, len(box)))
    return np.array(
        [shapely.affinity.rotate(s, t) for s, t in zip(shapes, turns, strict=True)], object
    )


def overlap_of(truth, predictions, known, seen):
    """Return intersection over union of two rows, or over the prediction's area for a crowd."""
    if truth.outline is None:
        a, b = predictions.box[seen], truth.box[known]
        wide, high = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
        shared = max(wide, 0) * max(high, 0)
        own, other = ((box[2:] - box[:2]).prod() for box in (a, b))
    else:
        one, two = predictions.outline[seen], truth.outline[known]
        shared, own, other = one.intersection(two).area, one.area, two.area
    whole = own if truth.crowd[known] else own + other - shared
    return shared / whole if whole > 0 else 0.0


def overlaps(truth, predictions):
    return np.array(
        [
            [
                overlap_of(truth, predictions, k, s)
                if truth.scene[k] == predictions.scene[s]
                else 0.0
                for k in range(len(truth))
            ]
            for s in range(len(predictions))
        ]
    ).reshape(len(predictions), len(truth))


def greedy(rows, columns, overlap, crowd, ignored, at):
    """Return COCO's matching of one image, as in cocoeval.py: the column of each row, or -1."""
    columns = sorted(columns, key=lambda k: ignored[k])
    taken, of = set(), {}
    for row in rows:
        best, match = min(at, NEARLY_ONE), -1
        for column in columns:
            if column in taken and not crowd[column]:
                continue
            if match > -1 and not ignored[match] and ignored[column]:
                break
            if overlap[row, column] >= max(best, 1e-300):
                best, match = overlap[row, column], column
        of[row] = match
        if match > -1:
            taken.add(match)
    return of


def ranked(predictions, rows):
    return sorted(rows, key=lambda row: -predictions.score[row])


def coco(truth, predictions, label, at, size):
    """Return (precision at 101 recalls, recall) of one class, IoU and size; None = no truth."""
    overlap = overlaps(truth, predictions)
    low, high = SIZES[size] if size != "all" else (0, np.inf)
    area = truth.area if truth.coco_area is None else truth.coco_area
    ignored = truth.crowd | (area < low) | (area > high)
    known = [k for k in range(len(truth)) if truth.label[k] == label]
    wanted = sum(not ignored[k] for k in known)
    if not wanted:
        return None
    of = {}
    for scene in range(SCENES):
        rows = ranked(
            predictions,
            [
                s
                for s in range(len(predictions))
                if predictions.label[s] == label and predictions.scene[s] == scene
            ],
        )
        columns = [k for k in known if truth.scene[k] == scene]
        of |= greedy(rows, columns, overlap, truth.crowd, ignored, at)
    right, wrong, points = 0, 0, []
    for row in ranked(predictions, of):
        match = of[row]
        beyond = not low <= predictions.area[row] <= high
        if (match > -1 and ignored[match]) or (match < 0 and beyond):
            continue
        right, wrong = right + (match > -1), wrong + (match < 0)
        points.append((right / wanted, right / (right + wrong)))
    precision = [
        max((p for r, p in points if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)
    ]
    return precision, points[-1][0] if points else 0.0


def coco_metrics(truth, predictions, labels):
    """Return COCO's metrics by name, over the given classes."""
    figures = {}
    for size in SIZES:
        suffix = "" if size == "all" else f"_{size}"
        found_of = {
            (label, at): coco(truth, predictions, label, at, size)
            for label in labels
            for at in IOUS
        }
        known = {key: one for key, one in found_of.items() if one is not None}

        def mean(place, ats, known=known):
            values = [np.mean(one[place]) for (_, at), one in known.items() if at in ats]
            return np.mean(values) if values else None

        figures[f"AP{suffix}"] = mean(0, IOUS)
        figures[f"AP50{suffix}"] = mean(0, [IOUS[0]])
        figures[f"AR{suffix}"] = mean(1, IOUS)
        if size == "all":
            figures["AP75"] = mean(0, [IOUS[5]])
    return figures


def by_score(truth, predictions, labels, least=-1.0):
    """Return the matched object, or -1, of each prediction with a score of `least` or more."""
    overlap = overlaps(truth, predictions)
    of = {}
    for label in labels:
        for scene in range(SCENES):
            rows = [
                s
                for s in range(len(predictions))
                if (predictions.label[s], predictions.scene[s]) == (label, scene)
                and predictions.score[s] >= least
            ]
            columns = [
                k for k in range(len(truth)) if (truth.label[k], truth.scene[k]) == (label, scene)
            ]
            of |= greedy(ranked(predictions, rows), columns, overlap, truth.crowd, truth.crowd, 0.5)
    return of


def counts(truth, predictions, labels, least):
    of = by_score(truth, predictions, labels, least)
    hits = sum(k > -1 and not truth.crowd[k] for k in of.values())
    known = sum(truth.label[k] in labels and not truth.crowd[k] for k in range(len(truth)))
    return hits, sum(k < 0 for k in of.values()), known


def share(part, whole):
    return part / whole if whole else None


def f1(hits, false, known):
    return share(2 * hits, hits + false + known)


def thresholded(truth, predictions, labels):
    """Return precision, recall and F1 at the threshold, and the best F1 over all thresholds."""
    hits, false, known = counts(truth, predictions, labels, THRESHOLD)
    of_class = [
        s for s, label in zip(predictions.score, predictions.label, strict=True) if label in labels
    ]
    tried = sorted(set(of_class), reverse=True)
    by_score = [f1(*counts(truth, predictions, labels, score)) or 0.0 for score in tried]
    best = int(np.argmax(by_score)) if tried else None
    none = 0.0 if known else None
    measured_at = None if best is None else f1(*counts(truth, predictions, labels, tried[best]))
    return {
        "precision": share(hits, hits + false),
        "recall": share(hits, known),
        "F1": f1(hits, false, known),
        "best_F1": none if best is None else measured_at,
        "best_threshold": None if measured_at is None else tried[best],
    }


def voc(truth, predictions, label):
    """Return Pascal VOC's AP: a prediction matches its best object or none, at all points."""
    overlap, taken, points, right, wrong = overlaps(truth, predictions), set(), [], 0, 0
    known = np.flatnonzero(truth.label == label)
    wanted = (~truth.crowd[known]).sum()
    for row in ranked(predictions, np.flatnonzero(predictions.label == label).tolist()):
        near = [k for k in known.tolist() if overlap[row, k] >= 0.5]
        if not near:
            wrong += 1
        else:
            best = max(near, key=lambda k: (not truth.crowd[k], overlap[row, k], k))
            if truth.crowd[best]:
                continue
            right, wrong = right + (best not in taken), wrong + (best in taken)
            taken.add(best)
        points.append((right, right / (right + wrong)))
    if not wanted:
        return None
    rises = [max((p for r, p in points if r >= hit), default=0) for hit in range(1, right + 1)]
    return sum(rises) / wanted


def confused(truth, predictions):
    """Return the confusion matrix (truth, predicted): pairs of one class first, then the others."""
    kept = [s for s in range(len(predictions)) if predictions.score[s] >= THRESHOLD]
    of = by_score(truth, predictions, range(CLASSES), THRESHOLD)
    matrix = np.zeros((CLASSES + 1, CLASSES + 1), int)
    taken = {k for k in of.values() if k > -1}
    overlap = overlaps(truth, predictions)
    left = [s for s in kept if of[s] < 0]
    other = {}
    for scene in range(SCENES):
        rows = ranked(predictions, [s for s in left if predictions.scene[s] == scene])
        free = [
            k
            for k in range(len(truth))
            if k not in taken and not truth.crowd[k] and truth.scene[k] == scene
        ]
        other |= greedy(rows, free, overlap, truth.crowd, truth.crowd, 0.5)
    for row in kept:
        match = of[row] if of[row] > -1 else other[row]
        if match < 0 or not truth.crowd[match]:
            matrix[truth.label[match] if match > -1 else CLASSES, predictions.label[row]] += 1
    matched = taken | set(other.values())
    for k in range(len(truth)):
        if k not in matched and not truth.crowd[k]:
            matrix[truth.label[k], CLASSES] += 1
    return matrix


def measured(truth, predictions):
    names = [str(label) for label in range(CLASSES)]
    return measure_objects(truth, predictions, names, threshold=THRESHOLD, iou=0.5)


def assert_same(ours, expected):
    for name, value in expected.items():
        if value is None:
            assert ours[name] is None, name
        else:
            assert ours[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.fuzz
@settings(max_examples=draws(25, fuzz=3000), deadline=None)
@given(evaluations())
def test_metrics_are_those_of_loops_over_each_pair(case):
    truth, predictions = case

    whole, classes, _ = measured(truth, predictions)

    every = range(CLASSES)
    assert_same(
        whole, coco_metrics(truth, predictions, every) | thresholded(truth, predictions, every)
    )
    for label, one in enumerate(classes):
        expected = coco_metrics(truth, predictions, [label]) | thresholded(
            truth, predictions, [label]
        )
        assert_same(one.metrics, expected | {"VOC_AP": voc(truth, predictions, label)})
        assert one.objects == (~truth.crowd & (truth.label == label)).sum()


@pytest.mark.fuzz
@settings(max_examples=draws(60, fuzz=5000), deadline=None)
@given(evaluations())
def test_confusion_sums_up_to_hits_false_alarms_and_objects(case):
    truth, predictions = case
    kept = predictions.take(predictions.score >= THRESHOLD)

    matrix = confusion_matrix(truth, kept, CLASSES)

    np.testing.assert_array_equal(matrix, confused(truth, predictions))
    for label in range(CLASSES):
        hits, false, known = counts(truth, predictions, [label], THRESHOLD)
        assert matrix[label].sum() == known
        assert matrix[:, label].sum() == hits + false
        assert matrix[label, label] == hits


def flat(case):
    whole, classes, _ = measured(*case)
    return [whole, *(one.metrics for one in classes)]


def assert_alike(one, other, *, but=()):
    for ours, theirs in zip(one, other, strict=True):
        assert_same(ours, {name: v for name, v in theirs.items() if not name.endswith(tuple(but))})


@pytest.mark.fuzz
@settings(max_examples=draws(25, fuzz=3000), deadline=None)
@given(evaluations(tied=False), st.permutations(range(SCENES)))
def test_the_order_of_scenes_has_no_say(case, to):
    def renumbered(objects):
        moved = dataclasses.replace(objects, scene=np.array(to)[objects.scene])
        return moved.take(np.argsort(moved.scene, kind="stable"))

    assert_alike(flat(map(renumbered, case)), flat(case))


@pytest.mark.fuzz
@settings(max_examples=draws(25, fuzz=3000), deadline=None)
@given(evaluations(), st.sampled_from([0.25, 2.0, 64.0]))
def test_the_size_of_a_px_changes_sizes_alone(case, factor):
    def scaled(objects):
        outline = objects.outline
        if outline is not None and len(outline):
            outline = shapely.transform(outline, lambda points: points * factor)
        return dataclasses.replace(objects, box=objects.box * factor, outline=outline)

    assert_alike(flat(map(scaled, case)), flat(case), but=("_small", "_medium", "_large"))


@pytest.mark.fuzz
@settings(max_examples=draws(25, fuzz=3000), deadline=None)
@given(evaluations())
def test_what_scores_less_changes_nothing_at_the_threshold(case):
    truth, predictions = case
    kept = predictions.take(predictions.score >= THRESHOLD)

    for ours, theirs in zip(flat((truth, kept)), flat(case), strict=True):
        assert_same(ours, {name: theirs[name] for name in ("precision", "recall", "F1")})


@pytest.mark.fuzz
@settings(max_examples=draws(25, fuzz=3000), deadline=None)
@given(evaluations(tied=False), st.integers(0, 99))
def test_ap_never_rises_where_the_one_detection_of_an_object_goes(case, pick):
    truth, predictions = case
    overlap = overlaps(truth, predictions)
    near = (overlap >= 0.5) & (predictions.label[:, None] == truth.label)
    alone = near & (near.sum(axis=0) == 1) & (near.sum(axis=1) == 1)[:, None] & ~truth.crowd
    # The detection is a hit at each IoU. A hit at the lowest alone is a false alarm at the others.
    rows = np.flatnonzero((alone & (overlap >= IOUS[-1])).any(axis=1))
    if not len(rows):
        return
    less = predictions.take(np.arange(len(predictions)) != rows[pick % len(rows)])

    before, after = measured(truth, predictions)[0], measured(truth, less)[0]

    for name in ("AP", "AP50", "AP75", "AR", "VOC_AP", "best_F1", "recall"):
        assert after[name] <= before[name] + 1e-12, name
