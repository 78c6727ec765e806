"""Tests of stitching across cores, against the polygonization of the whole scene's labels."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.detection.detections import NO_LABEL, Detections, Flag
from swath.detection.segmentation import stitch_segments
from swath.detection.segmentation.polygonize import polygonize, polygonize_tile
from swath.detection.segmentation.stitch_segments import SegmentStitcher
from swath.raster.tiles import Grid


def detected(grid, labels, probability):
    """Return the detections of all tiles of the scene."""
    seen = []
    for index in range(grid.count):
        tile = grid.tile(index)
        x, y, width, height = tile.window
        window = np.s_[y : y + height, x : x + width]
        seen.append(polygonize_tile(labels[window], probability[window], tile).detections)
    return Detections.concatenate(seen)


def parted(sorted_out):
    """Return the final detections, and those that other shards may change."""
    flagged = sorted_out.flags != 0
    return sorted_out.take(~flagged), sorted_out.take(flagged)


def merged(stitcher, seen):
    done, flagged = parted(stitcher.keep_owned(seen))
    return Detections.concatenate([done, stitcher.stitch(flagged)])


def outlines(detections):
    return [] if detections.outline is None else detections.outline


def rows(detections):
    """Return (class, outline, score) of each detection, sorted."""
    columns = (detections.label.tolist(), outlines(detections), detections.score.tolist())
    return sorted((label, shape.wkt, score) for label, shape, score in zip(*columns, strict=True))


def truth(labels, probability):
    """Return (class, outline, score) of each region of the whole scene, sorted."""
    regions = polygonize(labels, probability)
    score = (regions.weight_sum / regions.area).tolist()
    shapes = zip(regions.label.tolist(), regions.outline, score, strict=True)
    return sorted((label, shape.wkt, score) for label, shape, score in shapes)


def same(found, expected):
    """Check that the outlines are equal, and scores up to float32 rounding."""
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in expected], abs=1e-6)


@st.composite
def scenes(draw):
    """Return a grid, and labels and probabilities (rows, cols) of its scene."""
    size = draw(st.integers(1, 12))
    grid = Grid(
        width=draw(st.integers(1, 30)),
        height=draw(st.integers(1, 30)),
        size=size,
        overlap=draw(st.integers(0, size - 1)),
    )
    some = draw(st.sampled_from([[0, NO_LABEL], [0, 0, 1, NO_LABEL], [0, 1, 2]]))
    side = draw(st.integers(1, 3))
    # A seed draws the labels: drawing each label by itself would take most of the test's time.
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coarse = random.choice(
        np.array(some, np.uint8), (-(-grid.height // side), -(-grid.width // side))
    )
    labels = coarse.repeat(side, axis=0).repeat(side, axis=1)[: grid.height, : grid.width]
    probability = random.random(labels.shape).astype(np.float32)
    return grid, labels, probability


@settings(max_examples=100)
@given(scene=scenes())
def test_the_result_is_that_of_the_whole_scene_for_any_tiling(scene):
    grid, labels, probability = scene

    result = merged(SegmentStitcher(grid), detected(grid, labels, probability))

    same(rows(result), truth(labels, probability))
    assert shapely.bounds(outlines(result)).reshape(-1, 4).tolist() == result.box.tolist()
    assert not result.flags.any()


@settings(max_examples=100)
@given(scene=scenes(), cuts=st.integers(0, 2**16), count=st.integers(1, 5))
def test_any_partition_into_shards_gives_the_same_to_the_last_bit(scene, cuts, count):
    grid, labels, probability = scene
    stitcher = SegmentStitcher(grid)
    seen = detected(grid, labels, probability)
    shard = np.random.default_rng(cuts).integers(0, count, grid.count)
    found, waiting = [], []
    for number in range(count):
        done, flagged = parted(stitcher.keep_owned(seen.take(shard[seen.tile] == number)))
        settled, still = stitcher.stitch_interior(
            flagged, lambda tiles, n=number: shard[tiles] == n
        )
        assert (shard[settled.tile] == number).all()
        found += [done, settled]
        waiting.append(still)

    result = Detections.concatenate([*found, stitcher.stitch(Detections.concatenate(waiting))])

    assert rows(result) == rows(merged(stitcher, seen))


@pytest.mark.parametrize("at_once", [1, 40])
def test_regions_joined_some_at_a_time_are_the_same(monkeypatch, at_once):
    random = np.random.default_rng(0)
    labels = random.choice(np.array([0, 1, NO_LABEL], np.uint8), (40, 50))
    probability = random.random(labels.shape).astype(np.float32)
    grid = Grid(50, 40, 9, 2)
    monkeypatch.setattr(stitch_segments, "_MAX_BATCH_VERTICES", at_once)

    result = merged(SegmentStitcher(grid), detected(grid, labels, probability))

    same(rows(result), truth(labels, probability))


def test_only_what_touches_another_core_is_flagged():
    labels = np.full((8, 8), NO_LABEL, np.uint8)
    labels[0:2, 0:2] = labels[0, 3] = labels[5:7, 5:7] = labels[7, 4] = 0
    grid = Grid(8, 8, 4, 0)

    result = SegmentStitcher(grid).keep_owned(detected(grid, labels, np.ones((8, 8), np.float32)))

    flagged = result.box[result.flags == Flag.TRUNCATED].tolist()
    assert flagged == [[3, 0, 4, 1], [4, 7, 5, 8]]
    assert len(result) == 4


def test_regions_that_meet_only_in_a_corner_stay_apart():
    labels = np.full((4, 4), NO_LABEL, np.uint8)
    labels[:2, :2] = labels[2:, 2:] = 0
    grid = Grid(4, 4, 2, 0)

    result = merged(SegmentStitcher(grid), detected(grid, labels, np.ones((4, 4), np.float32)))

    assert sorted(result.box.tolist()) == [[0, 0, 2, 2], [2, 2, 4, 4]]


def test_classes_never_join():
    labels = np.repeat(np.array([[0, 0, 1, 1]], np.uint8), 4, axis=0)
    grid = Grid(4, 4, 2, 0)

    result = merged(SegmentStitcher(grid), detected(grid, labels, np.ones((4, 4), np.float32)))

    assert sorted(zip(result.label.tolist(), result.box.tolist(), strict=True)) == [
        (0, [0, 0, 2, 4]),
        (1, [2, 0, 4, 4]),
    ]


def test_a_lake_across_cores_is_a_hole():
    labels = np.zeros((12, 12), np.uint8)
    labels[3:9, 3:9] = NO_LABEL
    grid = Grid(12, 12, 4, 0)

    result = merged(SegmentStitcher(grid), detected(grid, labels, np.ones((12, 12), np.float32)))

    assert len(result) == 1
    expected = shapely.box(0, 0, 12, 12) - shapely.box(3, 3, 9, 9)
    assert shapely.normalize(outlines(result)[0]) == shapely.normalize(expected)


def test_a_region_belongs_to_the_tile_with_its_largest_piece():
    labels = np.full((4, 8), NO_LABEL, np.uint8)
    labels[:, 3:7] = 0
    grid = Grid(8, 4, 4, 0)

    result = merged(SegmentStitcher(grid), detected(grid, labels, np.ones((4, 8), np.float32)))

    assert result.tile.tolist() == [1]


def test_small_regions_are_dropped_only_when_they_are_whole():
    labels = np.full((4, 8), NO_LABEL, np.uint8)
    labels[0, 3:5] = labels[2, 1:3] = labels[3, 7] = labels[3, 4] = 0
    grid = Grid(8, 4, 4, 0)
    stitcher = SegmentStitcher(grid, min_area=2)

    result = merged(stitcher, detected(grid, labels, np.ones((4, 8), np.float32)))

    assert sorted(result.box.tolist()) == [[1, 2, 3, 3], [3, 0, 5, 1]]


def test_stitching_no_detections_gives_none():
    stitcher = SegmentStitcher(Grid(8, 8, 4, 0))

    assert len(stitcher.stitch(Detections.empty())) == 0
    settled, still = stitcher.stitch_interior(Detections.empty(), lambda tiles: tiles >= 0)
    assert len(settled) == len(still) == 0
