import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.detection.boxes import (
    area,
    intersection_area,
    iou,
    overlapping_pairs,
    overlapping_pairs_between,
)

coordinates = st.integers(0, 20)
boxes_ = st.lists(
    st.tuples(coordinates, coordinates, st.integers(1, 9), st.integers(1, 9)), max_size=25
)


def as_boxes(rows):
    rows = np.array(rows, np.float64).reshape(-1, 4)
    return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1)


def test_iou_of_known_boxes():
    a = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2], [1, 1, 1, 1]], np.float64)
    b = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [1, 1, 1, 1]], np.float64)

    np.testing.assert_allclose(iou(a, b), [1, 1 / 3, 0, 0])


@given(boxes_, st.integers(0, 1 << 30))
def test_shared_areas_are_those_of_shapely(rows, seed):
    boxes = as_boxes(rows)
    others = np.random.default_rng(seed).permutation(boxes)
    both = shapely.intersection(shapely.box(*boxes.T), shapely.box(*others.T))

    np.testing.assert_allclose(intersection_area(boxes, others), shapely.area(both))
    np.testing.assert_allclose(area(boxes), shapely.area(shapely.box(*boxes.T)))


@given(boxes_)
def test_neighbors_are_all_pairs_that_meet(rows):
    boxes = as_boxes(rows)
    expected = {
        (i, j)
        for i in range(len(boxes))
        for j in range(i + 1, len(boxes))
        if (np.maximum(boxes[i, :2], boxes[j, :2]) <= np.minimum(boxes[i, 2:], boxes[j, 2:])).all()
    }

    assert set(zip(*map(np.ndarray.tolist, overlapping_pairs(boxes)), strict=True)) == expected


def test_the_margin_reaches_across_a_gap():
    boxes = as_boxes([(0, 0, 2, 2), (4, 0, 2, 2)])

    assert len(overlapping_pairs(boxes)[0]) == 0
    assert len(overlapping_pairs(boxes, margin=1)[0]) == 1


@given(boxes_, boxes_)
def test_meetings_are_all_pairs_of_two_sets(one, other):
    boxes, others = as_boxes(one), as_boxes(other)
    expected = {
        (i, j)
        for i in range(len(boxes))
        for j in range(len(others))
        if (
            np.maximum(boxes[i, :2], others[j, :2]) <= np.minimum(boxes[i, 2:], others[j, 2:])
        ).all()
    }

    assert (
        set(zip(*map(np.ndarray.tolist, overlapping_pairs_between(boxes, others)), strict=True))
        == expected
    )


@given(st.integers(0, 1 << 30), st.sampled_from([0.0, 1.5]))
@settings(max_examples=20, deadline=None)
def test_many_boxes_meet_as_few_do(seed, margin):
    """Check boxes that touch, are higher than many strips, or have no height."""
    rng = np.random.default_rng(seed)
    low = rng.integers(-40, 200, (700, 2)).astype(np.float64)
    boxes = np.concatenate([low, low + rng.integers(0, rng.choice([4, 60], (700, 2)))], axis=1)
    reach = boxes + np.array([-margin, -margin, margin, margin])
    expected = {
        (i, j) for i, j in zip(*overlapping_pairs_between(reach, reach), strict=True) if i < j
    }

    first, second = overlapping_pairs(boxes, margin=margin)

    assert len(first) == len(expected)
    assert set(zip(first, second, strict=True)) == expected
