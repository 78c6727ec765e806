"""Cache block rows, so that each block is decoded once, and read tiles from the cache.

An array holds the pixels of one row of tiles, and the tiles are views of it. The cache holds only
the rows of tiles that overlap the current block rows, so its size does not depend on the scene's
height.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from swath.raster.reader.block_schedule import (
    BlockGrid,
    BlockRow,
    CopyTarget,
    group_tile_rows,
    schedule_block_rows,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints

DECODED_ROWS_AHEAD = 1
"""Number of block rows that are decoded beyond those that the current tile needs."""
MAX_PREFETCHED_ROWS = 6
"""Largest number of block rows that are prefetched beyond those being decoded."""
MAX_PREFETCHED_BYTES = 64 << 20
"""Size in bytes of prefetched block rows above which no more are prefetched."""


class BlockSource(Protocol):
    """Source of a raster's blocks."""

    @property
    def block_grid(self) -> BlockGrid:
        """Positions of the blocks in the scene."""

    def byte_ranges(self, row: BlockRow, spans: Ints | None = None) -> Ints | None:
        """Return offsets and sizes in bytes, (n, 2), of the blocks of a row; None if unknown.

        Args:
            row: Row of blocks.
            spans: First row and end, (n, 2), of the rows of pixels that are needed; None for all.
        """

    def prefetch(self, row: BlockRow) -> int:
        """Start prefetching the bytes of a block row, and return how many there are."""

    def allocate(self, rows: int, cols: int) -> NDArray[Any]:
        """Return memory for pixels, (layers, rows, cols), in the layout that is fastest to fill."""

    def decode(self, row: int, column: int, targets: Sequence[CopyTarget]) -> Future[None]:
        """Start decoding a block of a prefetched row into its destinations."""

    def release(self, row: int) -> None:
        """Release a block row, of which no more blocks are needed."""


class BlockCache:
    """Cache of block rows, from which tiles are read in the order of `windows`."""

    def __init__(self, source: BlockSource, windows: Ints) -> None:
        self._source = source
        self._block_grid = source.block_grid
        self._windows = windows
        self._block_ranges = self._block_grid.block_ranges(windows)
        self._tile_rows, self._tile_row_indices = group_tile_rows(windows, self._block_ranges)
        self._block_rows = schedule_block_rows(self._block_ranges)
        self._first_tiles = [row.first_tile for row in self._block_rows]
        self._row_bytes: list[int] = []
        """Numbers of bytes of the block rows that were prefetched so far."""
        self._decoded_count = 0
        self._blocks: dict[int, dict[int, Future[None]]] = {}
        self._pixels: dict[int, NDArray[Any]] = {}
        """Pixels (layers, rows, cols) of the current rows of tiles, by index of the row."""
        self._last_tiles = {row.row: row.last_tile for row in self._block_rows}

    def read_tile(self, index: int) -> NDArray[Any]:
        """Return a tile, (layers, rows, cols), as a view that keeps its row of tiles in memory.

        Args:
            index: Index of the tile among the windows.

        Raises:
            Exception: The source could not decode a block of the tile.
        """
        self._read_ahead(index)
        try:
            return self._view(index)
        finally:
            self._release(index)

    @property
    def rows_in_memory(self) -> int:
        """Number of block rows that are decoded or being decoded."""
        return len(self._blocks)

    def _read_ahead(self, index: int) -> None:
        """Start decoding the block rows of a tile, and prefetch and decode some rows after them."""
        until = min(
            len(self._block_rows), bisect_right(self._first_tiles, index) + DECODED_ROWS_AHEAD
        )
        if until > self._decoded_count:
            self._prefetch_until(until)
            self._decode(self._block_rows[self._decoded_count : until])
            self._decoded_count = until

    def _prefetch_until(self, until: int) -> None:
        """Start prefetching the first `until` block rows, and some after them."""
        for row in self._block_rows[len(self._row_bytes) :]:
            ahead = self._row_bytes[until:]
            late = len(self._row_bytes) < until
            if not late and (
                len(ahead) >= MAX_PREFETCHED_ROWS or sum(ahead) >= MAX_PREFETCHED_BYTES
            ):
                return
            self._row_bytes.append(self._source.prefetch(row))

    def _decode(self, rows: list[BlockRow]) -> None:
        """Start decoding rows column by column, so that the first tile waits for few blocks."""
        tile_rows = {needed.row: self._allocate_tile_rows(needed.row) for needed in rows}
        self._blocks |= {needed.row: {} for needed in rows}
        for column, row in sorted((c, needed.row) for needed in rows for c in needed.columns):
            targets = [
                t for index in tile_rows[row] for t in self._copy_targets(index, row, column)
            ]
            self._blocks[row][column] = self._source.decode(row, column, targets)

    def _allocate_tile_rows(self, row: int) -> list[int]:
        """Return the rows of tiles that overlap a block row, after allocating their memory."""
        overlapping = [
            index
            for index, tile_row in enumerate(self._tile_rows)
            if tile_row.first_block_row <= row <= tile_row.last_block_row
        ]
        for index in overlapping:
            if index not in self._pixels:
                tile_row = self._tile_rows[index]
                cols = tile_row.right - self._block_grid.column_left(tile_row.first_block_column)
                self._pixels[index] = self._source.allocate(tile_row.height, cols)
        return overlapping

    def _copy_targets(self, index: int, row: int, column: int) -> Iterator[CopyTarget]:
        """Yield the part of a row of tiles that a block is copied to, if the two overlap."""
        tile_row, grid = self._tile_rows[index], self._block_grid
        left = grid.column_left(tile_row.first_block_column)
        start = grid.column_left(column) - left
        stop = min(start + grid.block_width, tile_row.right - left)
        if 0 <= start < stop:
            block_rows, target_rows = _overlap(
                grid.row_top(row), grid.block_height, tile_row.y, tile_row.height
            )
            yield CopyTarget(block_rows, self._pixels[index][:, target_rows, start:stop])

    def _view(self, index: int) -> NDArray[Any]:
        left, right, top, bottom = self._block_ranges[index].tolist()
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                self._blocks[row][column].result()
        x, _, width, _ = self._windows[index].tolist()
        tile_row = int(self._tile_row_indices[index])
        start = x - self._block_grid.column_left(self._tile_rows[tile_row].first_block_column)
        return self._pixels[tile_row][:, :, start : start + width]

    def _release(self, index: int) -> None:
        """Release the block rows and rows of tiles that no later tile needs."""
        for row in [row for row in self._blocks if self._last_tiles[row] <= index]:
            for block in self._blocks.pop(row).values():
                block.cancel()
            self._source.release(row)
        for tile_row in [n for n in self._pixels if self._tile_rows[n].last_tile <= index]:
            del self._pixels[tile_row]


def _overlap(block: int, length: int, start: int, size: int) -> tuple[slice, slice]:
    """Return the overlap of a block and a window along one axis.

    Args:
        block: Start of the block in px.
        length: Length of the block in px.
        start: Start of the window in px.
        size: Length of the window in px.

    Returns:
        Overlap relative to the block, and relative to the window.
    """
    low, high = max(block, start), min(block + length, start + size)
    return slice(low - block, high - block), slice(low - start, high - start)
