"""Tests of NMS and its variants in one tile, against the sequential loops of their papers."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.detection.boxes import iou
from swath.detection.nms import apply_nms, greedy_suppress, nms_assign
from swath.detection.overlap import BoxesOrPolygons
from swath.models.nms_options import NmsOptions

_STRATEGIES = ["none", "nms", "soft-nms", "nmm", "wbf"]
coordinates = st.integers(0, 20)


def as_boxes(rows):
    rows = np.array(rows, np.float64).reshape(-1, 4)
    return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1)


def reduce(rows, scores, labels=None, *, as_outlines=False, score_threshold=0.0, **matching):
    boxes = np.array(rows, np.float64).reshape(-1, 4)
    return apply_nms(
        boxes,
        np.array(scores, np.float32),
        np.zeros(len(boxes), np.int16) if labels is None else np.array(labels, np.int16),
        NmsOptions(**matching),
        outline=shapely.box(*boxes.T) if as_outlines else None,
        score_threshold=score_threshold,
    )


@st.composite
def candidates(draw):
    """Return crowded boxes (n, 4), scores with ties, and labels of two classes."""
    rows = draw(
        st.lists(
            st.tuples(coordinates, coordinates, st.integers(1, 9), st.integers(1, 9)), max_size=25
        )
    )
    score = [draw(st.sampled_from([0.2, 0.5, 0.9])) for _ in rows]
    label = [draw(st.integers(0, 1)) for _ in rows]
    return as_boxes(rows), np.array(score, np.float32), np.array(label, np.int16)


def overlap(better, worse, metric):
    shared = np.clip(np.minimum(better[2:], worse[2:]) - np.maximum(better[:2], worse[:2]), 0, None)
    area = np.prod(worse[2:] - worse[:2])
    return iou(better[None], worse[None])[0] if metric == "iou" else np.prod(shared) / area


def sequential_nms(boxes, score, label, metric, threshold):
    """Return textbook NMS: the retained rows, and the leader of each suppressed candidate."""
    kept, leader = [], {}
    for i in np.argsort(-score, kind="stable"):
        rivals = [j for j in kept if label[j] == label[i]]
        above = [j for j in rivals if overlap(boxes[j], boxes[i], metric) > threshold]
        leader[i] = above[0] if above else i
        if not above:
            kept.append(i)
    return kept, leader


def sequential_soft_nms(boxes, score, label, metric, sigma, least):
    """Return Soft-NMS as its paper defines it."""
    score, left, out = score.astype(np.float64), list(range(len(score))), []
    while left:
        best = max(left, key=lambda i: (score[i], -i))
        left.remove(best)
        out.append((best, score[best]))
        for j in left:
            if label[j] == label[best]:
                score[j] *= np.exp(-(overlap(boxes[best], boxes[j], metric) ** 2) / sigma)
        left = [j for j in left if score[j] >= least]
    return out


@pytest.mark.parametrize("as_outlines", [False, True])
@given(
    found=candidates(),
    metric=st.sampled_from(["iou", "ios"]),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_nms_is_the_sequential_loop(as_outlines, found, metric, threshold):
    boxes, score, label = found
    expected, _ = sequential_nms(boxes, score, label, metric, threshold)

    box, best, classes, outline = reduce(
        boxes, score, label, metric=metric, threshold=threshold, as_outlines=as_outlines
    )

    np.testing.assert_array_equal(box, boxes[expected])
    np.testing.assert_array_equal(best, score[expected])
    np.testing.assert_array_equal(classes, label[expected])
    assert (outline is not None) == as_outlines


@given(found=candidates(), metric=st.sampled_from(["iou", "ios"]))
@settings(max_examples=60, deadline=None)
def test_soft_nms_is_the_sequential_loop(found, metric):
    boxes, score, label = found
    # Candidates with equal scores keep their order, in the loop as in the module.
    order = np.argsort(-score, kind="stable")
    boxes, score, label = boxes[order], score[order], label[order]
    expected = sequential_soft_nms(boxes, score, label, metric, 0.5, 0.15)

    _, best, _, _ = reduce(
        boxes, score, label, strategy="soft-nms", metric=metric, score_threshold=0.15
    )

    np.testing.assert_allclose(best, [value for _, value in expected], rtol=1e-5)


@given(found=candidates(), metric=st.sampled_from(["iou", "ios"]))
@settings(max_examples=60, deadline=None)
def test_nmm_grows_each_leader_by_all_that_follow_it(found, metric):
    boxes, score, label = found
    kept, leader = sequential_nms(boxes, score, label, metric, 0.4)
    groups = [[i for i in leader if leader[i] == k] for k in kept]
    expected = [[*boxes[g].min(axis=0)[:2], *boxes[g].max(axis=0)[2:]] for g in groups]

    box, best, _, _ = reduce(boxes, score, label, strategy="nmm", metric=metric, threshold=0.4)

    np.testing.assert_array_equal(box, np.array(expected).reshape(-1, 4))
    np.testing.assert_array_equal(best, score[kept])


@given(found=candidates())
@settings(max_examples=60, deadline=None)
def test_wbf_is_the_mean_of_each_group_by_score(found):
    boxes, score, label = found
    kept, leader = sequential_nms(boxes, score, label, "iou", 0.4)
    groups = [[i for i in leader if leader[i] == k] for k in kept]
    expected = [np.average(boxes[g], axis=0, weights=score[g]) for g in groups]

    box, best, _, _ = reduce(boxes, score, label, strategy="wbf", threshold=0.4)

    np.testing.assert_allclose(box, np.array(expected).reshape(-1, 4), rtol=1e-6)
    np.testing.assert_array_equal(best, score[kept])


@pytest.mark.parametrize("strategy", _STRATEGIES)
@given(found=candidates())
@settings(max_examples=25, deadline=None)
def test_outlines_give_what_their_boxes_give(strategy, found):
    boxes, score, label = found

    plain = reduce(boxes, score, label, strategy=strategy)
    outlined = reduce(boxes, score, label, strategy=strategy, as_outlines=True)

    np.testing.assert_allclose(outlined[0], plain[0])
    np.testing.assert_allclose(outlined[1], plain[1])
    np.testing.assert_allclose(shapely.bounds(outlined[3]).reshape(-1, 4), plain[0])


@pytest.mark.parametrize("strategy", _STRATEGIES)
@given(found=candidates())
@settings(max_examples=25, deadline=None)
def test_classes_never_meet(strategy, found):
    boxes, score, label = found

    both = reduce(boxes, score, label, strategy=strategy)
    alone = [
        reduce(boxes[label == k], score[label == k], label[label == k], strategy=strategy)
        for k in (0, 1)
    ]

    assert len(both[1]) == sum(len(part[1]) for part in alone)
    for k in (0, 1):
        np.testing.assert_allclose(both[0][both[2] == k], alone[k][0])


def test_none_keeps_all_that_reach_the_score():
    box, score, _, _ = reduce(
        [[0, 0, 4, 4]] * 3, [0.2, 0.9, 0.5], strategy="none", score_threshold=0.5
    )

    assert score.tolist() == pytest.approx([0.9, 0.5])
    assert len(box) == 2


@pytest.mark.parametrize("strategy", ["nms", "soft-nms", "nmm", "wbf"])
def test_a_small_confident_box_does_not_swallow_a_large_one(strategy):
    """Check that both boxes remain. SAHI's matching by intersection over smaller drops one."""
    small, large = [20, 20, 26, 26], [5, 5, 55, 55]

    box, score, _, _ = reduce([large, small], [0.4, 0.9], strategy=strategy, metric="ios")

    assert box.tolist() == [small, large]
    assert score[1] > 0.39


