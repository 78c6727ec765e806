"""Keep a ring of block rows, in which each block is decoded once, and cut tiles from it.

A strip holds the pixels of one row of tiles, and the tiles are views of it. The ring holds only the
strips to which the current block rows contribute, so its size is independent of the scene's height.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from swath.raster.reader.block_schedule import BlockRow, Lattice, Part, schedule, strips

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints

ROWS_AHEAD = 1
"""Number of block rows that are decoded before the current tile needs them."""
FETCHED_AHEAD = 6
"""Number of block rows that are prefetched before they are decoded."""
BYTES_AHEAD = 64 << 20
"""Size in bytes of prefetched block rows above which no more are prefetched."""


class Source(Protocol):
    """Source of a raster's blocks."""

    @property
    def lattice(self) -> Lattice:
        """Positions of the blocks in the scene."""

    def expect(self, row: BlockRow) -> int:
        """Start prefetching the bytes of a block row, and return their number."""

    def room(self, rows: int, cols: int) -> NDArray[Any]:
        """Return memory for pixels, (layers, rows, cols), in the layout that is fastest to fill."""

    def decode(self, row: int, column: int, parts: Sequence[Part]) -> Future[None]:
        """Start decoding a block of an expected row into its destinations."""

    def forget(self, row: int) -> None:
        """Release a block row, of which no more blocks are needed."""


class Ring:
    """Ring of block rows, from which tiles are cut in the order of `windows`."""

    def __init__(self, source: Source, windows: Ints) -> None:
        self._source = source
        self._lattice = source.lattice
        self._windows = windows
        self._spans = self._lattice.spans(windows)
        self._strips, self._strip_of = strips(windows, self._spans)
        self._rows = schedule(self._spans)
        self._firsts = [row.first for row in self._rows]
        self._sizes: list[int] = []
        """Numbers of bytes of the block rows that were prefetched so far."""
        self._decoded = 0
        self._blocks: dict[int, dict[int, Future[None]]] = {}
        self._pixels: dict[int, NDArray[Any]] = {}
        """Pixels (layers, rows, cols) of the current strips, by number of the strip."""
        self._last = {row.row: row.last for row in self._rows}

    def cut(self, place: int) -> NDArray[Any]:
        """Return a tile, (layers, rows, cols), as a view that keeps its strip in memory.

        Args:
            place: Position of the tile, from 0, among the windows.

        Raises:
            Exception: The source could not decode a block of the tile.
        """
        self._run_ahead(place)
        try:
            return self._view(place)
        finally:
            self._release(place)

    @property
    def held(self) -> int:
        """Number of block rows that are decoded or being decoded."""
        return len(self._blocks)

    def _run_ahead(self, place: int) -> None:
        """Start decoding the block rows of a tile, and prefetch and decode some rows after them."""
        until = min(len(self._rows), bisect_right(self._firsts, place) + ROWS_AHEAD)
        if until > self._decoded:
            self._fetch(until)
            self._decode(self._rows[self._decoded : until])
            self._decoded = until

    def _fetch(self, until: int) -> None:
        """Start prefetching the first `until` block rows, and some after them."""
        for row in self._rows[len(self._sizes) :]:
            ahead = self._sizes[until:]
            late = len(self._sizes) < until
            if not late and (len(ahead) >= FETCHED_AHEAD or sum(ahead) >= BYTES_AHEAD):
                return
            self._sizes.append(self._source.expect(row))

    def _decode(self, rows: list[BlockRow]) -> None:
        """Start decoding rows column by column, so that the first tile waits for few blocks."""
        shown = {needed.row: self._shown_in(needed.row) for needed in rows}
        self._blocks |= {needed.row: {} for needed in rows}
        for column, row in sorted((c, needed.row) for needed in rows for c in needed.columns):
            parts = [part for number in shown[row] for part in self._parts(number, row, column)]
            self._blocks[row][column] = self._source.decode(row, column, parts)

    def _shown_in(self, row: int) -> list[int]:
        """Return the strips that overlap a block row, after allocating their memory."""
        found = [n for n, strip in enumerate(self._strips) if strip.top <= row <= strip.bottom]
        for number in found:
            if number not in self._pixels:
                strip = self._strips[number]
                cols = strip.right - self._lattice.left_of(strip.left)
                self._pixels[number] = self._source.room(strip.height, cols)
        return found

    def _parts(self, number: int, row: int, column: int) -> Iterator[Part]:
        """Yield the part of a block that lies in a strip, if they overlap."""
        strip, lattice = self._strips[number], self._lattice
        start = lattice.left_of(column) - lattice.left_of(strip.left)
        stop = min(start + lattice.cols, strip.right - lattice.left_of(strip.left))
        if 0 <= start < stop:
            of_block, of_strip = _overlap(lattice.top_of(row), lattice.rows, strip.y, strip.height)
            yield Part(of_block, self._pixels[number][:, of_strip, start:stop])

    def _view(self, place: int) -> NDArray[Any]:
        left, right, top, bottom = self._spans[place].tolist()
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                self._blocks[row][column].result()
        x, _, width, _ = self._windows[place].tolist()
        number = int(self._strip_of[place])
        start = x - self._lattice.left_of(self._strips[number].left)
        return self._pixels[number][:, :, start : start + width]

    def _release(self, place: int) -> None:
        """Release the block rows and strips that no later tile needs."""
        for row in [row for row in self._blocks if self._last[row] <= place]:
            for block in self._blocks.pop(row).values():
                block.cancel()
            self._source.forget(row)
        for number in [n for n in self._pixels if self._strips[n].last <= place]:
            del self._pixels[number]


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
