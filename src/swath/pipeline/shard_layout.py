"""The rectangles of tiles that are the shards of a run: arithmetic only.

Tiles are numbered as their grid numbers them; so are rectangles, in raster order.
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
    """A grid's tiles in rectangles: as a shard, each reads few blocks that another reads as well.

    Rectangles are numbered in raster order too.
    """

    columns: tuple[int, ...]
    """Where rectangles start along x, in tiles, and at the end how many tiles there are."""
    rows: tuple[int, ...]
    """The same along y."""

    @classmethod
    def for_grid(
        cls, grid: Grid, *, size: int, limit: int, widest: int, whole_rows: bool = False
    ) -> ShardLayout:
        """Return the layout with the shortest seams between its rectangles.

        Args:
            grid: the tiles.
            size: how many tiles a rectangle should hold at most.
            limit: how many rectangles there may be; they grow where `size` would give more.
            widest: how many tiles wide a rectangle may be: a reader holds its rows in memory.
            whole_rows: no rectangle ends along x before it must. Of a scene that is stored in rows,
                a part of one costs as much to read as the whole.

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
        """How many rectangles there are."""
        return (len(self.columns) - 1) * (len(self.rows) - 1)

    def tiles(self, number: int) -> Ints:
        """The numbers of a rectangle's tiles, int64, increasing.

        Raises:
            IndexError: there is no such rectangle.
        """
        if not 0 <= number < self.count:
            raise IndexError(f"rectangle {number} of {self.count}")
        row, column = divmod(number, len(self.columns) - 1)
        columns = np.arange(self.columns[column], self.columns[column + 1])
        rows = np.arange(self.rows[row], self.rows[row + 1])
        return (rows[:, None] * self.columns[-1] + columns).ravel()

    def rectangle_of(self, tiles: ArrayLike) -> Ints:
        """The numbers of the rectangles that hold tiles; int64, shaped like them."""
        row, column = np.divmod(np.asarray(tiles, dtype=np.int64), self.columns[-1])
        across = np.searchsorted(self.columns, column, side="right") - 1
        down = np.searchsorted(self.rows, row, side="right") - 1
        return np.asarray(down * (len(self.columns) - 1) + across, dtype=np.int64)


def _cuts(length: int, count: int) -> tuple[int, ...]:
    """Where `count` equal shares of a length begin, and where the last ends."""
    return tuple(i * length // count for i in range(count + 1))
