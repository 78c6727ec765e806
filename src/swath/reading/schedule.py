"""Which blocks are needed when: arithmetic only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.tiles import Ints


@dataclass(frozen=True, slots=True)
class Lattice:
    """Blocks of one size, side by side from a corner; the last ones may reach beyond the scene."""

    x: int
    y: int
    cols: int
    """Of a block, in px."""
    rows: int

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
class BlockRow:
    """The blocks of one row that tiles need."""

    row: int
    columns: list[int]
    first: int
    """The place, among the tiles, of the first that needs it."""
    last: int


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
