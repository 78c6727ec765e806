import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from swath.detection.decode.box_formats import corners_to_polygons, to_corners, to_xyxy

sides = st.floats(0.125, 64, width=32)
places = st.floats(-64, 64, width=32)


@pytest.mark.parametrize(
    ("box_format", "numbers"),
    [("xyxy", [1, 2, 5, 8]), ("xywh", [1, 2, 4, 6]), ("cxcywh", [3, 5, 4, 6])],
)
def test_box_formats(box_format, numbers):
    assert to_xyxy(np.array([numbers], np.float64), box_format).tolist() == [[1, 2, 5, 8]]


@given(places, places, sides, sides)
def test_all_formats_of_a_box_are_that_box(x, y, width, height):
    box = np.array([[x, y, x + width, y + height]])
    same = {
        "xywh": [[x, y, width, height]],
        "cxcywh": [[x + width / 2, y + height / 2, width, height]],
    }

    for box_format, numbers in same.items():
        np.testing.assert_allclose(to_xyxy(np.array(numbers), box_format), box, atol=1e-9)


@given(places, places, sides, sides)
def test_an_oriented_box_that_is_not_turned_is_a_box(x, y, width, height):
    corners = to_corners(np.array([[x, y, width, height, 0.0]]), "cxcywhr")
    outline = corners_to_polygons(corners)[0]

    expected = to_xyxy(np.array([[x, y, width, height]]), "cxcywh")[0]
    np.testing.assert_allclose(outline.bounds, expected, atol=1e-9)
    assert outline.area == pytest.approx(width * height)


@given(places, places, sides, sides, st.floats(-10, 10))
def test_turning_changes_neither_size_nor_center(x, y, width, height, angle):
    outline = corners_to_polygons(to_corners(np.array([[x, y, width, height, angle]]), "cxcywhr"))[
        0
    ]

    assert outline.area == pytest.approx(width * height, rel=1e-6)
    assert outline.centroid.distance(shapely.Point(x, y)) < 1e-6
    assert outline.length == pytest.approx(2 * (width + height))


def test_the_angle_turns_from_x_towards_y():
    corners = to_corners(np.array([[0, 0, 4, 0.5, np.pi / 4]]), "cxcywhr")[0]

    far = corners[corners.sum(axis=1).argmax()]
    assert far @ [1, 1] / np.sqrt(2) == pytest.approx(2)


@given(st.permutations(range(4)))
def test_corners_may_come_in_any_order(order):
    corners = np.array([[0, 0], [4, 1], [5, 4], [1, 3]], np.float64)
    numbers = corners[order].reshape(1, 8)

    outline = corners_to_polygons(to_corners(numbers, "xyxyxyxy"))[0]

    assert outline.is_valid
    assert outline.equals(shapely.Polygon(corners))


def test_no_oriented_boxes():
    assert len(corners_to_polygons(to_corners(np.empty((0, 5)), "cxcywhr"))) == 0
