"""The tiles of a scene that have no valid pixel, which no shard need see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath.errors import SceneError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swath._types import Ints, Mask
    from swath.raster.scene import OpenScene
    from swath.raster.scene_info import Box
    from swath.raster.tiles import Grid

MAX_SEARCHED_PIXELS = 100_000_000
"""In larger scenes nobody looks for empty tiles beforehand: shards skip them as they read."""

_BAND_PIXELS = 4_000_000


def find_empty_tiles(scene: OpenScene, grid: Grid, bands: Sequence[int]) -> Mask | None:
    """Find the tiles without a valid pixel, (tiles,) bool; None if all have one, or nobody looked.

    The scene is read in bands of rows, and only where the answer is still open. A part that cannot
    be read counts as not empty: its tiles fail one by one, as many as the run tolerates.
    """
    info = scene.info
    if not info.masked or info.width * info.height > MAX_SEARCHED_PIXELS:
        return None
    x, y = _spans(grid, grid.columns, axis=0), _spans(grid, grid.rows, axis=1, step=grid.columns)
    step = max(1, _BAND_PIXELS // (info.width * info.block_shape[0])) * info.block_shape[0]
    if not _fits(scene, (info.width, step), bands):
        return None
    live = np.zeros((grid.rows, grid.columns), np.bool_)
    for top in range(0, info.height, step):
        bottom = min(info.height, top + step)
        rows = np.flatnonzero((y[:, 0] < bottom) & (y[:, 1] > top))
        if not live[rows].all():
            valid = _read_valid(scene, (0, top, info.width, bottom - top), bands)
            within = np.clip(y[rows] - top, 0, bottom - top)
            live[rows] |= [_any_in_columns(valid[first:last], x) for first, last in within]
    return None if live.all() else ~live.ravel()


def _fits(scene: OpenScene, size: tuple[int, int], bands: Sequence[int]) -> bool:
    """Whether there is memory for a window of a width and a height; shards may have more."""
    # A process that only plans has no other use for the package.
    from swath.raster.reader.tile_reader import check_memory  # noqa: PLC0415

    try:
        check_memory(scene, bands, np.array([(0, 0, *size)]))
    except SceneError:
        return False
    return True


def _read_valid(scene: OpenScene, window: Box, bands: Sequence[int]) -> Mask:
    try:
        return scene.valid(window, bands)
    except SceneError:
        return np.ones((window[3], window[2]), np.bool_)


def _any_in_columns(valid: Mask, spans: Ints) -> Mask:
    """Return whether any pixel is valid, for each of (n, 2) first and last columns."""
    counts = np.concatenate([[0], valid.any(axis=0).cumsum()])
    return np.asarray(counts[spans[:, 1]] > counts[spans[:, 0]])


def _spans(grid: Grid, count: int, *, axis: int, step: int = 1) -> Ints:
    """(n, 2) start and end of the columns of tiles (axis 0) or of their rows (axis 1)."""
    windows = grid.windows(np.arange(count) * step)
    return np.stack([windows[:, axis], windows[:, axis] + windows[:, axis + 2]], axis=1)
