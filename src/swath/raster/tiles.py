"""Compute the tiles of a scene and their cores.

All positions are scene pixels from the upper left corner, x to the right and y down. Every range is
half open. Tiles are numbered in raster order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath._types import Ints

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_MAX_STEP_PX = 32
"""Largest value of `Grid.step` in px, a power of two."""
_TILES_PER_BATCH = 256
"""Number of tiles whose positions are computed together."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A square window of a scene, which the model receives as one input."""

    index: int
    column: int
    row: int
    x: int
    y: int
    size: int
    window: tuple[int, int, int, int]
    """(x, y, width, height) of the part that lies in the scene; the rest of the tile is padding."""
    core: tuple[int, int, int, int]
    """(x0, y0, x1, y1) of the pixels that this tile owns."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Square tiles over a scene, of which neighbors overlap by `overlap` px.

    The last column and row are moved back towards the scene's edge, to a multiple of `step`, so
    they overlap their neighbors by more. They are padded by less than `step`, except where the
    scene is smaller than a tile. Cores of neighbors meet in the middle of their overlap.
    """

    width: int
    height: int
    size: int
    overlap: int

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"a scene of {self.width} x {self.height} px has no pixels")
        if self.size <= 0:
            raise ValueError(f"the tile size is {self.size} px; it must be at least 1")
        if not 0 <= self.overlap < self.size:
            raise ValueError(
                f"tiles of {self.size} px overlap by {self.overlap} px; "
                f"the overlap must lie in 0 to {self.size - 1}"
            )

    @property
    def stride(self) -> int:
        """Distance in px between neighboring tiles; the last tile may be closer."""
        return self.size - self.overlap

    @property
    def step(self) -> int:
        """Largest of 1, 2, 4, … 32 px that divides the start of every tile.

        Nearly every detector works on a feature grid of 32, 16 or 8 px. Its predictions change when
        an object moves relative to that grid: the small ship detector's AP varies by a third. As
        tiles start at multiples of `step`, an object keeps the offset on that grid that it would
        have in the whole scene.
        """
        return math.gcd(self.stride, _MAX_STEP_PX)

    @property
    def columns(self) -> int:
        """Number of columns of tiles."""
        return self._count(self.width)

    @property
    def rows(self) -> int:
        """Number of rows of tiles."""
        return self._count(self.height)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return self.columns * self.rows

    def tile(self, index: int) -> Tile:
        """Return one tile by its number.

        Raises:
            IndexError: There is no such tile.
        """
        return next(self.iter_tiles([index]))

    def iter_tiles(self, indices: Sequence[int] | Ints) -> Iterator[Tile]:
        """Yield the tiles with the given numbers, in the given order.

        Positions are computed for many tiles at once. Computed one by one, they would take as
        long as cutting the tiles from the blocks.

        Raises:
            IndexError: There is no such tile.
        """
        for start in range(0, len(indices), _TILES_PER_BATCH):
            part = np.asarray(indices[start : start + _TILES_PER_BATCH])
            windows, cores = self.windows(part).tolist(), self.cores(part).tolist()
            for index, window, core in zip(part.tolist(), windows, cores, strict=True):
                row, column = divmod(index, self.columns)
                x, y, _, _ = window
                yield Tile(index, column, row, x, y, self.size, tuple(window), tuple(core))

    def windows(self, indices: ArrayLike) -> Ints:
        """Return the parts of tiles that lie in the scene.

        Args:
            indices: Numbers of the tiles, (n,).

        Returns:
            int64 (n, 4): x, y, width and height in px.

        Raises:
            IndexError: There is no such tile.
        """
        column, row = self._columns_and_rows(indices)
        x, y = self._start(column, self.width), self._start(row, self.height)
        width, height = (
            np.minimum(self.size, self.width - x),
            np.minimum(self.size, self.height - y),
        )
        return np.stack([x, y, width, height], axis=-1)

    def cores(self, indices: ArrayLike) -> Ints:
        """Return the cores of tiles: the pixels that each tile owns.

        Args:
            indices: Numbers of the tiles, (n,).

        Returns:
            int64 (n, 4): x0, y0, x1 and y1 in px.

        Raises:
            IndexError: There is no such tile.
        """
        column, row = self._columns_and_rows(indices)
        x0, x1 = self._border(column, self.width), self._border(column + 1, self.width)
        y0, y1 = self._border(row, self.height), self._border(row + 1, self.height)
        return np.stack([x0, y0, x1, y1], axis=-1)

    def owner(self, x: ArrayLike, y: ArrayLike) -> Ints:
        """Return the numbers of the tiles that own the given positions.

        The owner of a position is the tile whose core contains it. The owner of a position outside
        the scene is the nearest tile.

        Args:
            x: Positions along x in px, of any shape.
            y: Positions along y in px, in the same shape.

        Returns:
            int64, in the shape of the positions.
        """
        column = np.searchsorted(self._inner_borders(self.width), x, side="right")
        row = np.searchsorted(self._inner_borders(self.height), y, side="right")
        return np.asarray(row * self.columns + column, dtype=np.int64)

    def _count(self, length: int) -> int:
        return 1 + max(0, -((self.size - length) // self.stride))

    def _columns_and_rows(self, indices: ArrayLike) -> tuple[Ints, Ints]:
        """Return the columns and the rows of tiles, by the tiles' numbers."""
        numbers = np.asarray(indices, dtype=np.int64)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= self.count):
            raise IndexError(
                f"tiles {numbers.min()} to {numbers.max()} do not all exist: "
                f"the grid has {self.count} tiles"
            )
        row, column = np.divmod(numbers, self.columns)
        return column, row

    def _start(self, index: Ints, length: int) -> Ints:
        """Return the starts in px of columns or rows of tiles along an axis of `length` px."""
        return np.minimum(index * self.stride, self._last_start(length))

    def _last_start(self, length: int) -> int:
        return -(-max(0, length - self.size) // self.step) * self.step

    def _border(self, index: Ints, length: int) -> Ints:
        """Return the starts in px of cores along an axis of `length` px.

        For the index after the last tile, the start is the scene's edge.
        """
        middle = (self._start(index - 1, length) + self._start(index, length) + self.size) // 2
        inner = np.where(index <= 0, 0, middle)
        return np.where(index >= self._count(length), length, inner)

    def _inner_borders(self, length: int) -> Ints:
        return self._border(np.arange(1, self._count(length)), length)
