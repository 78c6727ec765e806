"""Tiles and their cores: arithmetic only.

All positions are scene pixels from the upper left corner, x to the right and y down; every range is
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

_COARSEST = 32
"""px; a power of two."""
_TILES_AT_ONCE = 256
"""Tiles whose positions are worked out together."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One window of a scene that the model sees."""

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
    """Square tiles over a scene, neighbours overlapping by `overlap` px or, at the end, by more.

    The last column and row are moved back towards the scene's edge by a multiple of `step`, so they
    are padded by less than that, or by more where the scene is smaller than a tile. A core ends in
    the middle of each overlap.
    """

    width: int
    height: int
    size: int
    overlap: int

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"a scene of {self.width} x {self.height} px has no pixel to tile")
        if self.size <= 0:
            raise ValueError(f"the tile size is {self.size} px; it must be at least 1")
        if not 0 <= self.overlap < self.size:
            raise ValueError(
                f"tiles of {self.size} px overlap by {self.overlap} px; "
                f"the overlap must lie in 0 to {self.size - 1}"
            )

    @property
    def stride(self) -> int:
        """The distance in px between neighbours, except to the last."""
        return self.size - self.overlap

    @property
    def step(self) -> int:
        """What all starts of tiles are multiples of, in px: the largest of 1, 2, 4, … 32 that fits.

        Nearly every detector looks at its tile on a grid of 32, 16 or 8 px, and its answer changes
        when an object moves on that grid: the small ship detector's AP varies by a third. Tiles in
        step see an object as the model would in the whole scene.
        """
        return math.gcd(self.stride, _COARSEST)

    @property
    def columns(self) -> int:
        """How many tiles lie side by side."""
        return self._count(self.width)

    @property
    def rows(self) -> int:
        """How many tiles lie one above the other."""
        return self._count(self.height)

    @property
    def count(self) -> int:
        """How many tiles cover the scene."""
        return self.columns * self.rows

    def tile(self, index: int) -> Tile:
        """Return the tile of a number.

        Raises:
            IndexError: There is no such tile.
        """
        return next(self.iter_tiles([index]))

    def iter_tiles(self, indices: Sequence[int] | Ints) -> Iterator[Tile]:
        """Yield the tiles of some numbers, in their order.

        Positions are worked out for many tiles at once: one by one, they would cost a reader as
        much as cutting the tiles from its blocks.

        Raises:
            IndexError: There is no such tile.
        """
        for start in range(0, len(indices), _TILES_AT_ONCE):
            part = np.asarray(indices[start : start + _TILES_AT_ONCE])
            windows, cores = self.windows(part).tolist(), self.cores(part).tolist()
            for index, window, core in zip(part.tolist(), windows, cores, strict=True):
                row, column = divmod(index, self.columns)
                x, y, _, _ = window
                yield Tile(index, column, row, x, y, self.size, tuple(window), tuple(core))

    def windows(self, indices: ArrayLike) -> Ints:
        """The parts of tiles that lie in the scene, int64 (n, 4): x, y, width, height.

        Raises:
            IndexError: there is no such tile.
        """
        column, row = self._place(indices)
        x, y = self._start(column, self.width), self._start(row, self.height)
        width, height = (
            np.minimum(self.size, self.width - x),
            np.minimum(self.size, self.height - y),
        )
        return np.stack([x, y, width, height], axis=-1)

    def cores(self, indices: ArrayLike) -> Ints:
        """The pixels that tiles own, int64 (n, 4): x0, y0, x1, y1.

        Raises:
            IndexError: there is no such tile.
        """
        column, row = self._place(indices)
        x0, x1 = self._border(column, self.width), self._border(column + 1, self.width)
        y0, y1 = self._border(row, self.height), self._border(row + 1, self.height)
        return np.stack([x0, y0, x1, y1], axis=-1)

    def owner(self, x: ArrayLike, y: ArrayLike) -> Ints:
        """The numbers of the tiles whose cores hold the positions; int64, shaped like them.

        A position outside the scene belongs to the tile nearest to it.
        """
        column = np.searchsorted(self._inner_borders(self.width), x, side="right")
        row = np.searchsorted(self._inner_borders(self.height), y, side="right")
        return np.asarray(row * self.columns + column, dtype=np.int64)

    def _count(self, length: int) -> int:
        return 1 + max(0, -((self.size - length) // self.stride))

    def _place(self, indices: ArrayLike) -> tuple[Ints, Ints]:
        """The columns and rows of tiles."""
        numbers = np.asarray(indices, dtype=np.int64)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= self.count):
            raise IndexError(
                f"tiles {numbers.min()} to {numbers.max()} of a grid of {self.count} tiles"
            )
        row, column = np.divmod(numbers, self.columns)
        return column, row

    def _start(self, place: Ints, length: int) -> Ints:
        """Where tiles start along one axis."""
        return np.minimum(place * self.stride, self._last_start(length))

    def _last_start(self, length: int) -> int:
        return -(-max(0, length - self.size) // self.step) * self.step

    def _border(self, place: Ints, length: int) -> Ints:
        """Where cores start along one axis; one place past the last tile, the scene's edge."""
        middle = (self._start(place - 1, length) + self._start(place, length) + self.size) // 2
        inner = np.where(place <= 0, 0, middle)
        return np.where(place >= self._count(length), length, inner)

    def _inner_borders(self, length: int) -> Ints:
        return self._border(np.arange(1, self._count(length)), length)
