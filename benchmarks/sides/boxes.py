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

SIZE, OVERLAP = 512, 64
"""px, of the tiles."""
_DENSITY = 10_000 / 8192**2
"""Detections a px."""
_CLASSES = 4
_MADE = 1


def make_grid(count: int) -> Grid:
    """Tiles enough for that many detections."""
    stride = SIZE - OVERLAP
    side = round(np.sqrt(count / _DENSITY) / stride) * stride + OVERLAP
    return Grid(side, side, SIZE, OVERLAP)


def load_boxes(count: int) -> Detections:
    """`count` detections of the tiles of `make_grid`, in the order of the tiles.

    They are kept in a file, so that whoever merges them has not held what drawing them took.
    """
    path = _path(count)
    with np.load(path) as file:
        return Detections(
            file["box"], file["score"], file["label"], file["tile"], np.zeros(count, np.uint8)
        )


def draw(count: int) -> dict[str, int]:
    """Draw the file that `load_boxes` reads, if it is not there."""
    if not _path(count).exists():
        box, score, label, tile = _seen(make_grid(count), np.random.default_rng(count), count)
        _path(count).parent.mkdir(parents=True, exist_ok=True)
        partial = _path(count).with_suffix(".partial.npz")
        np.savez(partial, box=box, score=score, label=label, tile=tile)
        partial.replace(_path(count))
    return {"boxes": count}


def _path(count: int) -> Path:
    return scenes.CACHE / "boxes" / f"{count}_v{_MADE}.npz"


def _seen(
    grid: Grid, rng: np.random.Generator, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int16], NDArray[np.int64]]:
    """Each object as each tile sees it that sees a third of it or more, a little moved."""
    objects = _objects(grid.width, rng, count)
    score = rng.beta(5, 2, count)
    label = rng.integers(0, _CLASSES, count)
    views = []
    home = np.stack(np.divmod(grid.owner(*_middles(objects).T), grid.columns), axis=1)
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            place = home + np.array([row, column])
            there = ((place >= 0) & (place < (grid.rows, grid.columns))).all(axis=1)
            rows = np.flatnonzero(there)
            tile = place[rows, 0] * grid.columns + place[rows, 1]
            box, clear = _clipped(objects[rows], grid, tile, rng)
            moved = (score[rows] + rng.normal(0, 0.03, len(rows))).clip(0.05, 0.999)
            views.append((box[clear], moved[clear], label[rows][clear], tile[clear]))
    box, score, label, tile = (np.concatenate(column) for column in zip(*views, strict=True))
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
    centre = np.where(rng.random((count, 1)) < 0.7, near, anywhere).clip(4, side - 4)  # noqa: PLR2004
    half = np.exp(rng.normal(2.7, 0.45, (count, 2))).clip(4, 60) / 2
    return np.concatenate([centre - half, centre + half], axis=1).clip(0, side)


def _clipped(
    objects: NDArray[np.float64], grid: Grid, tile: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Objects as tiles see them, and which of them they see well enough."""
    low = grid.windows(tile)[:, :2].astype(np.float64)
    high = low + grid.windows(tile)[:, 2:]
    moved = objects + rng.normal(0, 0.6, objects.shape)
    box = np.concatenate([np.maximum(moved[:, :2], low), np.minimum(moved[:, 2:], high)], axis=1)
    sides = box[:, 2:] - box[:, :2]
    area = (objects[:, 2:] - objects[:, :2]).prod(axis=1)
    clear = (sides > 3).all(axis=1) & (sides.prod(axis=1) > 0.35 * area)  # noqa: PLR2004
    return box, clear


def _middles(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2
