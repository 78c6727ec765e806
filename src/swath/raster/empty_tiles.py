"""Detect the tiles of a scene that have no valid pixel, so that no shard has to read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath.errors import SceneError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swath._types import Ints, Mask
    from swath.raster.scene import Scene
    from swath.raster.scene_info import PixelWindow
    from swath.raster.tiles import Grid

MAX_SEARCHED_PIXELS = 100_000_000
"""Largest size in px of a scene that is searched for empty tiles before its run.

In larger scenes the shards skip empty tiles as they read them.
"""

_PIXELS_PER_READ = 4_000_000
"""Approximate number of px of the scene that are read at once."""


def detect_empty_tiles(scene: Scene, grid: Grid, bands: Sequence[int]) -> Mask | None:
    """Detect the tiles without a valid pixel.

    The scene is read in batches of rows. Rows whose tiles all have a valid pixel already are
    skipped. A part that cannot be read counts as valid. Its tiles fail one by one later, and the
    run tolerates some failed tiles.

    Args:
        scene: Scene to search.
        grid: Tiles of the scene.
        bands: Numbers of the model's bands, from 1.

    Returns:
        Mask (tiles,), True = empty. None if no tile is empty, or if the scene was not searched:
        nothing in it marks invalid pixels, it is too large, or too little memory is free.
    """
    info = scene.info
    if not info.masked or info.width * info.height > MAX_SEARCHED_PIXELS:
        return None
    x, y = (
        _tile_ranges(grid, grid.columns, axis=0),
        _tile_ranges(grid, grid.rows, axis=1, step=grid.columns),
    )
    step = max(1, _PIXELS_PER_READ // (info.width * info.block_shape[0])) * info.block_shape[0]
    if not _fits_in_memory(scene, (info.width, step), bands):
        return None
    has_valid = np.zeros((grid.rows, grid.columns), np.bool_)
    for top in range(0, info.height, step):
        bottom = min(info.height, top + step)
        rows = np.flatnonzero((y[:, 0] < bottom) & (y[:, 1] > top))
        if not has_valid[rows].all():
            valid = _read_valid(scene, (0, top, info.width, bottom - top), bands)
            within = np.clip(y[rows] - top, 0, bottom - top)
            has_valid[rows] |= [_any_in_columns(valid[first:last], x) for first, last in within]
    return None if has_valid.all() else ~has_valid.ravel()


def _fits_in_memory(scene: Scene, size: tuple[int, int], bands: Sequence[int]) -> bool:
    """Return whether memory suffices to read a window of `size` (width, height) px.

    If it does not, the shards may still have enough, as they read smaller windows.
    """
    # Imported here because a process that only plans needs nothing else from the reader package.
    from swath.raster.reader.tile_reader import check_free_memory  # noqa: PLC0415

    try:
        check_free_memory(scene, bands, np.array([(0, 0, *size)]))
    except SceneError:
        return False
    return True


def _read_valid(scene: Scene, window: PixelWindow, bands: Sequence[int]) -> Mask:
    try:
        return scene.read_valid(window, bands)
    except SceneError:
        return np.ones((window[3], window[2]), np.bool_)


def _any_in_columns(valid: Mask, spans: Ints) -> Mask:
    """Return whether any pixel is valid in each span of columns.

    Args:
        valid: Mask (rows, cols), True = valid.
        spans: First column, and the column after the last, of each span, (n, 2).
    """
    counts = np.concatenate([[0], valid.any(axis=0).cumsum()])
    return np.asarray(counts[spans[:, 1]] > counts[spans[:, 0]])


def _tile_ranges(grid: Grid, count: int, *, axis: int, step: int = 1) -> Ints:
    """Return the start and end in px, (n, 2), of the tile columns (axis 0) or tile rows (axis 1).

    Args:
        grid: Tiles of the scene.
        count: Number of columns or rows of tiles.
        axis: 0 for x, 1 for y.
        step: Difference between the numbers of two tiles that are neighbors along the axis.
    """
    windows = grid.windows(np.arange(count) * step)
    return np.stack([windows[:, axis], windows[:, axis] + windows[:, axis + 2]], axis=1)