def test_a_fragment_goes_with_the_whole():
    whole, fragment = [5, 5, 55, 55], [20, 20, 26, 26]

    assert len(reduce([whole, fragment], [0.9, 0.4], metric="ios")[0]) == 1
    assert len(reduce([whole, fragment], [0.9, 0.4], metric="iou")[0]) == 2


def test_nothing_is_dropped_because_its_leader_has_grown():
    """Check that merged boxes are not compared again.

    SAHI does so, and drops those that then fail.
    """
    best, wide, thin = [0, 0, 10, 10], [0, 0, 10, 19], [0, 0, 6, 10]
    score = [0.9, 0.8, 0.7]
    grown = np.array([[0.0, 0.0, 10.0, 19.0]])
    assert iou(np.array([best], float), np.array([thin], float))[0] > 0.5
    assert iou(grown, np.array([thin], float))[0] <= 0.5

    box, _, _, _ = reduce([best, wide, thin], score, strategy="nmm")
    assert box.tolist() == grown.tolist()

    # The thin box extends beyond the others, so the result shows that it was merged, not dropped.
    thin = [-3, 0, 7, 10]
    box, _, _, _ = reduce([best, wide, thin], score, strategy="nmm")
    assert box.tolist() == [[-3, 0, 10, 19]]


def test_a_row_of_objects_does_not_creep_into_one():
    """Check a row of three: each overlaps the next; the first does not overlap the third."""
    row = [[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]]

    box, _, _, _ = reduce(row, [0.9, 0.8, 0.7], strategy="nmm")

    assert box.tolist() == [[0, 0, 13, 10], [6, 0, 16, 10]]


