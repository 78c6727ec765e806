import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from swath.detection.detections import Detections
from tests.helpers.detections import assert_same, outlined, some


@given(st.permutations(range(6)))
def test_the_order_depends_on_the_rows_alone(order):
    rows = Detections.concatenate([some(2, 3), some(3, 1), some(1, 2)])

    ordered = rows.take(np.array(order)).sorted_by_tile()

    assert_same(ordered, rows.sorted_by_tile())
    assert ordered.tile.tolist() == [1, 1, 1, 2, 3, 3]
    assert (np.diff(ordered.score[:3]) <= 0).all()


def test_boxes_among_outlines_are_outlines_of_their_boxes():
    both = Detections.concatenate([some(2, 0), outlined(1, 1)])

    low, high = both.box[:2, :2], both.box[:2, 2:]
    expected = shapely.box(*np.minimum(low, high).T, *np.maximum(low, high).T)
    assert shapely.equals(both.outline[:2], expected).all()


@given(st.permutations(range(8)), st.booleans())
def test_the_order_of_outlines_in_one_box_depends_on_them_alone(order, tied):
    one = outlined(8, 3)
    if tied:
        ones = np.ones(8, np.float32)
        one = Detections(
            np.tile([0.0, 0, 9, 9], (8, 1)),
            ones,
            ones.astype(np.int16),
            one.tile,
            one.flags,
            one.outline,
        )

    assert_same(one.take(np.array(order)).sorted_by_tile(), one.sorted_by_tile())


def test_nothing_concatenated_is_nothing():
    assert_same(Detections.concatenate([]), Detections.empty())


def test_detections_in_other_pixels_have_their_boxes_and_outlines_scaled():
    rows = Detections.concatenate([outlined(3, 1), some(2, 2)])

    scaled = rows.scaled((2.0, 0.5))

    assert np.array_equal(scaled.box, rows.box * [2, 0.5, 2, 0.5])
    assert np.allclose(shapely.bounds(scaled.outline[:3]), scaled.box[:3])
    assert_same(scaled.scaled((0.5, 2.0)), rows)
    assert rows.scaled((1.0, 1.0)) is rows
