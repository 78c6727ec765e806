import numpy as np
import pytest
import shapely

from swath.detection.postprocess import decode_detections
from swath.models.nms_options import NmsOptions
from swath.raster.tiles import Grid
from tests.helpers.packages import answer_of

SIZE = 16
GRID = Grid(width=40, height=28, size=SIZE, overlap=4)
FIRST = GRID.tile(0)
MIDDLE = GRID.tile(GRID.columns + 1)


def boxes(classes=2, **options):
    shapes = {"pred": [-1, 4 + classes, -1]}
    names = "abcdef"[:classes]
    options = {"box_format": "xyxy"} | options
    return answer_of("object-detection", shapes, classes=names, **options)


def oriented(**options):
    return answer_of("object-detection", {"pred": [-1, 7, -1]}, box_format="cxcywhr", **options)


def instances(**options):
    shapes = {
        "boxes": [-1, 4],
        "labels": [-1],
        "scores": [-1],
        "masks": [-1, 1, SIZE, SIZE],
    }
    return answer_of("instance-segmentation", shapes, first_label=0, **options)


def rows_of(*candidates):
    return (np.array(candidates, np.float32).T,)


def masks_of(*objects):
    """Return outputs of an instance segmenter from (score, slices of rows and cols) per object."""
    masks = np.zeros((len(objects), 1, SIZE, SIZE), np.float32)
    for mask, (_, *slices) in zip(masks[:, 0], objects, strict=True):
        for rows, cols in slices:
            mask[rows, cols] = 1
    found = [np.nonzero(mask[0]) for mask in masks]
    box = [[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in found]
    scores = np.array([score for score, *_ in objects], np.float32)
    return np.array(box, np.float32), np.zeros(len(objects), int), scores, masks


def test_boxes_are_moved_to_the_scene_and_clipped_to_the_window():
    seen = decode_detections(rows_of([-2, 3, 5, 20, 0.9, 0]), boxes(), MIDDLE)

    assert (MIDDLE.x, MIDDLE.y) == (12, 12)
    assert seen.box.tolist() == [[12, 15, 17, 28]]
    assert (seen.tile.tolist(), seen.flags.tolist()) == ([MIDDLE.index], [0])
    assert seen.outline is None


def test_what_has_its_center_in_the_padding_is_dropped():
    tile = Grid(width=6, height=16, size=SIZE, overlap=0).tile(0)

    seen = decode_detections(rows_of([2, 0, 10, 4, 0.9, 0], [3, 0, 10, 4, 0.8, 0]), boxes(), tile)

    assert seen.box.tolist() == [[2, 0, 6, 4]]


def test_duplicates_are_suppressed_within_a_class_only():
    outputs = rows_of(
        [0, 0, 10, 10, 0.8, 0],
        [1, 0, 10, 10, 0.9, 0],
        [1, 0, 10, 10, 0, 0.7],
        [6, 0, 16, 10, 0.6, 0],
    )

    seen = decode_detections(outputs, boxes(), FIRST)

    assert seen.score.tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert seen.label.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("merge", "count"), [({"strategy": "none"}, 2), ({"threshold": 0.8}, 2), ({}, 1), (None, 1)]
)
def test_the_package_chooses_the_matching(merge, count):
    said = boxes(merge=merge, iou_threshold=0.5)

    assert (
        len(decode_detections(rows_of([0, 0, 9, 9, 0.8, 0], [1, 0, 10, 9, 0.9, 0]), said, FIRST))
        == count
    )


def test_a_tile_that_shows_nothing():
    seen = decode_detections(rows_of([0, 0, 9, 9, 0.1, 0]), boxes(), FIRST)

    assert len(seen) == 0


def test_oriented_boxes_are_matched_by_their_outlines():
    across = [
        [8, 8, 12, 1, angle, score, 0] for angle, score in ((np.pi / 4, 0.9), (-np.pi / 4, 0.8))
    ]
    again = [8, 8, 12, 1, np.pi / 4 + 0.01, 0.7, 0]

    seen = decode_detections(rows_of(*across, again), oriented(), FIRST)

    assert seen.score.tolist() == pytest.approx([0.9, 0.8])
    np.testing.assert_allclose(seen.box[0], seen.box[1], atol=1e-5)
    np.testing.assert_allclose(shapely.area(seen.outline), 12, rtol=1e-6)


def test_oriented_boxes_are_clipped_to_the_window():
    seen = decode_detections(
        rows_of([2, 8, 8, 2, np.pi / 4, 0.9, 0], [8, 8, 4, 2, 0, 0.8, 0]), oriented(), MIDDLE
    )

    cut, whole = seen.outline
    window = shapely.box(12, 12, 28, 28)
    assert cut.area < 16
    assert window.contains(cut)
    assert cut.bounds[0] == 12
    assert whole.equals(shapely.box(18, 19, 22, 21))
    np.testing.assert_array_equal(seen.box, shapely.bounds(seen.outline))


def test_instances_have_the_outlines_of_their_masks():
    corner = np.s_[2:8, 3:5], np.s_[6:8, 3:9]

    seen = decode_detections(masks_of((0.9, *corner)), instances(), MIDDLE)

    expected = shapely.union(shapely.box(15, 14, 17, 20), shapely.box(15, 18, 21, 20))
    assert seen.outline[0].equals(expected)
    assert seen.box.tolist() == [[15, 14, 21, 20]]


def test_of_two_overlapping_instances_the_better_remains():
    place = np.s_[2:8, 3:5]

    seen = decode_detections(masks_of((0.7, place), (0.9, place)), instances(), FIRST)

    assert seen.score.tolist() == pytest.approx([0.9])


def test_instances_in_one_box_are_separated_by_outlines_without_nms():
    upper = np.s_[2:4, 2:10], np.s_[4:10, 2:4]
    lower = np.s_[8:10, 4:10], np.s_[4:8, 8:10]
    outputs = masks_of((0.9, *upper), (0.8, *lower))
    said = instances(merge={"strategy": "nmm"})

    assert len(decode_detections(outputs, instances(), FIRST)) == 1
    assert len(decode_detections(outputs, said, FIRST)) == 2


def test_instances_that_are_joined_have_the_outline_of_both():
    said = instances(merge={"strategy": "nmm", "threshold": 0.3})

    seen = decode_detections(masks_of((0.9, np.s_[2:8, 2:8]), (0.8, np.s_[2:8, 4:10])), said, FIRST)

    assert seen.outline[0].equals(shapely.box(2, 2, 10, 8))
    assert seen.box.tolist() == [[2, 2, 10, 8]]


def test_an_instance_without_a_pixel_is_dropped():
    outputs = masks_of((0.9, np.s_[2:8, 2:8]))
    outputs[3][:] = 0

    assert len(decode_detections(outputs, instances(), FIRST)) == 0


def test_of_an_outline_that_runs_along_the_window_only_areas_remain():
    tile = Grid(width=8, height=16, size=SIZE, overlap=0).tile(0)
    # The window holds a bar. Beyond it, a piece of the bar comes back to touch the window's edge.
    outputs = masks_of((0.9, np.s_[0:2, 0:10], np.s_[2:6, 8:10]))

    seen = decode_detections(outputs, instances(), tile)

    assert seen.outline[0].equals(shapely.box(0, 0, 8, 2))
    assert seen.outline[0].geom_type == "Polygon"
    assert seen.box.tolist() == [[0, 0, 8, 2]]


def test_the_default_matching_is_nms_by_the_iou_threshold():
    assert boxes(iou_threshold=0.3).matching == NmsOptions(strategy="nms", threshold=0.3)
