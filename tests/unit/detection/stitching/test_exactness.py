"""Property tests against an oracle detector: neither tiling nor sharding changes the result."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from swath.detection.boxes import iou
from swath.detection.detections import Detections
from swath.detection.stitching.stitcher import Stitcher
from swath.models.nms_options import NmsOptions
from swath.raster.tiles import Grid
from tests.helpers.oracle import (
    clip,
    detect_boxes,
    detect_outlines,
    merged,
    merged_by_shards,
    windows_of,
)

ALIKE = 0.5
MATCHINGS = [NmsOptions(strategy=s) for s in ("none", "nms", "soft-nms", "nmm", "wbf")]
coordinates = st.floats(0, 1, allow_subnormal=False)


@st.composite
def grids(draw, *, overlaps=(0, 47), least=4) -> Grid:
    size = draw(st.integers(least, 48))
    overlap = min(draw(st.integers(*overlaps)), size - 1)
    longest = size + 4 * (size - overlap)
    return Grid(
        width=draw(st.integers(1, longest)),
        height=draw(st.integers(1, longest)),
        size=size,
        overlap=overlap,
    )


@st.composite
def scenes_of_boxes(draw) -> tuple[Grid, np.ndarray, np.ndarray]:
    """Return a grid and its objects: any size, nested, touching, in chains, of two classes."""
    grid = draw(grids())
    boxes, labels = [], []
    for _ in range(draw(st.integers(1, 6))):
        x0 = draw(st.integers(0, grid.width * 2 - 1)) / 2
        y0 = draw(st.integers(0, grid.height * 2 - 1)) / 2
        width = draw(st.integers(1, 2 * grid.width)) / 2
        height = draw(st.integers(1, 2 * grid.height)) / 2
        box = (x0, y0, min(x0 + width, grid.width), min(y0 + height, grid.height))
        label = draw(st.integers(0, 1))
        rivals = [b for b, k in zip(boxes, labels, strict=True) if k == label]
        if not rivals or not confusable_boxes(grid, np.array(rivals), np.array([box])):
            boxes.append(box)
            labels.append(label)
    return grid, np.array(boxes, dtype=np.float64), np.array(labels, dtype=int)


def confusable_boxes(grid: Grid, others: np.ndarray, last: np.ndarray) -> bool:
    """Return whether the last object is indistinguishable from another one of its class.

    There are three cases:

    - A tile would treat the two objects as one.
    - Two tiles see the same part of both. If two objects cross a seam at one position, nothing
      shows which ends belong together.
    - Tiles abut, so that they share only a line, and both cross-sections on it agree by half.
    """
    if (iou(others, np.repeat(last, len(others), axis=0)) > ALIKE).any():
        return True
    (mine, there), (theirs, here) = (clip(b, polygonize(grid)) for b in (last, others))
    if ((mine == theirs).all(axis=2) & there & here).any():
        return True
    return grid.overlap == 0 and bool(meet_on_seams(grid, others, last))


def polygonize(grid: Grid) -> np.ndarray:
    """Return the overlaps of any two tiles' windows as boxes (n, 4)."""
    windows = windows_of(grid)
    low = np.maximum(windows[:, None, :2], windows[None, :, :2])
    high = np.minimum(windows[:, None, 2:], windows[None, :, 2:])
    regions = np.concatenate([low, high], axis=2)[np.triu_indices(grid.count, 1)]
    return np.unique(regions[(regions[:, 2:] > regions[:, :2]).all(axis=1)], axis=0)


def meet_on_seams(grid: Grid, others: np.ndarray, last: np.ndarray) -> bool:
    """Return whether both objects reach a line between tiles, with sections that agree by half."""
    windows = windows_of(grid)
    found = False
    for axis in (0, 1):
        for line in np.unique(windows[1:, axis]):
            reach = [(b[:, axis] <= line) & (b[:, axis + 2] >= line) for b in (others, last)]
            views = clip(np.concatenate([others, last]), windows)[0][..., [1 - axis, 3 - axis]]
            low = np.maximum(views[:, :-1, 0], views[:, -1:, 0])
            high = np.minimum(views[:, :-1, 1], views[:, -1:, 1])
            either = np.maximum(views[:, :-1, 1], views[:, -1:, 1]) - np.minimum(
                views[:, :-1, 0], views[:, -1:, 0]
            )
            alike = (high - low >= ALIKE * either).any(axis=0)
            found |= bool((alike & reach[0] & reach[1]).any())
    return found


