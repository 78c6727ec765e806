"""Draw the detections of a scene's tiles: clustered objects, several times near seams."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import scenes
from swath.detection.detections import Detections
from swath.raster.tiles import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE_SIZE, OVERLAP = 512, 64
"""Size and overlap of the tiles in px."""
_DETECTIONS_PER_PX = 10_000 / 8192**2
"""Number of detections per px."""
_CLASS_COUNT = 4
_VERSION = 1


def make_grid(count: int) -> Grid:
    """Return a grid with enough tiles for a number of detections."""
    stride = TILE_SIZE - OVERLAP
    side = round(np.sqrt(count / _DETECTIONS_PER_PX) / stride) * stride + OVERLAP
    return Grid(side, side, TILE_SIZE, OVERLAP)


def load_boxes(count: int) -> Detections:
    """Load `count` detections of the tiles of `make_grid`, in the order of the tiles.

    Another process drew them into a file, so that the memory of drawing is not measured.
    """
    path = _path(count)
    with np.load(path) as file:
        return Detections(
            file["box"], file["score"], file["label"], file["tile"], np.zeros(count, np.uint8)
        )


def draw(count: int) -> dict[str, int]:
    """Draw the file that `load_boxes` reads, if it does not exist."""
    if not _path(count).exists():
        box, score, label, tile = _draw_detections(
            make_grid(count), np.random.default_rng(count), count
        )
        _path(count).parent.mkdir(parents=True, exist_ok=True)
        partial = _path(count).with_suffix(".partial.npz")
        np.savez(partial, box=box, score=score, label=label, tile=tile)
        partial.replace(_path(count))
    return {"boxes": count}


def _path(count: int) -> Path:
    return scenes.CACHE_FOLDER / "boxes" / f"{count}_v{_VERSION}.npz"


def _draw_detections(
    grid: Grid, rng: np.random.Generator, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int16], NDArray[np.int64]]:
    """Return slightly moved detections of each object by each tile with a third of it or more."""
    objects = _objects(grid.width, rng, count)
    score = rng.beta(5, 2, count)
    label = rng.integers(0, _CLASS_COUNT, count)
    parts = []
    owner = np.stack(np.divmod(grid.owner(*_centers(objects).T), grid.columns), axis=1)
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            position = owner + np.array([row, column])
            exists = ((position >= 0) & (position < (grid.rows, grid.columns))).all(axis=1)
            rows = np.flatnonzero(exists)
            tile = position[rows, 0] * grid.columns + position[rows, 1]
            box, visible = _clip_to_tiles(objects[rows], grid, tile, rng)
            moved = (score[rows] + rng.normal(0, 0.03, len(rows))).clip(0.05, 0.999)
            parts.append((box[visible], moved[visible], label[rows][visible], tile[visible]))
    box, score, label, tile = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(tile, kind="stable")[:count]
    return (
        box[order],
        score[order].astype(np.float32),
        label[order].astype(np.int16),
        tile[order],
    )


def _objects(side: int, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    clusters = rng.uniform(0, side, (max(1, count // 60), 2))
    near = clusters[rng.integers(0, len(clusters), count)] + rng.normal(0, 60, (count, 2))
    anywhere = rng.uniform(0, side, (count, 2))
    center = np.where(rng.random((count, 1)) < 0.7, near, anywhere).clip(4, side - 4)  # noqa: PLR2004
    half = np.exp(rng.normal(2.7, 0.45, (count, 2))).clip(4, 60) / 2
    return np.concatenate([center - half, center + half], axis=1).clip(0, side)


def _clip_to_tiles(
    objects: NDArray[np.float64], grid: Grid, tile: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the objects clipped to tiles, and which of them are visible enough."""
    low = grid.windows(tile)[:, :2].astype(np.float64)
    high = low + grid.windows(tile)[:, 2:]
    moved = objects + rng.normal(0, 0.6, objects.shape)
    box = np.concatenate([np.maximum(moved[:, :2], low), np.minimum(moved[:, 2:], high)], axis=1)
    sides = box[:, 2:] - box[:, :2]
    area = (objects[:, 2:] - objects[:, :2]).prod(axis=1)
    visible = (sides > 3).all(axis=1) & (sides.prod(axis=1) > 0.35 * area)  # noqa: PLR2004
    return box, visible


def _centers(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2
