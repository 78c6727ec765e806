"""The seams, against an oracle detector: objects known, clipped by each tile as a model would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.boxes import iou
from swath.detections import Detections, Flag
from swath.merge import Seams
from swath.tiles import Grid

IOU_THRESHOLD = 0.5


def detections(boxes, labels=None, tile=0, scores=None) -> Detections:
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    labels = np.zeros(len(boxes)) if labels is None else labels
    scores = np.full(len(boxes), 0.5) if scores is None else scores
    return Detections.of_tile(
        boxes, np.array(scores, dtype=np.float32), np.array(labels, dtype=np.int16), tile
    )


def clip(boxes: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes within each of the windows, (windows, boxes, 4), and which of them are anything."""
    low = np.maximum(boxes[None, :, :2], windows[:, None, :2])
    high = np.minimum(boxes[None, :, 2:], windows[:, None, 2:])
    return np.concatenate([low, high], axis=2), (high > low).all(axis=2)


def windows_of(grid: Grid) -> np.ndarray:
    windows = grid.windows(np.arange(grid.count)).astype(np.float64)
    windows[:, 2:] += windows[:, :2]
    return windows


def oracle(grid: Grid, boxes: np.ndarray, labels: np.ndarray) -> Detections:
    """What the tiles see of the objects: the parts inside their windows."""
    views, visible = clip(boxes, windows_of(grid))
    tile, number = np.nonzero(visible)
    count = len(tile)
    return Detections(
        views[visible],
        np.full(count, 0.5, np.float32),
        labels[number].astype(np.int16),
        tile.astype(np.int64),
        np.zeros(count, np.uint8),
    )


def merged(seams: Seams, seen: Detections) -> Detections:
    mine = seams.sort_out(seen)
    open_ = mine.flags != 0
    settled = seams.settle(mine.take(open_))
    return Detections.concatenate([mine.take(~open_), settled]).ordered()


def found(result: Detections) -> list[tuple[float, ...]]:
    return sorted(
        (int(label), *map(float, box)) for label, box in zip(result.label, result.box, strict=True)
    )


def truth(boxes: np.ndarray, labels: np.ndarray) -> list[tuple[float, ...]]:
    return sorted((int(label), *map(float, box)) for label, box in zip(labels, boxes, strict=True))


@st.composite
def grids(draw) -> Grid:
    size = draw(st.integers(4, 48))
    overlap = draw(st.integers(1, size - 1))
    longest = size + 4 * (size - overlap)
    return Grid(
        width=draw(st.integers(1, longest)),
        height=draw(st.integers(1, longest)),
        size=size,
        overlap=overlap,
    )


@st.composite
def scenes(draw) -> tuple[Grid, np.ndarray, np.ndarray]:
    """A grid and objects in it: any size, nested, touching, in chains, of two classes."""
    grid = draw(grids())
    boxes, labels = [], []
    for _ in range(draw(st.integers(1, 6))):
        x0 = draw(st.integers(0, grid.width * 2 - 1)) / 2
        y0 = draw(st.integers(0, grid.height * 2 - 1)) / 2
        width = draw(st.integers(1, 2 * grid.width)) / 2
        height = draw(st.integers(1, 2 * grid.height)) / 2
        box = (x0, y0, min(x0 + width, grid.width), min(y0 + height, grid.height))
        label = draw(st.integers(0, 1))
        if not_confusable(grid, [*boxes, box], [*labels, label]):
            boxes.append(box)
            labels.append(label)
    return grid, np.array(boxes, dtype=np.float64).reshape(-1, 4), np.array(labels, dtype=int)


