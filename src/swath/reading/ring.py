"""A ring of block rows, from which tiles are cut: each block is brought here once.

It holds the rows that the tile at hand needs and one more, over the columns that any tile needs;
its size does not depend on the scene's.
"""

from __future__ import annotations

from bisect import bisect_right
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from swath.reading.schedule import BlockRow, Lattice, schedule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.tiles import Ints

ROWS_AHEAD = 1
"""Block rows decoded before the tile at hand needs them."""
FETCHED_AHEAD = 6
"""Block rows on their way before they are decoded, as long as they are not too large:"""
BYTES_AHEAD = 64 << 20


class Source(Protocol):
    """Where blocks come from."""

    @property
    def lattice(self) -> Lattice:
        """Where they lie."""

    def expect(self, row: BlockRow) -> int:
        """Begin to bring a row's bytes here; returns how many they are."""

    def decode(self, row: int, column: int) -> Future[NDArray[Any]]:
        """Begin to decode a block of an expected row: (layers, rows, cols), of any memory layout.

        The part of a block that lies beyond the scene may be left out.
        """

    def forget(self, row: int, blocks: list[NDArray[Any]]) -> None:
        """Nothing more of that row is needed: its blocks may be written over."""


class Ring:
    """Cuts tiles, in the order in which they were announced."""

    def __init__(self, source: Source, windows: Ints) -> None:
        self._source = source
        self._lattice = source.lattice
        self._windows = windows
        self._spans = self._lattice.spans(windows)
        self._rows = schedule(self._spans)
        self._firsts = [row.first for row in self._rows]
        self._sizes: list[int] = []
        """Bytes of the rows that were expected so far."""
        self._decoded = 0
        self._blocks: dict[int, dict[int, Future[NDArray[Any]]]] = {}
        self._last = {row.row: row.last for row in self._rows}

    def cut(self, place: int) -> NDArray[Any]:
        """The tile at that place: (layers, rows, cols), new memory, laid out as the blocks are.

        Raises:
            Exception: what the source raised of the first block of the tile that it could not give.
        """
        self._run_ahead(place)
        try:
            return self._assemble(place)
        finally:
            self._release(place)

    @property
    def held(self) -> int:
        """How many block rows are here, or being decoded."""
        return len(self._blocks)

    def _run_ahead(self, place: int) -> None:
        """Set to work on what this tile needs, and on a little more: nobody waits for the other."""
        until = min(len(self._rows), bisect_right(self._firsts, place) + ROWS_AHEAD)
        if until > self._decoded:
            self._fetch(until)
            self._decode(self._rows[self._decoded : until])
            self._decoded = until

    def _fetch(self, until: int) -> None:
        """Expect the rows that are to be decoded now, and some after them."""
        for row in self._rows[len(self._sizes) :]:
            ahead = self._sizes[until:]
            late = len(self._sizes) < until
            if not late and (len(ahead) >= FETCHED_AHEAD or sum(ahead) >= BYTES_AHEAD):
                return
            self._sizes.append(self._source.expect(row))

    def _decode(self, rows: list[BlockRow]) -> None:
        """Column by column, so that the first tile need not wait for whole rows."""
        self._blocks |= {needed.row: {} for needed in rows}
        for column, row in sorted((c, needed.row) for needed in rows for c in needed.columns):
            self._blocks[row][column] = self._source.decode(row, column)

    def _assemble(self, place: int) -> NDArray[Any]:
        x, y, width, height = self._windows[place].tolist()
        left, right, top, bottom = self._spans[place].tolist()
        lattice, tile = self._lattice, None
        for row in range(top, bottom + 1):
            from_rows, to_rows = _overlap(lattice.y + row * lattice.rows, lattice.rows, y, height)
            for column in range(left, right + 1):
                block = self._blocks[row][column].result()
                start = lattice.x + column * lattice.cols
                from_cols, to_cols = _overlap(start, lattice.cols, x, width)
                if tile is None:
                    tile = _like(block, height, width)
                tile[:, to_rows, to_cols] = block[:, from_rows, from_cols]
        assert tile is not None  # noqa: S101 (a window has at least one pixel)
        return tile

    def _release(self, place: int) -> None:
        """Forget the rows that no later tile needs."""
        for row in [row for row in self._blocks if self._last[row] <= place]:
            futures = self._blocks.pop(row).values()
            self._source.forget(row, [f.result() for f in futures if _succeeded(f)])


def _overlap(block: int, length: int, start: int, size: int) -> tuple[slice, slice]:
    """Where a block and a window overlap along one axis: within the block, within the window."""
    low, high = max(block, start), min(block + length, start + size)
    return slice(low - block, high - block), slice(low - start, high - start)


def _succeeded(future: Future[Any]) -> bool:
    """Whether it holds a result. One that is not wanted any more is not begun."""
    return not future.cancel() and future.done() and future.exception() is None


def _like(block: NDArray[Any], rows: int, cols: int) -> NDArray[Any]:
    """An empty tile with the axes in the order in which the block has them in memory."""
    layers = len(block)
    if layers > 1 and block.strides[0] < block.strides[2]:
        return np.empty((rows, cols, layers), block.dtype).transpose(2, 0, 1)
    return np.empty((layers, rows, cols), block.dtype)
