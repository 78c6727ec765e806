"""Count the invalid pixels of a scene in coarse cells, as its tiles are read.

Each pixel is counted once, by the tile whose core contains it, so the counts do not depend on the
tiles. Nothing is stored for a scene whose pixels are all valid.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from swath._types import Ints, Mask
    from swath.raster.tiles import Tile

MAX_CELLS = 2048
"""Largest number of cells along a side of a scene."""
_HEADER_NUMBERS = 4
"""Row, column, rows and columns at the start of encoded counts."""


@dataclass(frozen=True, slots=True)
class CellCounts:
    """Counts of invalid pixels in some cells of a scene."""

    row: int
    """Row of the first cell."""
    column: int
    """Column of the first cell."""
    counts: NDArray[np.uint32]
    """Number of invalid px in each cell, (rows, cols)."""


@dataclass(frozen=True, slots=True)
class CellGrid:
    """Square cells over a scene; those at its right and lower edge may be cut off.

    Attributes:
        width: Width of the scene in px.
        height: Height of the scene in px.
    """

    width: int
    height: int

    @property
    def size(self) -> int:
        """Side of a cell in px: the least power of two that gives no more than `MAX_CELLS`."""
        needed = -(-max(self.width, self.height) // MAX_CELLS)
        return 1 << (needed - 1).bit_length()

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns of cells."""
        return -(-self.height // self.size), -(-self.width // self.size)

    @property
    def sides(self) -> tuple[Ints, Ints]:
        """Heights of the rows and widths of the columns of cells in px, (rows,) and (cols,)."""
        rows, columns = self.shape
        edges = np.arange(rows + 1) * self.size, np.arange(columns + 1) * self.size
        return (
            np.diff(np.minimum(edges[0], self.height)),
            np.diff(np.minimum(edges[1], self.width)),
        )

    def count(self, tile: Tile, valid: Mask | None) -> CellCounts | None:
        """Count the invalid pixels in a tile's core by cell; None if all are valid.

        Args:
            tile: Tile of the scene.
            valid: Mask (rows, cols) of the tile's window, True = valid; None if every pixel is.
        """
        if valid is None:
            return None
        x0, y0, x1, y1 = tile.core
        return self._count(x0, y0, valid[y0 - tile.y : y1 - tile.y, x0 - tile.x : x1 - tile.x])

    def count_all(self, tile: Tile) -> CellCounts:
        """Count all pixels in a tile's core by cell, as none of them is valid."""
        x0, y0, x1, y1 = tile.core
        heights = np.diff([*self._starts(y0, y1), y1 - y0])
        widths = np.diff([*self._starts(x0, x1), x1 - x0])
        counts = np.multiply.outer(heights, widths).astype(np.uint32)
        return CellCounts(y0 // self.size, x0 // self.size, counts)

    def count_scene(self, valid: Mask) -> CellCounts | None:
        """Count the invalid pixels of the whole scene by cell; None if all are valid.

        Args:
            valid: Mask (rows, cols) of the scene, True = valid.
        """
        return self._count(0, 0, valid)

    def _count(self, x: int, y: int, valid: Mask) -> CellCounts | None:
        """Count the invalid pixels of a window, whose upper left corner is at (x, y) px."""
        if valid.all():
            return None
        height, width = valid.shape
        columns = np.add.reduceat(~valid, self._starts(x, x + width), axis=1, dtype=np.uint32)
        counts = np.add.reduceat(columns, self._starts(y, y + height), axis=0, dtype=np.uint32)
        return CellCounts(y // self.size, x // self.size, counts)

    def _starts(self, first: int, last: int) -> Ints:
        """Return where cells start within a range of px, relative to its start, which is one."""
        inner = np.arange((first // self.size + 1) * self.size, last, self.size)
        return np.concatenate([[0], inner - first]).astype(np.int64)


class InvalidCells:
    """Number of invalid pixels in each cell of a scene.

    Attributes:
        grid: Cells of the scene.
        counts: Number of invalid px in each cell, (rows, cols); None if there is none.
    """

    def __init__(self, grid: CellGrid) -> None:
        self.grid = grid
        self.counts: NDArray[np.uint32] | None = None

    @property
    def total(self) -> int:
        """Number of invalid px."""
        return 0 if self.counts is None else int(self.counts.sum(dtype=np.int64))

    def add(self, parts: Iterable[CellCounts]) -> None:
        """Add counts of pixels that were not counted before."""
        for part in parts:
            if self.counts is None:
                self.counts = np.zeros(self.grid.shape, np.uint32)
            rows, columns = part.counts.shape
            window = np.s_[part.row : part.row + rows, part.column : part.column + columns]
            self.counts[window] += part.counts

    def add_bytes(self, data: bytes) -> None:
        """Add counts that `to_bytes` encoded.

        Raises:
            ValueError: The data are damaged, or those of another scene.
        """
        try:
            content = zlib.decompress(data)
        except zlib.error as error:
            raise ValueError(f"counts of invalid pixels cannot be decoded: {error}") from None
        header, body = content[: 4 * _HEADER_NUMBERS], content[4 * _HEADER_NUMBERS :]
        row, column, rows, columns = np.frombuffer(header, "<u4").tolist()
        fits = row + rows <= self.grid.shape[0] and column + columns <= self.grid.shape[1]
        if not fits or len(body) != 4 * rows * columns:
            raise ValueError("counts of invalid pixels are those of another scene")
        counts = np.frombuffer(body, "<u4").reshape(rows, columns)
        self.add([CellCounts(row, column, counts.astype(np.uint32))])

    def to_bytes(self) -> bytes:
        """Encode the counts within the bounds of the invalid pixels; empty if there are none."""
        if self.counts is None:
            return b""
        rows = np.flatnonzero(self.counts.any(axis=1))
        columns = np.flatnonzero(self.counts.any(axis=0))
        part = self.counts[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        header = np.array([rows[0], columns[0], *part.shape], "<u4")
        return zlib.compress(header.tobytes() + part.astype("<u4").tobytes(), 1)

    @classmethod
    def from_valid(cls, valid: Mask) -> Self:
        """Count the invalid pixels of a whole scene, given as a mask (rows, cols), True = valid."""
        height, width = valid.shape
        cells = cls(CellGrid(width, height))
        part = cells.grid.count_scene(valid)
        cells.add([part] if part else [])
        return cells
