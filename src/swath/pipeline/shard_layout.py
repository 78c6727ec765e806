"""Divide a grid of tiles into rectangles, the candidates for the shards of a run.

A rectangle without a valid pixel becomes no shard. Tiles and rectangles are both numbered in raster
order, from 0.
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
    """First tile column of each column of rectangles, then the number of tile columns.

    With the columns 0, 4 and 7, rectangles have the tile columns 0 to 3 and 4 to 6.
    """
    rows: tuple[int, ...]
    """First tile row of each row of rectangles, then the number of tile rows."""

    @classmethod
    def for_grid(
        cls,
        grid: Grid,
        *,
        max_tiles: int,
        max_rectangles: int,
        max_columns: int,
        whole_rows: bool = False,
    ) -> ShardLayout:
        """Return the layout with the shortest seams between its rectangles.

        Args:
            grid: Grid of the tiles.
            max_tiles: Desired maximum number of tiles in a rectangle.
            max_rectangles: Maximum number of rectangles, which overrides the other two.
            max_columns: Desired maximum width of a rectangle in tiles: readers hold rows in memory.
            whole_rows: Whether rectangles are as wide as `max_tiles` and `max_columns` permit. In a
                scene that is stored in rows, reading a part of a row costs as much as the whole
                row.

        Raises:
            ValueError: `max_tiles`, `max_rectangles` or `max_columns` is less than 1.
        """
        if max_tiles < 1 or max_rectangles < 1 or max_columns < 1:
            raise ValueError(
                f"max_tiles is {max_tiles}, max_columns {max_columns} and max_rectangles "
                f"{max_rectangles}; each must be at least 1"
            )
        max_tiles = max(max_tiles, -(-grid.count // max_rectangles))
        while (
            best := cls._minimize_seams(grid, max_tiles, max_columns, whole_rows=whole_rows)
        ).count > max_rectangles:
            max_tiles += -(-max_tiles // 8)
            max_columns = max(max_columns, -(-grid.columns // max_rectangles))
        return best

    @classmethod
    def _minimize_seams(
        cls, grid: Grid, max_tiles: int, max_columns: int, *, whole_rows: bool
    ) -> ShardLayout:
        min_count = -(-grid.columns // min(max_tiles, max_columns))
        across = range(min_count, min_count + 1 if whole_rows else grid.columns + 1)
        down = [-(-grid.rows // (max_tiles // -(-grid.columns // count))) for count in across]
        seams = [a * grid.rows + b * grid.columns for a, b in zip(across, down, strict=True)]
        best = seams.index(min(seams))
        return cls(_split_evenly(grid.columns, across[best]), _split_evenly(grid.rows, down[best]))

    @property
    def count(self) -> int:
        """Number of rectangles."""
        return (len(self.columns) - 1) * (len(self.rows) - 1)

    def tiles(self, number: int) -> Ints:
        """Return the numbers of a rectangle's tiles: int64, shape (n,), sorted.

        Raises:
            IndexError: There is no rectangle of this number.
        """
        if not 0 <= number < self.count:
            raise IndexError(f"there is no rectangle {number}; the layout has {self.count}")
        row, column = divmod(number, len(self.columns) - 1)
        columns = np.arange(self.columns[column], self.columns[column + 1])
        rows = np.arange(self.rows[row], self.rows[row + 1])
        return (rows[:, None] * self.columns[-1] + columns).ravel()

    def rectangle_numbers(self, tiles: ArrayLike) -> Ints:
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


def _split_evenly(length: int, count: int) -> tuple[int, ...]:
    """Return the starts of `count` almost equal parts of a length, then the end of the last one."""
    return tuple(i * length // count for i in range(count + 1))
