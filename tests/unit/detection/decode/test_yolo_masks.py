import numpy as np
import pytest
import shapely

from swath.detection.decode import yolo_masks
from swath.errors import ModelOutputError
from tests.helpers.packages import answer_of

SIZE = 16


def answer(mask_logits=2, **options):
    shapes = {"pred": [-1, 4 + 1 + mask_logits, -1], "protos": [-1, mask_logits, -1, -1]}
    options = {"head": "prototypes", "box_format": "xyxy"} | options
    return answer_of("instance-segmentation", shapes, classes=("a",), **options)


def outputs_of(protos, *rows):
    return np.array(rows, np.float32).T, np.array(protos, np.float32)


def traced(outputs, said):
    return yolo_masks.trace_outlines(outputs, said, SIZE, yolo_masks.decode(outputs, said, SIZE))


def halves(side=SIZE):
    """Return two prototypes (2, rows, cols): the left half of the tile, and the upper half."""
    protos = np.full((2, side, side), -1.0)
    protos[0, :, : side // 2] = 1
    protos[1, : side // 2] = 1
    return protos


def test_a_mask_is_mixed_from_prototypes_and_cut_to_the_box():
    outputs = outputs_of(
        halves(),
        [2, 3, 12, 11, 0.9, 1, 0],
        [2, 3, 12, 11, 0.9, 0, 1],
        [2, 3, 12, 11, 0.9, -1, 0],
        [2, 3, 12, 11, 0.4, 1, 0],
    )

    left, upper, right = traced(outputs, answer())

    assert left.equals(shapely.box(2, 3, 8, 11))
    assert upper.equals(shapely.box(2, 3, 12, 8))
    assert right.equals(shapely.box(8, 3, 12, 11))


@pytest.mark.parametrize("side", [4, 8])
def test_prototypes_of_a_lower_resolution(side):
    (left,) = traced(outputs_of(halves(side), [0, 0, 16, 16, 0.9, 1, 0]), answer())

    assert left.equals(shapely.box(0, 0, 8, 16))


def test_a_part_of_a_mask_is_that_part_of_the_whole():
    rng = np.random.default_rng(0)
    protos, share = rng.normal(size=(2, 4, 4)), rng.normal(size=2)
    boxes = [[0, 0, 16, 16], [3, 5, 9, 14], [10, 1, 16, 7]]
    outputs = outputs_of(protos, *([*box, 0.9, *share] for box in boxes))

    whole, *parts = traced(outputs, answer())

    for part, box in zip(parts, boxes[1:], strict=True):
        assert part.equals(whole.intersection(shapely.box(*box)))


def test_pixels_count_if_their_centers_are_in_the_box_and_the_tile():
    rows = [[-5, 2.4, 3.6, 4.6, 0.9, 1, 0], [3.6, 3.6, 4.4, 4.4, 0.9, 1, 0]]

    edge, nothing = traced(outputs_of(halves(), *rows), answer())

    assert edge.equals(shapely.box(0, 2, 4, 5))
    assert nothing is None


def test_the_threshold_of_masks():
    outputs = outputs_of(np.full((2, 8, 8), 1.0), [0, 0, 4, 4, 0.9, 1, 0])

    assert traced(outputs, answer(mask_threshold=0.73))[0].equals(shapely.box(0, 0, 4, 4))
    assert traced(outputs, answer(mask_threshold=0.74))[0] is None


@pytest.mark.parametrize(
    ("outputs", "named"),
    [
        (outputs_of(np.full((2, 4, 4), np.nan), [0, 0, 4, 4, 0.9, 1, 0]), "NaN in prototypes"),
        (outputs_of(np.zeros((2, 4, 4)), [0, 0, 4, 4, 0.9, np.nan, 0]), "NaN in rows"),
        (outputs_of(np.zeros((3, 4, 4)), [0, 0, 4, 4, 0.9, 1, 0]), r"not \(8, any\)"),
        (outputs_of(np.zeros((4, 4)), [0, 0, 4, 4, 0.9, 1, 0]), r"prototypes of shape \(4, 4\)"),
    ],
)
def test_what_is_no_answer_is_refused(outputs, named):
    with pytest.raises(ModelOutputError, match=named):
        yolo_masks.decode(outputs, answer(), SIZE)