@st.composite
def scenes_of_outlines(draw, *, is_oriented: bool) -> tuple[Grid, np.ndarray, np.ndarray]:
    """Return a grid and convex polygons in it, of two classes."""
    grid = draw(grids(overlaps=(1, 30), least=8))
    assume(grid.count <= 60 and min(grid.width, grid.height) >= 4)
    frame = np.array([grid.width, grid.height])
    outlines, labels = [], []
    for _ in range(draw(st.integers(1, 3))):
        outline = draw(oriented_boxes(frame) if is_oriented else convex_polygons(frame))
        label = draw(st.integers(0, 1))
        rivals = [o for o, k in zip(outlines, labels, strict=True) if k == label]
        if not any(confusable_outlines(grid, outline, o) for o in rivals):
            outlines.append(outline)
            labels.append(label)
    return grid, np.array(outlines, dtype=object), np.array(labels, dtype=int)


@st.composite
def convex_polygons(draw, frame) -> shapely.Polygon:
    corners = draw(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=7))
    outline = shapely.convex_hull(shapely.multipoints(np.round(np.array(corners) * frame, 2)))
    assume(outline.geom_type == "Polygon" and outline.area > 1)
    return outline


@st.composite
def oriented_boxes(draw, frame) -> shapely.Polygon:
    long, wide = draw(st.floats(4, 100)), draw(st.floats(1, 12))
    outline = shapely.affinity.rotate(shapely.box(0, 0, long, wide), draw(st.integers(0, 179)))
    x0, y0, x1, y1 = outline.bounds
    fit = min(1, *(frame / [x1 - x0, y1 - y0]))
    outline = shapely.affinity.scale(outline, fit, fit, origin=(x0, y0))
    room = np.maximum(frame - fit * np.array([x1 - x0, y1 - y0]), 0)
    shift = np.array([draw(coordinates), draw(coordinates)]) * room - [x0, y0]
    return shapely.affinity.translate(outline, *shift)


def confusable_outlines(grid: Grid, one, other) -> bool:
    """Return whether a tile would treat the two as one, or two tiles see half the same of both."""
    regions = np.append(shapely.box(*polygonize(grid).T), shapely.box(0, 0, 1e9, 1e9))
    a, b = shapely.intersection(regions, one), shapely.intersection(regions, other)
    both = shapely.area(shapely.intersection(a, b))
    return bool((both > 1e-9)[both >= ALIKE * shapely.area(shapely.union(a, b))].any())


def found(result: Detections) -> list[tuple[float, ...]]:
    return sorted(
        (int(label), *map(float, box)) for label, box in zip(result.label, result.box, strict=True)
    )


def columns(result: Detections):
    return (result.box, result.score, result.label, result.tile, result.flags)


@pytest.mark.parametrize("matching", MATCHINGS, ids=lambda m: m.strategy)
@settings(max_examples=60, deadline=None)
@given(scene=scenes_of_boxes())
def test_boxes_are_the_truth_for_any_tiling(matching, scene):
    grid, boxes, labels = scene
    truth = sorted((int(k), *map(float, box)) for k, box in zip(labels, boxes, strict=True))

    result = merged(
        Stitcher(grid, matching, tolerance=0, jitter=0), detect_boxes(grid, boxes, labels)
    )

    assert found(result) == truth
    assert (result.flags == 0).all()


@pytest.mark.parametrize("is_oriented", [False, True])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_outlines_are_the_truth_for_any_tiling(is_oriented, data):
    grid, outlines, labels = data.draw(scenes_of_outlines(is_oriented=is_oriented))
    stitcher = Stitcher(grid, is_oriented=is_oriented, tolerance=0, jitter=0)

    result = merged(stitcher, detect_outlines(grid, outlines, labels))

    left = list(range(len(outlines)))
    for outline, label in zip(result.outline, result.label, strict=True):
        same = [
            i
            for i in left
            if labels[i] == label and shapely.hausdorff_distance(outline, outlines[i]) < 1e-3
        ]
        assert same
        left.remove(same[0])
    assert not left
    np.testing.assert_array_equal(result.box, shapely.bounds(result.outline))