def test_oriented_boxes_that_are_joined_stay_oriented_boxes():
    left = shapely.affinity.rotate(shapely.box(0, 0, 20, 6), 30, origin=(0, 0))
    right = shapely.affinity.rotate(shapely.box(4, 0, 26, 6), 30, origin=(0, 0))
    whole = shapely.affinity.rotate(shapely.box(0, 0, 26, 6), 30, origin=(0, 0))
    outline = np.array([left, right])

    box, _, _, joined = apply_nms(
        shapely.bounds(outline),
        np.array([0.9, 0.8], np.float32),
        np.zeros(2, np.int16),
        NmsOptions(strategy="nmm"),
        outline=outline,
        is_oriented=True,
    )

    assert len(joined[0].exterior.coords) == 5
    assert shapely.symmetric_difference(joined[0], whole).area == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(box, shapely.bounds(joined))


def test_crossing_oriented_boxes_are_two_though_their_envelopes_are_one():
    bar = shapely.box(-20, -2, 20, 2)
    outline = np.array([shapely.affinity.rotate(bar, angle) for angle in (45, -45)])

    kept = apply_nms(
        shapely.bounds(outline),
        np.array([0.9, 0.8], np.float32),
        np.zeros(2, np.int16),
        NmsOptions(),
        outline=outline,
    )

    assert len(kept[0]) == 2


def test_suppression_passes_on_along_a_chain():
    # 0 suppresses 1, so 1 cannot suppress 2, which suppresses 3.
    assert (
        greedy_suppress(4, np.array([0, 1, 2]), np.array([1, 2, 3])).tolist() == [True, False] * 2
    )


def test_many_candidates_go_in_blocks_to_the_same_end():
    """Check clusters, stacks and isolated boxes, more than are compared at once."""
    rng = np.random.default_rng(3)
    places = np.concatenate(
        [np.repeat(rng.uniform(0, 400, (40, 2)), 60, axis=0), rng.uniform(0, 400, (600, 2))]
    )
    low = places + rng.normal(0, 2, places.shape)
    boxes = np.concatenate([low, low + rng.uniform(8, 16, low.shape)], axis=1)
    label = rng.integers(0, 2, len(boxes)).astype(np.int16)
    kept, expected = np.empty(0, np.int64), []
    for i in range(len(boxes)):
        rivals = kept[label[kept] == label[i]]
        above = rivals[iou(boxes[rivals], boxes[[i] * len(rivals)]) > 0.5]
        expected.append(above[0] if len(above) else i)
        kept = kept if len(above) else np.append(kept, i)

    leader = nms_assign(BoxesOrPolygons(boxes), label, "iou", 0.5)

    assert leader.tolist() == expected


@pytest.mark.parametrize("strategy", _STRATEGIES)
@pytest.mark.parametrize("as_outlines", [False, True])
def test_nothing_gives_nothing(strategy, as_outlines):
    box, score, label, outline = reduce([], [], strategy=strategy, as_outlines=as_outlines)

    assert box.shape == (0, 4)
    assert (len(score), len(label)) == (0, 0)
    assert (outline is not None) == as_outlines
