import numpy as np
import pytest
import shapely

from swath.detection.decode import torchvision
from swath.errors import ModelOutputError
from tests.helpers.packages import answer_of

SIZE = 16
SHAPES = {"boxes": [-1, 4], "labels": [-1], "scores": [-1]}


def answer(**options):
    options = {"head": "torchvision", "first_label": 1} | options
    return answer_of("object-detection", SHAPES, **options)


def instances(**options):
    shapes = SHAPES | {"masks": [-1, 1, SIZE, SIZE]}
    return answer_of("instance-segmentation", shapes, first_label=1, **options)


def outputs_of(labels, scores, masks=None):
    boxes = np.array([[1, 2, 5, 8]] * len(labels), np.float32)
    given = boxes, np.array(labels), np.array(scores, np.float32)
    return given if masks is None else (*given, np.array(masks, np.float32)[:, None])


def test_labels_count_from_1_and_the_background_is_nothing():
    found = torchvision.decode(outputs_of([2, 0, 1, 1], [0.9, 0.9, 0.5, 0.4]), answer(), SIZE)

    assert found.label.tolist() == [1, 0]
    assert found.row.tolist() == [0, 2]
    assert found.box.tolist() == [[1, 2, 5, 8]] * 2


def test_labels_may_count_from_0():
    found = torchvision.decode(outputs_of([1, 0], [0.9, 0.9]), answer(first_label=0), SIZE)

    assert found.label.tolist() == [1, 0]


def test_a_tile_without_detections():
    nothing = np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, np.float32)

    assert len(torchvision.decode(nothing, answer(), SIZE).box) == 0


def test_rows_that_fill_a_batch_up_are_nothing():
    found = torchvision.decode(outputs_of([1, -1], [0.9, 0]), answer(), SIZE)

    assert found.row.tolist() == [0]


def test_masks_become_outlines_along_the_edges_of_pixels():
    masks = np.zeros((3, SIZE, SIZE))
    masks[0, 2:8, 1:5] = 0.9
    masks[2, 3:5, 7:9], masks[2, 9, 9] = 0.6, 0.49
    outputs = outputs_of([1, 1, 2], [0.9, 0.1, 0.8], masks)
    said = instances()

    found = torchvision.decode(outputs, said, SIZE)
    outlines = torchvision.trace_outlines(outputs, said, SIZE, found)

    assert found.row.tolist() == [0, 2]
    assert outlines[0].equals(shapely.box(1, 2, 5, 8))
    assert outlines[1].equals(shapely.box(7, 3, 9, 5))


def test_the_threshold_of_masks_and_masks_without_a_pixel():
    masks = np.zeros((2, SIZE, SIZE))
    masks[0, 2, 2] = 0.3
    outputs = outputs_of([1, 1], [0.9, 0.9], masks)
    said = instances(mask_threshold=0.25)

    outlines = torchvision.trace_outlines(
        outputs, said, SIZE, torchvision.decode(outputs, said, SIZE)
    )

    assert outlines[0].equals(shapely.box(2, 2, 3, 3))
    assert outlines[1] is None


@pytest.mark.parametrize(
    ("outputs", "named"),
    [
        (outputs_of([3], [0.9]), "label 3, .* 2 classes, numbered from 1"),
        (outputs_of([-1], [0.9]), "label -1"),
        (outputs_of([1], [np.nan]), "NaN in scores"),
        ((np.zeros((2, 4)), np.ones(1), np.ones(1)), r"boxes of shape \(2, 4\)"),
        ((np.zeros((1, 4)), np.ones(2), np.ones(1)), r"labels of shape \(2,\)"),
    ],
)
def test_what_is_no_answer_is_refused(outputs, named):
    with pytest.raises(ModelOutputError, match=named):
        torchvision.decode(outputs, answer(), SIZE)


@pytest.mark.parametrize(
    ("masks", "named"),
    [
        (np.full((1, SIZE, SIZE), np.nan), "NaN in masks"),
        (np.zeros((1, 8, SIZE)), r"masks of shape \(1, 1, 8, 16\)"),
        (np.zeros((2, SIZE, SIZE)), r"masks of shape \(2, 1, 16, 16\)"),
    ],
)
def test_masks_that_are_none_are_refused(masks, named):
    outputs = outputs_of([1], [0.9], masks)
    found = torchvision.decode(outputs, instances(), SIZE)

    with pytest.raises(ModelOutputError, match=named):
        torchvision.trace_outlines(outputs, instances(), SIZE, found)


def counted(count, dtype=np.int32):
    """Return two detections, of which an NMS plugin's count keeps `count`."""
    return *outputs_of([1, 2], [0.9, 0.8]), np.array([count], dtype)


def with_count():
    shapes = {name: [-1, *shape] for name, shape in SHAPES.items()} | {"count": [-1, 1]}
    return answer_of("object-detection", shapes, head="torchvision", first_label=1)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_rows_beyond_the_count_are_no_objects(count, dtype):
    found = torchvision.decode(counted(count, dtype), with_count(), SIZE)

    assert found.label.tolist() == [0, 1][:count]


@pytest.mark.parametrize("count", [-1, 3, 0.5])
def test_a_count_that_is_none_is_refused(count):
    with pytest.raises(ModelOutputError, match=rf"the count {count:g} for 2 rows"):
        torchvision.decode(counted(count, np.float32), with_count(), SIZE)
