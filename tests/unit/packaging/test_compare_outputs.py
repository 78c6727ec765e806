import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.models.mlm import parse_description
from swath.packaging.compare_outputs import agreement, difference, total_agreement
from tests.helpers.packages import description, for_task

SIZE = 16


def model_of(task, shapes, *, classes=("a", "b"), **options):
    item = description(for_task(task, shapes, classes=classes, **options))
    return parse_description(json.dumps(item).encode())


ROWS = model_of("object-detection", {"rows": [-1, 6, 4]}, box_format="xyxy")
LISTED = model_of(
    "object-detection",
    {"boxes": [-1, 4], "labels": [-1], "scores": [-1]},
    head="torchvision",
    first_label=0,
)
PIXELS = model_of("semantic-segmentation", {"scores": [-1, 2, SIZE, SIZE]})
TILES = model_of("scene-classification", {"scores": [-1, 2]})


def objects(*rows):
    """Return the outputs of torchvision's detectors from (box, label, score) rows."""
    boxes = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
    labels = np.array([label for _, label, _ in rows], np.int64)
    return boxes, labels, np.array([score for *_, score in rows], np.float32)


A, B = ((0, 0, 8, 8), 0, 0.9), ((8, 8, 16, 16), 1, 0.8)


def test_numbers_are_compared_with_the_largest():
    one = (np.zeros((6, 4), np.float32),)
    one[0][0, 0] = 200.0
    other = (one[0].copy(),)
    other[0][0, 1] = 1.0

    assert difference(one, one, ROWS) == 0
    assert difference(one, other, ROWS) == pytest.approx(1 / 200)


def test_an_answer_of_another_shape_is_as_far_as_can_be():
    assert difference((np.zeros((6, 4)),), (np.zeros((6, 5)),), ROWS) == float("inf")


def test_a_list_in_another_order_is_the_same():
    assert difference(objects(A, B), objects(B, A), LISTED) == 0


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (objects(A, ((8, 8, 16, 16), 1, 0.7)), 0.1),
        (objects(A), 0.8 - 0.05),
        (objects(A, ((8, 8, 16, 16), 0, 0.8)), 0.8 - 0.05),
        (objects(A, ((8, 8, 16, 15), 1, 0.8)), 1 / 8),
        (objects(A, B, ((0, 8, 8, 16), 0, 0.06)), 0.01),
    ],
    ids=["score", "missing", "class", "box", "faint"],
)
def test_lists_differ_by_scores_overlaps_and_what_one_has_alone(other, expected):
    assert difference(objects(A, B), other, LISTED) == pytest.approx(expected, abs=1e-6)
    assert difference(other, objects(A, B), LISTED) == pytest.approx(expected, abs=1e-6)


def test_objects_agree_in_pairs():
    assert agreement(objects(A, B), objects(A, B), LISTED).share == 1
    assert agreement(objects(A, B), objects(A), LISTED).share == pytest.approx(2 / 3)
    assert agreement(objects(A), objects(B), LISTED).share == 0
    assert agreement(objects(), objects(), LISTED).share == 1


def test_pixels_and_tiles_agree_by_their_class():
    one = np.zeros((2, SIZE, SIZE), np.float32)
    one[0] = 0.9
    other = one.copy()
    other[:, :4] = other[::-1, :4]

    assert agreement((one,), (other,), PIXELS).share == 0.75
    scores = np.array([0.9, 0.1], np.float32)
    assert agreement((scores,), (scores,), TILES).share == 1
    assert agreement((scores,), (scores[::-1],), TILES).share == 0
    both = total_agreement([(scores,), (scores,)], [(scores,), (scores[::-1],)], TILES)
    assert both.share == 0.5


def test_what_neither_reports_is_no_agreement():
    """Check one class alone: it always wins, and only scores above the threshold count."""
    single = model_of("semantic-segmentation", {"scores": [-1, 1, SIZE, SIZE]}, classes=("a",))
    one, other = np.zeros((2, 1, SIZE, SIZE), np.float32)
    assert agreement((one,), (other,), single).total == 0
    one[0, :4], other[0, :2] = 0.9, 0.9
    assert agreement((one,), (other,), single).share == 0.5

    land = model_of("semantic-segmentation", {"scores": [-1, 2, SIZE, SIZE]}, background="b")
    both = np.zeros((2, SIZE, SIZE), np.float32)
    both[1] = 0.9
    assert agreement((both,), (both,), land).total == 0
    faint = np.array([0.4, 0.1], np.float32)
    assert agreement((faint,), (faint,), TILES).total == 0


boxes = st.builds(
    lambda x, y, label, score: ((x, y, x + 4, y + 4), label, score),
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 1),
    st.floats(0.5, 1, width=32),
)


@given(one=st.lists(boxes, max_size=6), other=st.lists(boxes, max_size=6))
def test_agreement_is_a_share_and_complete_with_itself(one, other):
    found = agreement(objects(*one), objects(*other), LISTED)

    assert 0 <= found.share <= 1
    assert agreement(objects(*one), objects(*one), LISTED).share == 1
    assert difference(objects(*one), objects(*one), LISTED) == 0
