"""Which blocks are needed when: arithmetic only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints


@dataclass(frozen=True, slots=True)
class Lattice:
    """Blocks of one size, side by side from a corner; the last ones may reach beyond the scene."""

    x: int
    y: int
    cols: int
    """Of a block, in px."""
    rows: int

    def left_of(self, column: int) -> int:
        """px; where a column of blocks begins."""
        return self.x + column * self.cols

    def top_of(self, row: int) -> int:
        """px; where a row of blocks begins."""
        return self.y + row * self.rows

    def spans(self, windows: Ints) -> Ints:
        """The blocks that windows (n, 4) need, int64 (n, 4): first and last column, then row."""
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
    """Where some of a block's pixels go."""

    rows: slice
    """Of the block."""
    place: NDArray[Any]
    """(layers, rows, cols), written to; as many columns as are wanted, from the block's first."""

    def of(self, block: NDArray[Any]) -> NDArray[Any]:
        """These pixels, of a block (…, rows, cols)."""
        return block[..., self.rows, : self.place.shape[-1]]

    def layers(self, which: slice) -> Part:
        """The same pixels of some layers."""
        return Part(self.rows, self.place[which])


@dataclass(frozen=True, slots=True)
class Strip:
    """Tiles of the same rows."""

    y: int
    height: int
    top: int
    """The first block row that they need."""
    bottom: int
    """The last."""
    left: int
    """The first column of blocks."""
    right: int
    """px; where the last tile ends."""
    last: int
    """The place, among the tiles, of the last of them."""


@dataclass(frozen=True, slots=True)
class BlockRow:
    """The blocks of one row that tiles need."""

    row: int
    columns: list[int]
    first: int
    """The place, among the tiles, of the first that needs it."""
    last: int


def strips(windows: Ints, spans: Ints) -> tuple[list[Strip], Ints]:
    """The strips of windows (n, 4) that need the blocks of `spans`; and of each, its strip."""
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
    """The block rows that tiles need, in the order in which they need them.

    Args:
        spans: int64 (n, 4) of the tiles, at least one, in the order in which they are read.
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
    """Tiles by the rows that they need: first row, last row, the tiles' places."""
    rows, which = np.unique(spans[:, 2:], axis=0, return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(1, len(rows)))
    parts = np.split(order, ends)
    return [(int(a), int(b), part) for (a, b), part in zip(rows, parts, strict=True)]


def _covered(spans: Ints, across: int) -> NDArray[np.bool_]:
    """Which columns lie in any of the spans (n, 2)."""
    steps = np.zeros(across + 1, np.int64)
    np.add.at(steps, spans[:, 0], 1)
    np.add.at(steps, spans[:, 1] + 1, -1)
    return np.asarray(np.cumsum(steps[:-1]) > 0)
