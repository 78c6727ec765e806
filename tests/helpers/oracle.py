"""Simulate a detector that knows all objects: each tile reports their parts in its window."""

from __future__ import annotations

import numpy as np
import shapely

from swath.detection.detections import Detections
from swath.detection.stitching.stitcher import Stitcher
from swath.raster.tiles import Grid


def windows_of(grid: Grid) -> np.ndarray:
    """Return the window of each tile, x0, y0, x1, y1."""
    windows = grid.windows(np.arange(grid.count)).astype(np.float64)
    windows[:, 2:] += windows[:, :2]
    return windows


def clip(boxes: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes clipped to each window, (windows, boxes, 4), and which of them have area."""
    low = np.maximum(boxes[..., :, :2], windows[:, None, :2])
    high = np.minimum(boxes[..., :, 2:], windows[:, None, 2:])
    return np.concatenate([low, high], axis=2), (high > low).all(axis=2)


def detect_boxes(
    grid: Grid, boxes: np.ndarray, labels: np.ndarray, *, moved: np.ndarray | float = 0.0
) -> Detections:
    """Return the tiles' detections of boxes; `moved` (tiles, boxes, 4) is the error of each."""
    views, visible = clip(boxes[None] + moved, windows_of(grid))
    tile, number = np.nonzero(visible)
    return _detections(views[visible], labels[number], tile)


def detect_outlines(grid: Grid, outlines: np.ndarray, labels: np.ndarray) -> Detections:
    """Return the tiles' detections of polygons."""
    views = shapely.intersection(shapely.box(*windows_of(grid).T)[:, None], outlines[None])
    tile, number = np.nonzero(shapely.area(views) > 1e-9)
    seen = views[tile, number]
    return _detections(shapely.bounds(seen), labels[number], tile, seen)


def _detections(box, label, tile, outline=None) -> Detections:
    count = len(tile)
    return Detections(
        box.reshape(-1, 4),
        np.linspace(0.3, 0.9, count, dtype=np.float32),
        label.astype(np.int16),
        tile.astype(np.int64),
        np.zeros(count, np.uint8),
        outline,
    )


def merged(stitcher: Stitcher, seen: Detections) -> Detections:
    """Stitch all detections at once."""
    mine = stitcher.keep_owned(seen)
    open_ = mine.flags != 0
    settled = stitcher.stitch(mine.take(open_))
    return Detections.concatenate([mine.take(~open_), settled]).sorted_by_tile()


def merged_by_shards(stitcher: Stitcher, seen: Detections, shard: np.ndarray) -> Detections:
    """Stitch the interior of each shard, the last shard first, and then the remaining detections.

    Args:
        stitcher: Stitching of the tiles.
        seen: Detections of all tiles.
        shard: Shard of each tile.
    """
    done, left = [], []
    for number in range(shard.max() + 1)[::-1]:
        mine = stitcher.keep_owned(seen.take(shard[seen.tile] == number))
        flagged = mine.take(mine.flags != 0)
        settled, others = stitcher.stitch_interior(
            flagged, lambda tiles, n=number: shard[tiles] == n
        )
        done += [mine.take(mine.flags == 0), settled]
        left.append(others)
    return Detections.concatenate(
        [*done, stitcher.stitch(Detections.concatenate(left))]
    ).sorted_by_tile()
