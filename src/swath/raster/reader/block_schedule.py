"""Compute which blocks of a raster its tiles need, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints


@dataclass(frozen=True, slots=True)
class Lattice:
    """Lattice of blocks of one size, the last of which may extend beyond the scene."""

    x: int
    """Left edge of the first block, in scene px."""
    y: int
    """Upper edge of the first block, in scene px."""
    cols: int
    """Width of a block in px."""
    rows: int
    """Height of a block in px."""

    def left_of(self, column: int) -> int:
        """Return the left edge of a column of blocks, in scene px."""
        return self.x + column * self.cols

    def top_of(self, row: int) -> int:
        """Return the upper edge of a row of blocks, in scene px."""
        return self.y + row * self.rows

    def spans(self, windows: Ints) -> Ints:
        """Return the blocks that windows need.

        Args:
            windows: Windows (n, 4) x, y, width and height in scene px.

        Returns:
            int64 (n, 4): first and last column, first and last row of blocks.
        """
        x, y, width, height = windows.T
        return np.stack(
            [
                (x - self.x) // self.cols,
                (x + width - 1 - self.x) // self.cols,
                (y - self.y) // self.rows,
                (y + height - 1 - self.y) // self.rows,
            ],
            axis=-1,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a block, and the destination of its pixels."""

    rows: slice
    """Rows of the block."""
    place: NDArray[Any]
    """Destination (layers, rows, cols), with as many columns as are wanted from the block's left
    edge."""

    def of(self, block: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of this part from a block (…, rows, cols)."""
        return block[..., self.rows, : self.place.shape[-1]]

    def layers(self, which: slice) -> Part:
        """Return this part with some of its layers only."""
        return Part(self.rows, self.place[which])


@dataclass(frozen=True, slots=True)
class Strip:
    """Tiles that cover the same rows of pixels."""

    y: int
    """Upper edge in scene px."""
    height: int
    """Height in px."""
    top: int
    """First block row that the tiles need."""
    bottom: int
    """Last block row that the tiles need."""
    left: int
    """First column of blocks that the tiles need."""
    right: int
    """Right edge of the rightmost tile, in scene px."""
    last: int
    """Position of the strip's last tile, from 0, among all tiles to read."""


@dataclass(frozen=True, slots=True)
class BlockRow:
    """Blocks of one row that tiles need."""

    row: int
    """Row of blocks."""
    columns: list[int]
    """Columns of blocks, in ascending order."""
    first: int
    """Position of the first tile that needs the row, from 0, among all tiles to read."""
    last: int
    """Position of the last tile that needs the row."""


def strips(windows: Ints, spans: Ints) -> tuple[list[Strip], Ints]:
    """Group windows by the rows of pixels that they cover.

    Args:
        windows: Windows (n, 4) x, y, width and height in scene px.
        spans: Blocks (n, 4) that the windows need, from `Lattice.spans`.

    Returns:
        Strips, and the index (n,) of each window's strip.
    """
    rows, which = np.unique(windows[:, [1, 3]], axis=0, return_inverse=True)
    which = which.reshape(-1)
    found = []
    for number, (y, height) in enumerate(rows.tolist()):
        (places,) = np.nonzero(which == number)
        left, _, top, bottom = spans[places].min(axis=0).tolist()
        right = int((windows[places, 0] + windows[places, 2]).max())
        found.append(Strip(y, height, top, bottom, left, right, int(places[-1])))
    return found, which


def schedule(spans: Ints) -> list[BlockRow]:
    """Return the block rows that tiles need, in the order in which the tiles need them.

    Args:
        spans: Blocks of the tiles, int64 (n, 4) from `Lattice.spans`, in the order in which the
            tiles are read; at least one.
    """
    across = int(spans[:, 1].max()) + 1
    columns: dict[int, NDArray[np.bool_]] = {}
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for low, high, places in _alike(spans):
        needed = _covered(spans[places, :2], across)
        for row in range(low, high + 1):
            columns[row] = columns.get(row, False) | needed
            first[row] = min(first.get(row, places[0]), places[0])
            last[row] = max(last.get(row, places[-1]), places[-1])
    return [
        BlockRow(row, np.flatnonzero(columns[row]).tolist(), int(first[row]), int(last[row]))
        for row in sorted(columns, key=lambda row: (first[row], row))
    ]


def _alike(spans: Ints) -> list[tuple[int, int, Ints]]:
    """Group tiles by the block rows that they need.

    Returns:
        First block row, last block row and positions (n,) of the tiles of each group.
    """
    rows, which = np.unique(spans[:, 2:], axis=0, return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(1, len(rows)))
    parts = np.split(order, ends)
    return [(int(a), int(b), part) for (a, b), part in zip(rows, parts, strict=True)]


def _covered(spans: Ints, across: int) -> NDArray[np.bool_]:
    """Return which of `across` columns lie in any of the spans (n, 2), first and last column."""
    steps = np.zeros(across + 1, np.int64)
    np.add.at(steps, spans[:, 0], 1)
    np.add.at(steps, spans[:, 1] + 1, -1)
    return np.asarray(np.cumsum(steps[:-1]) > 0)
