"""Tests of seams against an oracle detector: each tile clips known objects as a model would."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import shapely

from swath.detection.detections import Detections, Flag
from swath.detection.stitching.stitcher import Stitcher, merge_detections
from swath.models.nms_options import NmsOptions
from swath.raster.tiles import Grid
from tests.helpers.oracle import detect_boxes, detect_outlines, merged


def detections(boxes, labels=None, tile=0, scores=None) -> Detections:
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    labels = np.zeros(len(boxes)) if labels is None else labels
    scores = np.full(len(boxes), 0.5) if scores is None else scores
    return Detections.from_tile(
        boxes, np.array(scores, dtype=np.float32), np.array(labels, dtype=np.int16), tile
    )


def found(result: Detections) -> list[tuple[float, ...]]:
    return sorted(
        (int(label), *map(float, box)) for label, box in zip(result.label, result.box, strict=True)
    )


def truth(boxes: np.ndarray, labels: np.ndarray) -> list[tuple[float, ...]]:
    return sorted((int(label), *map(float, box)) for label, box in zip(labels, boxes, strict=True))


@pytest.mark.parametrize("overlap", [0, 1, 8, 40])
def test_an_object_larger_than_a_tile_is_one_box(overlap):
    grid = Grid(width=300, height=200, size=64, overlap=overlap)
    boxes = np.array([[10.5, 20.25, 250.5, 130.75]])

    result = merged(Stitcher(grid), detect_boxes(grid, boxes, np.array([0])))

    assert found(result) == truth(boxes, [0])
    assert result.tile.tolist() == [int(grid.owner(130.5, 75.5))]


def test_the_clipped_view_of_an_object_detected_whole_is_dropped():
    """Check that the clipped view is dropped. OSML keeps both."""
    grid = Grid(width=200, height=64, size=64, overlap=16)
    boxes = np.array([[30.0, 10.0, 60.0, 30.0]])
    seen = detect_boxes(grid, boxes, np.array([0]))
    assert len(seen) == 2

    assert found(merged(Stitcher(grid), seen)) == truth(boxes, [0])


def test_a_small_confident_box_does_not_swallow_a_large_one():
    """Check that both boxes remain.

    SAHI's greedy matching by intersection over smaller drops one.
    """
    grid = Grid(width=64, height=64, size=64, overlap=16)
    seen = detections([[5, 5, 55, 55], [20, 20, 26, 26]], scores=[0.4, 0.9])

    assert len(merged(Stitcher(grid), seen)) == 2


def test_classes_never_merge():
    grid = Grid(width=200, height=64, size=64, overlap=8)
    boxes = np.array([[10.0, 10.0, 180.0, 30.0], [10.0, 10.0, 180.0, 30.0]])

    result = merged(Stitcher(grid), detect_boxes(grid, boxes, np.array([0, 1])))

    assert found(result) == truth(boxes, [0, 1])


def test_a_part_whose_other_half_was_missed_is_kept():
    grid = Grid(width=120, height=64, size=64, overlap=8)
    part = [[20.0, 10.0, 64.0, 30.0]]

    result = merged(Stitcher(grid), detections(part, tile=0))

    assert found(result) == truth(np.array(part), [0])


def test_parts_that_do_not_agree_stay_apart():
    grid = Grid(width=120, height=64, size=64, overlap=8)
    left, right = (
        detections([[10.0, 10.0, 64.0, 20.0]], tile=0),
        detections([[56.0, 30.0, 100.0, 45.0]], tile=1),
    )

    assert len(merged(Stitcher(grid), Detections.concatenate([left, right]))) == 2


def test_a_joined_box_has_the_best_score_of_its_parts():
    grid = Grid(width=120, height=64, size=64, overlap=8)
    left = detections([[10.0, 10.0, 64.0, 20.0]], tile=0, scores=[0.6])
    right = detections([[56.0, 10.0, 100.0, 20.0]], tile=1, scores=[0.8])

    result = merged(Stitcher(grid), Detections.concatenate([left, right]))

    assert found(result) == [(0, 10.0, 10.0, 100.0, 20.0)]
    assert result.score.tolist() == pytest.approx([0.8])


# Two tiles span 0 to 64 and 48 to 112. Their cores meet at 56.
@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (55.0, 55.5, 0),  # the left tile owns both views
        (56.5, 57.0, 1),  # the right tile owns both views
        (56.5, 55.5, 1),  # neither tile owns its view; the better one is retained
        (55.5, 56.5, 0),  # each tile owns its view; the better one is retained
    ],
)
def test_a_center_that_moves_across_a_core_border_is_neither_lost_nor_doubled(
    left, right, expected
):
    grid = Grid(width=112, height=64, size=64, overlap=16)
    better = [0.9, 0.6] if expected == 0 else [0.6, 0.9]
    seen = [
        detections([[x - 4, 10, x + 4, 18]], tile=tile, scores=[score])
        for tile, (x, score) in enumerate(zip((left, right), better, strict=True))
    ]

    result = merged(Stitcher(grid), Detections.concatenate(seen))

    assert result.tile.tolist() == [expected]


def test_what_the_owner_did_not_report_is_not_taken_from_a_guest():
    grid = Grid(width=112, height=64, size=64, overlap=16)

    assert len(merged(Stitcher(grid), detections([[53, 10, 61, 18]], tile=0))) == 0


def test_only_what_the_grid_cannot_decide_is_flagged():
    grid = Grid(width=112, height=64, size=64, overlap=16)
    seen = detections([[10, 10, 20, 20], [51, 10, 59, 20], [53, 10, 60, 20], [30, 10, 64, 20]])

    kept = Stitcher(grid).keep_owned(seen)

    assert kept.flags.tolist() == [
        0,
        Flag.AMBIGUOUS,
        Flag.AMBIGUOUS | Flag.NOT_OWNED,
        Flag.TRUNCATED,
    ]


def test_nothing_gives_nothing():
    grid = Grid(width=112, height=64, size=64, overlap=16)

    assert len(merged(Stitcher(grid), Detections.empty())) == 0


def test_merging_at_once_is_sorting_out_and_settling():
    grid = Grid(width=300, height=200, size=64, overlap=16)
    rng = np.random.default_rng(0)
    low = rng.uniform(0, [280, 180], (400, 2))
    boxes = np.concatenate([low, np.minimum(low + rng.uniform(2, 90, low.shape), [300, 200])], 1)
    seen = detect_boxes(grid, boxes, np.arange(400) % 3)

    result = merge_detections(seen, Stitcher(grid))

    assert (result.flags == 0).all()
    assert (seen.flags == 0).all()
    assert found(result) == found(merged(Stitcher(grid), seen))


def test_what_a_tile_reported_twice_is_reported_twice():
    """Check the strategy `none`: seams join views of two tiles only."""
    grid = Grid(width=112, height=64, size=64, overlap=16)
    twice = np.array([[50.0, 10.0, 62.0, 20.0], [50.0, 10.0, 62.0, 19.0], [52, 40, 60, 50]])
    twice = twice[[0, 1, 2, 2]]

    result = merged(
        Stitcher(grid, NmsOptions(strategy="none")), detect_boxes(grid, twice, np.zeros(4))
    )

    assert found(result) == truth(twice, [0] * 4)


def test_a_shard_stitches_what_depends_on_no_tile_outside():
    grid = Grid(width=400, height=64, size=64, overlap=16)
    boxes = np.array([[20.0, 10.0, 90.0, 20.0], [70.0, 30.0, 180.0, 40.0]])
    flagged = Stitcher(grid).keep_owned(detect_boxes(grid, boxes, np.zeros(2)))
    mine = flagged.take(flagged.tile < 3)

    settled, others = Stitcher(grid).stitch_interior(mine, lambda tiles: tiles < 3)

    assert found(settled) == truth(boxes[:1], [0])
    assert settled.flags.tolist() == [0]
    assert others.tile.tolist() == [1, 2]
    assert (others.flags == Flag.TRUNCATED).all()


def test_a_mask_across_tiles_is_one_outline():
    grid = Grid(width=200, height=120, size=64, overlap=16)
    field = shapely.Polygon([(5, 10), (150, 30), (190, 110), (60, 100)])

    result = merged(Stitcher(grid), detect_outlines(grid, np.array([field]), np.zeros(1)))

    (outline,) = result.outline
    assert shapely.symmetric_difference(outline, field).area == pytest.approx(0, abs=1e-6)
    assert result.box.tolist() == [list(outline.bounds)]
    x, y = (result.box[0, :2] + result.box[0, 2:]) / 2
    assert result.tile.tolist() == [int(grid.owner(x, y))]


def test_an_oriented_box_across_tiles_is_an_oriented_box():
    grid = Grid(width=200, height=120, size=64, overlap=16)
    ship = shapely.affinity.rotate(shapely.box(20, 50, 180, 62), 20)

    result = merged(
        Stitcher(grid, is_oriented=True), detect_outlines(grid, np.array([ship]), np.zeros(1))
    )

    (outline,) = result.outline
    assert len(outline.exterior.coords) == 5
    assert shapely.hausdorff_distance(outline, ship) < 1e-3


def test_crossing_ships_at_a_border_are_separated_by_outlines():
    """Check two objects whose bounding boxes are equal."""
    grid = Grid(width=112, height=80, size=80, overlap=48)
    bar = shapely.box(16, 38, 96, 42)
    ships = np.array([shapely.affinity.rotate(bar, angle) for angle in (30, -30)])

    result = merged(Stitcher(grid), detect_outlines(grid, ships, np.zeros(2)))

    assert len(result) == 2
    for ship in ships:
        assert shapely.hausdorff_distance(result.outline, ship).min() < 1e-3


@pytest.mark.parametrize("metric", ["iou", "ios"])
def test_two_views_of_one_object_are_one_by_either_metric(metric):
    grid = Grid(width=112, height=64, size=64, overlap=16)
    seen = [
        detections([[50, 10, 61.5, 18]], tile=0, scores=[0.9]),
        detections([[50.5, 10, 62, 18]], tile=1, scores=[0.8]),
    ]

    result = merged(Stitcher(grid, NmsOptions(metric=metric)), Detections.concatenate(seen))

    assert found(result) == [(0, 50.0, 10.0, 61.5, 18.0)]


def test_a_small_object_on_a_large_one_is_not_taken_for_its_view():
    """Check two objects at a core's border, both of which each tile reports."""
    grid = Grid(width=112, height=64, size=64, overlap=16)
    boxes = np.array([[50.0, 10.0, 61.0, 50.0], [54.0, 20.0, 58.0, 24.0]])

    result = merged(
        Stitcher(grid, NmsOptions(metric="ios")), detect_boxes(grid, boxes, np.zeros(2))
    )

    assert found(result) == truth(boxes, [0, 0])


