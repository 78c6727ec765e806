import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swath.boxes import iou, neighbours, non_maximum_suppression, suppress

coordinates = st.integers(0, 20)
boxes_ = st.lists(
    st.tuples(coordinates, coordinates, st.integers(1, 9), st.integers(1, 9)), max_size=25
)


def as_boxes(rows):
    rows = np.array(rows, np.float64).reshape(-1, 4)
    return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1)


def greedy(boxes, score, label, threshold):
    """NMS as the textbook has it."""
    kept = []
    for i in np.argsort(-score, kind="stable"):
        rivals = [j for j in kept if label[j] == label[i]]
        if all(iou(boxes[[i]], boxes[[j]])[0] <= threshold for j in rivals):
            kept.append(i)
    return kept


def test_iou_of_known_boxes():
    a = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2], [1, 1, 1, 1]], np.float64)
    b = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [1, 1, 1, 1]], np.float64)

    np.testing.assert_allclose(iou(a, b), [1, 1 / 3, 0, 0])


@given(boxes_)
def test_neighbours_are_all_pairs_that_meet(rows):
    boxes = as_boxes(rows)
    expected = {
        (i, j)
        for i in range(len(boxes))
        for j in range(i + 1, len(boxes))
        if (np.maximum(boxes[i, :2], boxes[j, :2]) <= np.minimum(boxes[i, 2:], boxes[j, 2:])).all()
    }

    assert set(zip(*map(np.ndarray.tolist, neighbours(boxes)), strict=True)) == expected


def test_the_margin_reaches_across_a_gap():
    boxes = as_boxes([(0, 0, 2, 2), (4, 0, 2, 2)])

    assert len(neighbours(boxes)[0]) == 0
    assert len(neighbours(boxes, margin=1)[0]) == 1


@given(boxes_, st.randoms(use_true_random=False), st.sampled_from([0.0, 0.3, 0.7]))
def test_nms_is_the_greedy_loop(rows, random, threshold):
    boxes = as_boxes(rows)
    score = np.array([random.choice([0.2, 0.5, 0.9]) for _ in rows], np.float32)
    label = np.array([random.randint(0, 1) for _ in rows], np.int16)

    kept = non_maximum_suppression(boxes, score, label, threshold=threshold)

    assert kept.tolist() == greedy(boxes, score, label, threshold)


def test_suppression_passes_on_along_a_chain():
    # 0 rules out 1, so 1 cannot rule out 2, which rules out 3.
    assert suppress(4, np.array([0, 1, 2]), np.array([1, 2, 3])).tolist() == [True, False] * 2
