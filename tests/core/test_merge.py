"""The seams, against an oracle detector: objects known, clipped by each tile as a model would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from swath.boxes import iou, neighbours
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


def merged(seams: Seams, seen: Detections, threshold: float = IOU_THRESHOLD) -> Detections:
    mine = seams.sort_out(seen)
    open_ = mine.flags != 0
    settled = seams.settle(mine.take(open_), iou_threshold=threshold)
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


@settings(max_examples=300, deadline=None)
@given(scene=scenes())
def test_the_result_is_the_truth_for_any_tiling(scene):
    grid, boxes, labels = scene
    seams = Seams(grid, tolerance=0.0)

    result = merged(seams, oracle(grid, boxes, labels))

    assert found(result) == truth(boxes, labels)
