"""A ring of block rows, each block decoded once, into the strips of which tiles are views.

A strip is what a row of tiles sees. The ring holds those that the block rows at hand belong to; its
size does not depend on the scene's.
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

    def room(self, rows: int, cols: int) -> NDArray[Any]:
        """Memory for pixels, (layers, rows, cols), in the order quickest to write."""

    def decode(self, row: int, column: int, parts: Sequence[Part]) -> Future[None]:
        """Begin to decode a block of an expected row, and to put its pixels where they belong."""

    def forget(self, row: int) -> None:
        """Nothing more of that row is needed."""


class Ring:
    """Cuts tiles, in the order in which they were announced."""

    def __init__(self, source: Source, windows: Ints) -> None:
        self._source = source
        self._lattice = source.lattice
        self._windows = windows
        self._spans = self._lattice.spans(windows)
        self._strips, self._strip_of = strips(windows, self._spans)
        self._rows = schedule(self._spans)
        self._firsts = [row.first for row in self._rows]
        self._sizes: list[int] = []
        """Bytes of the rows that were expected so far."""
        self._decoded = 0
        self._blocks: dict[int, dict[int, Future[None]]] = {}
        self._pixels: dict[int, NDArray[Any]] = {}
        """Of the strips at hand."""
        self._last = {row.row: row.last for row in self._rows}

    def cut(self, place: int) -> NDArray[Any]:
        """The tile at that place, (layers, rows, cols): a view, which keeps its strip in memory.

        Raises:
            Exception: what the source raised of the first block of the tile that it could not give.
        """
        self._run_ahead(place)
        try:
            return self._view(place)
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
        shown = {needed.row: self._shown_in(needed.row) for needed in rows}
        self._blocks |= {needed.row: {} for needed in rows}
        for column, row in sorted((c, needed.row) for needed in rows for c in needed.columns):
            parts = [part for number in shown[row] for part in self._parts(number, row, column)]
            self._blocks[row][column] = self._source.decode(row, column, parts)

    def _shown_in(self, row: int) -> list[int]:
        """The strips that show a block row; from now on there is memory for them."""
        found = [n for n, strip in enumerate(self._strips) if strip.top <= row <= strip.bottom]
        for number in found:
            if number not in self._pixels:
                strip = self._strips[number]
                cols = strip.right - self._lattice.left_of(strip.left)
                self._pixels[number] = self._source.room(strip.height, cols)
        return found

    def _parts(self, number: int, row: int, column: int) -> Iterator[Part]:
        """What a strip shows of a block, if anything."""
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
        """Forget what no later tile needs."""
        for row in [row for row in self._blocks if self._last[row] <= place]:
            for block in self._blocks.pop(row).values():
                block.cancel()
            self._source.forget(row)
        for number in [n for n in self._pixels if self._strips[n].last <= place]:
            del self._pixels[number]


def _overlap(block: int, length: int, start: int, size: int) -> tuple[slice, slice]:
    """Where a block and a window overlap along one axis: within the block, within the window."""
    low, high = max(block, start), min(block + length, start + size)
    return slice(low - block, high - block), slice(low - start, high - start)