def not_confusable(grid: Grid, boxes, labels) -> bool:
    """Whether the last object can be told from the others of its class.

    It cannot where any tile's NMS would take the two for one, nor where two tiles see the same of
    both: of two objects that cross a seam at one place, nothing says which end belongs to which.
    """
    rivals = np.array(
        [box for box, label in zip(boxes, labels, strict=True) if label == labels[-1]]
    )
    *others, last = rivals
    if not others:
        return True
    windows = windows_of(grid)
    shared = np.concatenate(
        [
            np.maximum(windows[:, None, :2], windows[None, :, :2]),
            np.minimum(windows[:, None, 2:], windows[None, :, 2:]),
        ],
        axis=2,
    ).reshape(-1, 4)
    shared = np.unique(shared[(shared[:, 2:] > shared[:, :2]).all(axis=1)], axis=0)
    views, visible = clip(rivals, shared)
    alike = (views[:, :-1] == views[:, -1:]).all(axis=2) & visible[:, :-1]
    overlap = iou(np.array(others), np.repeat(last[None], len(others), axis=0))
    return not alike.any() and bool((overlap <= IOU_THRESHOLD).all())


@settings(max_examples=1000, deadline=None)
@given(scene=scenes())
def test_the_result_is_the_truth_for_any_tiling(scene):
    grid, boxes, labels = scene
    seams = Seams(grid, tolerance=0.0, jitter=0.0)

    result = merged(seams, oracle(grid, boxes, labels))

    assert found(result) == truth(boxes, labels)


@settings(max_examples=150, deadline=None)
@given(scene=scenes(), cuts=st.lists(st.floats(0, 1), max_size=5))
def test_the_order_of_shards_does_not_matter(scene, cuts):
    grid, boxes, labels = scene
    seams = Seams(grid)
    seen = oracle(grid, boxes, labels)
    places = np.sort(np.array([int(cut * grid.count) for cut in cuts]))
    shards = [
        seams.sort_out(seen.take(np.digitize(seen.tile, places) == i)) for i in range(len(cuts) + 1)
    ]

    mixed = Detections.concatenate(shards[::-1])
    flagged = mixed.flags != 0
    settled = seams.settle(mixed.take(flagged))
    result = Detections.concatenate([mixed.take(~flagged), settled]).ordered()

    whole = merged(seams, seen)
    for mine, expected in zip(columns(result), columns(whole), strict=True):
        np.testing.assert_array_equal(mine, expected)


def columns(detections_):
    return (detections_.box, detections_.score, detections_.label, detections_.tile)


@settings(max_examples=150, deadline=None)
@given(scene=scenes())
def test_with_tolerance_nothing_is_lost_or_inflated(scene):
    """Clipped boxes that may stop short of an edge: far-apart objects are still the truth."""
    grid, boxes, labels = scene
    apart = np.zeros(len(boxes), bool)
    for i, box in enumerate(boxes):
        near = [
            (np.maximum(box[:2], other[:2]) - 9 <= np.minimum(box[2:], other[2:])).all()
            for j, other in enumerate(boxes)
            if j != i
        ]
        apart[i] = not any(near)
    boxes, labels = boxes[apart], labels[apart]

    result = merged(Seams(grid, tolerance=2.0), oracle(grid, boxes, labels))

    assert found(result) == truth(boxes, labels)


@pytest.mark.parametrize("overlap", [0, 1, 8, 40])
def test_an_object_larger_than_a_tile_is_one_box(overlap):
    grid = Grid(width=300, height=200, size=64, overlap=overlap)
    boxes = np.array([[10.5, 20.25, 250.5, 130.75]])

    result = merged(Seams(grid), oracle(grid, boxes, np.array([0])))

    assert found(result) == truth(boxes, [0])
    assert result.tile.tolist() == [int(grid.owner(130.5, 75.5))]


def test_the_clipped_twin_of_an_object_seen_whole_is_dropped():
    """OSML keeps both."""
    grid = Grid(width=200, height=64, size=64, overlap=16)
    boxes = np.array([[30.0, 10.0, 60.0, 30.0]])
    seen = oracle(grid, boxes, np.array([0]))
    assert len(seen) == 2

    assert found(merged(Seams(grid), seen)) == truth(boxes, [0])


