"""Compute which blocks of a raster its tiles need, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints


@dataclass(frozen=True, slots=True)
class BlockGrid:
    """Grid of blocks of one size, the last of which may extend beyond the scene."""

    x: int
    """Left edge of the first block, in scene px."""
    y: int
    """Upper edge of the first block, in scene px."""
    block_width: int
    """Width of a block in px."""
    block_height: int
    """Height of a block in px."""

    def column_left(self, column: int) -> int:
        """Return the left edge of a column of blocks, in scene px."""
        return self.x + column * self.block_width

    def row_top(self, row: int) -> int:
        """Return the upper edge of a row of blocks, in scene px."""
        return self.y + row * self.block_height

    def block_ranges(self, windows: Ints) -> Ints:
        """Return the blocks that windows need.

        Args:
            windows: Windows (n, 4) x, y, width and height in scene px.

        Returns:
            int64 (n, 4): first and last column, first and last row of blocks.
        """
        x, y, width, height = windows.T
        return np.stack(
            [
                (x - self.x) // self.block_width,
                (x + width - 1 - self.x) // self.block_width,
                (y - self.y) // self.block_height,
                (y + height - 1 - self.y) // self.block_height,
            ],
            axis=-1,
        )


@dataclass(frozen=True, slots=True)
class CopyTarget:
    """Rows of a block, and the array that their pixels are copied to."""

    rows: slice
    """Rows of the block."""
    pixels: NDArray[Any]
    """Destination (layers, rows, cols), with as many columns as are needed from the block's left
    edge."""

    def crop(self, block: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels for this target from a block (…, rows, cols)."""
        return block[..., self.rows, : self.pixels.shape[-1]]

    def select_layers(self, layers: slice) -> CopyTarget:
        """Return this target with some of its layers only."""
        return CopyTarget(self.rows, self.pixels[layers])


@dataclass(frozen=True, slots=True)
class TileRow:
    """Tiles that cover the same rows of pixels."""

    y: int
    """Upper edge in scene px."""
    height: int
    """Height in px."""
    first_block_row: int
    """First block row that the tiles need."""
    last_block_row: int
    """Last block row that the tiles need."""
    first_block_column: int
    """First column of blocks that the tiles need."""
    right: int
    """Right edge of the rightmost tile, in scene px."""
    last_tile: int
    """Index, among all tiles to read, of the last tile of the row."""


@dataclass(frozen=True, slots=True)
class BlockRow:
    """Blocks of one row that tiles need."""

    row: int
    """Row of blocks."""
    columns: list[int]
    """Columns of blocks, in ascending order."""
    first_tile: int
    """Index, among all tiles to read, of the first tile that needs the row."""
    last_tile: int
    """Index of the last tile that needs the row."""


def group_tile_rows(windows: Ints, block_ranges: Ints) -> tuple[list[TileRow], Ints]:
    """Group windows by the rows of pixels that they cover.

    Args:
        windows: Windows (n, 4) x, y, width and height in scene px.
        block_ranges: Blocks (n, 4) that the windows need, from `BlockGrid.block_ranges`.

    Returns:
        Rows of tiles, and the index (n,) of each window's row.
    """
    rows, row_indices = np.unique(windows[:, [1, 3]], axis=0, return_inverse=True)
    row_indices = row_indices.reshape(-1)
    tile_rows = []
    for index, (y, height) in enumerate(rows.tolist()):
        (tiles,) = np.nonzero(row_indices == index)
        left, _, top, bottom = block_ranges[tiles].min(axis=0).tolist()
        right = int((windows[tiles, 0] + windows[tiles, 2]).max())
        tile_rows.append(TileRow(y, height, top, bottom, left, right, int(tiles[-1])))
    return tile_rows, row_indices


def schedule_block_rows(block_ranges: Ints) -> list[BlockRow]:
    """Return the block rows that tiles need, in the order in which the tiles need them.

    Args:
        block_ranges: Blocks of the tiles, int64 (n, 4) from `BlockGrid.block_ranges`, in the order
            in which the tiles are read; at least one.
    """
    column_count = int(block_ranges[:, 1].max()) + 1
    columns: dict[int, NDArray[np.bool_]] = {}
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for low, high, tiles in _group_by_block_rows(block_ranges):
        needed = _covered_columns(block_ranges[tiles, :2], column_count)
        for row in range(low, high + 1):
            columns[row] = columns.get(row, False) | needed
            first[row] = min(first.get(row, tiles[0]), tiles[0])
            last[row] = max(last.get(row, tiles[-1]), tiles[-1])
    return [
        BlockRow(row, np.flatnonzero(columns[row]).tolist(), int(first[row]), int(last[row]))
        for row in sorted(columns, key=lambda row: (first[row], row))
    ]


def _group_by_block_rows(block_ranges: Ints) -> list[tuple[int, int, Ints]]:
    """Group tiles by the block rows that they need.

    Returns:
        First block row, last block row and indices (n,) of the tiles of each group.
    """
    rows, group_indices = np.unique(block_ranges[:, 2:], axis=0, return_inverse=True)
    order = np.argsort(group_indices, kind="stable")
    ends = np.searchsorted(group_indices[order], np.arange(1, len(rows)))
    groups = np.split(order, ends)
    return [(int(a), int(b), tiles) for (a, b), tiles in zip(rows, groups, strict=True)]


def _covered_columns(block_ranges: Ints, column_count: int) -> NDArray[np.bool_]:
    """Return which of `column_count` columns lie in any of the ranges (n, 2), first and last."""
    steps = np.zeros(column_count + 1, np.int64)
    np.add.at(steps, block_ranges[:, 0], 1)
    np.add.at(steps, block_ranges[:, 1] + 1, -1)
    return np.asarray(np.cumsum(steps[:-1]) > 0)
