"""Divide a grid of tiles into rectangles, which are the shards of a run: arithmetic only.

Tiles and rectangles are both numbered in raster order, from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath._types import Ints
from swath.raster.tiles import Grid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """Division of a grid's tiles into rectangles, which share few blocks of the scene.

    Rectangles are numbered in raster order, from 0.
    """

    columns: tuple[int, ...]
    """First tile column of each column of rectangles, then the number of tile columns."""
    rows: tuple[int, ...]
    """First tile row of each row of rectangles, then the number of tile rows."""

    @classmethod
    def for_grid(
        cls, grid: Grid, *, size: int, limit: int, widest: int, whole_rows: bool = False
    ) -> ShardLayout:
        """Return the layout with the shortest seams between its rectangles.

        Args:
            grid: Grid of the tiles.
            size: Desired maximum number of tiles in a rectangle.
            limit: Maximum number of rectangles; they grow if `size` would give more.
            widest: Maximum width of a rectangle in tiles, since a reader holds rows in memory.
            whole_rows: Whether rectangles are as wide as `size` and `widest` permit. In a scene
                that is stored in rows, reading a part of a row costs as much as the whole row.

        Raises:
            ValueError: `size`, `limit` or `widest` is less than 1.
        """
        if size < 1 or limit < 1 or widest < 1:
            raise ValueError(
                f"shards of {size} tiles, {widest} wide, at most {limit} of them; "
                "each must be at least 1"
            )
        size = max(size, -(-grid.count // limit))
        while (best := cls._shortest(grid, size, widest, whole_rows=whole_rows)).count > limit:
            size += -(-size // 8)
            widest = max(widest, -(-grid.columns // limit))
        return best

    @classmethod
    def _shortest(cls, grid: Grid, size: int, widest: int, *, whole_rows: bool) -> ShardLayout:
        fewest = -(-grid.columns // min(size, widest))
        across = range(fewest, fewest + 1 if whole_rows else grid.columns + 1)
        down = [-(-grid.rows // (size // -(-grid.columns // count))) for count in across]
        seams = [a * grid.rows + b * grid.columns for a, b in zip(across, down, strict=True)]
        best = seams.index(min(seams))
        return cls(_cuts(grid.columns, across[best]), _cuts(grid.rows, down[best]))

    @property
    def count(self) -> int:
        """Number of rectangles."""
        return (len(self.columns) - 1) * (len(self.rows) - 1)

    def tiles(self, number: int) -> Ints:
        """Return the numbers of a rectangle's tiles: int64, shape (n,), increasing.

        Raises:
            IndexError: There is no rectangle of this number.
        """
        if not 0 <= number < self.count:
            raise IndexError(f"rectangle {number} of {self.count}")
        row, column = divmod(number, len(self.columns) - 1)
        columns = np.arange(self.columns[column], self.columns[column + 1])
        rows = np.arange(self.rows[row], self.rows[row + 1])
        return (rows[:, None] * self.columns[-1] + columns).ravel()

    def rectangle_of(self, tiles: ArrayLike) -> Ints:
        """Return the number of the rectangle that contains each tile.

        Args:
            tiles: Numbers of tiles, of any shape.

        Returns:
            Numbers of rectangles, int64, of the same shape.
        """
        row, column = np.divmod(np.asarray(tiles, dtype=np.int64), self.columns[-1])
        across = np.searchsorted(self.columns, column, side="right") - 1
        down = np.searchsorted(self.rows, row, side="right") - 1
        return np.asarray(down * (len(self.columns) - 1) + across, dtype=np.int64)


def _cuts(length: int, count: int) -> tuple[int, ...]:
    """Return the starts of `count` almost equal parts of a length, then the end of the last one."""
    return tuple(i * length // count for i in range(count + 1))