@pytest.mark.parametrize("tolerance", [0.0, 2.0])
@settings(max_examples=80, deadline=None)
@given(scene=scenes_of_boxes(), random=st.randoms(use_true_random=False))
def test_shards_do_not_show_whatever_was_seen(tolerance, scene, random):
    """Check any detections, right or wrong: boxes that err, in any order and any partition."""
    grid, boxes, labels = scene
    rng = np.random.default_rng(random.randrange(1 << 30))
    seen = detect_boxes(grid, boxes, labels)
    seen = seen.take(rng.permutation(len(seen)))
    shard = rng.integers(0, rng.integers(1, 6), grid.count)
    stitcher = Stitcher(grid, tolerance=tolerance, jitter=tolerance)

    whole, shards = merged(stitcher, seen), merged_by_shards(stitcher, seen, shard)

    for mine, expected in zip(columns(shards), columns(whole), strict=True):
        np.testing.assert_array_equal(mine, expected)


@settings(max_examples=60, deadline=None)
@given(scene=scenes_of_outlines(is_oriented=False), random=st.randoms(use_true_random=False))
def test_shards_do_not_show_in_outlines(scene, random):
    grid, outlines, labels = scene
    rng = np.random.default_rng(random.randrange(1 << 30))
    seen = detect_outlines(grid, outlines, labels)
    shard = np.sort(rng.integers(0, 4, grid.count))

    whole, shards = merged(Stitcher(grid), seen), merged_by_shards(Stitcher(grid), seen, shard)

    for mine, expected in zip(columns(shards), columns(whole), strict=True):
        np.testing.assert_array_equal(mine, expected)
    assert shapely.equals_exact(shards.outline, whole.outline, 0).all()


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_model_that_errs_by_a_pixel_gives_each_object_once(data):
    """Check that each side may err by 1 px in each tile: the tolerance of two tiles is 2 px."""
    grid = data.draw(grids(overlaps=(8, 40), least=24))
    seed = data.draw(st.integers(0, 1 << 30))
    rng = np.random.default_rng(seed)
    boxes = apart(rng, grid)
    assume(len(boxes) > 0)
    moved = rng.uniform(-1, 1, (grid.count, len(boxes), 4))
    seen = detect_boxes(grid, boxes, np.zeros(len(boxes), int), moved=moved)

    result = merged(Stitcher(grid), seen)

    assert len(result) == len(boxes)
    far = np.abs(result.box[:, None] - boxes[None]).max(axis=2)
    assert sorted(far.argmin(axis=1)) == list(range(len(boxes)))
    assert far.min(axis=1).max() <= 1


def apart(rng, grid: Grid) -> np.ndarray:
    """Return objects of 8 px and more, some larger than tiles, with gaps of at least 12 px."""
    kept: list[np.ndarray] = []
    for _ in range(20):
        size = np.minimum(rng.uniform(8, rng.choice([40, 150]), 2), [grid.width, grid.height])
        low = rng.uniform(0, 1, 2) * ([grid.width, grid.height] - size)
        box = np.concatenate([low, low + size])
        inside = (low >= 1).all() and (box[2:] <= [grid.width - 1, grid.height - 1]).all()
        if inside and (size >= 8).all() and all(gap(box, other) >= 12 for other in kept):
            kept.append(box)
    return np.array(kept).reshape(-1, 4)


def gap(box: np.ndarray, other: np.ndarray) -> float:
    return float(np.maximum(box[:2] - other[2:], other[:2] - box[2:]).max())


def test_pairs_of_regions_are_those_of_overlapping_windows():
    grid = Grid(width=20, height=10, size=10, overlap=4)
    shared = [
        (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
        for a, b in combinations(windows_of(grid).tolist(), 2)
    ]

    assert sorted(map(tuple, polygonize(grid).tolist())) == sorted(
        region for region in set(shared) if region[0] < region[2] and region[1] < region[3]
    )
