"""The memory that reading a scene takes, by its header alone.

A block is decoded whole, and next to it lie its compressed bytes, what the predictor makes of it,
GDAL's buffer and cache, and the array that GDAL fills. So a file of some kB can take gigabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.enums import Interleaving

from swath.cpus import MIB, free_memory
from swath.errors import SceneError
from swath.raster import gdal_env
from swath.raster.files.tiff_layout import Layout, decoded_here
from swath.raster.reader.block_cache import ROWS_AHEAD

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.raster.dataset import Dataset

_PLAIN_BLOCK = 16 << 20
"""Blocks up to this many bytes are read whatever memory there is."""
_PLAIN_ROW = 64 << 20
"""The same of a row of blocks that GDAL reads at once."""
_FLOATING = 3


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that reading takes."""

    fixed: int
    each: int
    """Bytes for each thread."""

    def threads(self, wanted: int, free: int) -> int:
        """Return how many threads fit into memory, at most those wanted; 0: not even one does."""
        if not self.each:
            return wanted if self.fixed <= free else 0
        return max(0, min(wanted, (free - self.fixed) // self.each))

    def __add__(self, other: Need) -> Need:
        """Return what both take together."""
        return Need(self.fixed + other.fixed, self.each + other.each)


def need_here(layout: Layout, layers: int, windows: Ints) -> Need:
    """Return what it takes to read windows (n, 4) of a scene whose blocks are decoded here."""
    strips = _strips(windows, layout.rows, layers * layout.dtype.itemsize)
    if layout.block_bytes <= _PLAIN_BLOCK:
        return Need(strips, 0)
    # The block, and its bytes in the file; what GDAL makes of a file in memory is there thrice.
    copies = 2 + (layout.predictor == _FLOATING or not layout.dtype.isnative)
    return Need(strips, layout.block_bytes * (copies if decoded_here(layout) else 4))


def need_of_gdal(dataset: Dataset, layers: int, windows: Ints) -> Need:
    """Return what it takes to read windows (n, 4) of a scene of which GDAL reads rows of blocks."""
    reader = dataset.reader
    rows, cols = reader.block_shapes[0]
    itemsize = np.dtype(reader.dtypes[0]).itemsize
    left = int(windows[:, 0].min()) // cols * cols
    right = int((windows[:, 0] + windows[:, 2]).max())
    # GDAL decodes all bands of a pixel, whichever are asked for.
    together = reader.count if reader.interleaving == Interleaving.pixel else 0
    row = -(-(right - left) // cols) * cols * rows * max(layers, together) * itemsize
    strips = _strips(windows, rows, layers * itemsize)
    if row <= _PLAIN_ROW:
        return Need(strips, 0)
    # GDAL's buffer and the array that is filled, in each thread; and GDAL's cache, which holds a
    # row more than it should.
    return Need(strips + gdal_env.CACHE_BYTES + row, 2 * row)


def fit_threads(dataset: Dataset, need: Need, wanted: int) -> int:
    """Return how many threads, at most those wanted, the memory that is free suffices for.

    Raises:
        SceneError: it does not suffice for one.
    """
    free = free_memory()
    if found := need.threads(wanted, free):
        return found
    rows, cols = dataset.reader.block_shapes[0]
    raise SceneError(
        f"{dataset.uri} has blocks of {cols} x {rows} px; to read them takes "
        f"{_mib(need.fixed + need.each)} of memory, and {_mib(free)} are free: "
        "write it anew in small tiles with gdal_translate -of COG, or give the process more memory"
    )


def _strips(windows: Ints, rows: int, pixel: int) -> int:
    """Return the bytes of the rows of tiles that are filled at once.

    When a block is decoded, all rows of tiles that show it are filled, and one row of blocks more
    is decoded than the tile at hand needs.

    Args:
        windows: (n, 4) of the tiles.
        rows: the height of a block, in px.
        pixel: the bytes of a pixel.
    """
    tops, height = np.unique(windows[:, 1]), int(windows[:, 3].max())
    ends = ((tops + height - 1) // rows + 1 + ROWS_AHEAD) * rows
    most = int((np.searchsorted(tops, ends) - np.arange(len(tops))).max())
    width = int((windows[:, 0] + windows[:, 2]).max() - windows[:, 0].min())
    return most * height * width * pixel


def _mib(count: int) -> str:
    return f"{-(-count // MIB):,} MiB"