def test_a_small_confident_box_does_not_swallow_a_large_one():
    """Sahi's greedy matching by intersection over smaller does."""
    grid = Grid(width=64, height=64, size=64, overlap=16)
    seen = detections([[5, 5, 55, 55], [20, 20, 26, 26]], scores=[0.4, 0.9])

    assert len(merged(Seams(grid), seen)) == 2


def test_classes_never_merge():
    grid = Grid(width=200, height=64, size=64, overlap=8)
    boxes = np.array([[10.0, 10.0, 180.0, 30.0], [10.0, 10.0, 180.0, 30.0]])

    result = merged(Seams(grid), oracle(grid, boxes, np.array([0, 1])))

    assert found(result) == truth(boxes, [0, 1])


def test_a_part_whose_other_half_was_missed_is_kept():
    grid = Grid(width=120, height=64, size=64, overlap=8)
    part = [[20.0, 10.0, 64.0, 30.0]]

    result = merged(Seams(grid), detections(part, tile=0))

    assert found(result) == truth(np.array(part), [0])


def test_parts_that_do_not_agree_stay_apart():
    grid = Grid(width=120, height=64, size=64, overlap=8)
    left, right = (
        detections([[10.0, 10.0, 64.0, 20.0]], tile=0),
        detections([[56.0, 30.0, 100.0, 45.0]], tile=1),
    )

    assert len(merged(Seams(grid), Detections.concatenate([left, right]))) == 2


def test_a_joined_box_has_the_best_score_of_its_parts():
    grid = Grid(width=120, height=64, size=64, overlap=8)
    left = detections([[10.0, 10.0, 64.0, 20.0]], tile=0, scores=[0.6])
    right = detections([[56.0, 10.0, 100.0, 20.0]], tile=1, scores=[0.8])

    result = merged(Seams(grid), Detections.concatenate([left, right]))

    assert found(result) == [(0, 10.0, 10.0, 100.0, 20.0)]
    assert result.score.tolist() == pytest.approx([0.8])


# Two tiles, 0 to 64 and 48 to 112: the cores meet at 56.
@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (55.0, 55.5, 0),  # both say it is the left tile's
        (56.5, 57.0, 1),  # both say it is the right tile's
        (56.5, 55.5, 1),  # each takes it for the other's; the better one stands
        (55.5, 56.5, 0),  # each takes it for its own; the better one stands
    ],
)
def test_a_centre_that_moves_across_a_core_border_is_neither_lost_nor_doubled(
    left, right, expected
):
    grid = Grid(width=112, height=64, size=64, overlap=16)
    better = [0.9, 0.6] if expected == 0 else [0.6, 0.9]
    seen = [
        detections([[x - 4, 10, x + 4, 18]], tile=tile, scores=[score])
        for tile, (x, score) in enumerate(zip((left, right), better, strict=True))
    ]

    result = merged(Seams(grid), Detections.concatenate(seen))

    assert result.tile.tolist() == [expected]


def test_what_the_owner_did_not_report_is_not_taken_from_a_guest():
    grid = Grid(width=112, height=64, size=64, overlap=16)

    assert len(merged(Seams(grid), detections([[53, 10, 61, 18]], tile=0))) == 0


def test_only_what_the_grid_cannot_decide_is_flagged():
    grid = Grid(width=112, height=64, size=64, overlap=16)
    seen = detections([[10, 10, 20, 20], [51, 10, 59, 20], [53, 10, 60, 20], [30, 10, 64, 20]])

    kept = Seams(grid).sort_out(seen)

    assert kept.flags.tolist() == [0, Flag.DOUBTFUL, Flag.DOUBTFUL | Flag.GUEST, Flag.PART]


def test_nothing_gives_nothing():
    grid = Grid(width=112, height=64, size=64, overlap=16)

    assert len(merged(Seams(grid), Detections.empty())) == 0