def test_without_overlap_objects_are_joined_if_they_agree_by_half():
    """Check the threshold: two objects at a seam can have the same views as one that crosses it."""
    grid = Grid(width=128, height=64, size=64, overlap=0)
    alike = np.array([[30.0, 10.0, 64.0, 30.0], [64.0, 12.0, 90.0, 32.0]])
    unlike = np.array([[30.0, 10.0, 64.0, 30.0], [64.0, 24.0, 90.0, 44.0]])

    joined, apart = (
        merged(Stitcher(grid), detect_boxes(grid, b, np.zeros(2))) for b in (alike, unlike)
    )

    assert found(joined) == [(0, 30.0, 10.0, 90.0, 32.0)]
    assert found(apart) == truth(unlike, [0, 0])


# The tile is the middle one of 3 x 3, 48 to 112. Its neighbors end at 64 and begin at 96.
@pytest.mark.parametrize(
    ("box", "open_"),
    [
        ((69, 69, 91, 91), False),
        ((67, 75, 80, 85), True),
        ((75, 67, 85, 80), True),
        ((80, 75, 93, 85), True),
        ((75, 80, 85, 93), True),
    ],
)
def test_what_a_tile_outside_may_have_a_say_in_is_left_open(box, open_):
    """Check boxes near an outside tile: two views of a side may differ by 2 x 2 px."""
    grid = Grid(width=160, height=160, size=64, overlap=16)
    seen = dataclasses.replace(
        detections([box], tile=4), flags=np.array([Flag.AMBIGUOUS], np.uint8)
    )

    settled, left = Stitcher(grid, tolerance=2.0).stitch_interior(seen, lambda tiles: tiles == 4)

    assert (len(settled), len(left)) == ((0, 1) if open_ else (1, 0))
