"""Estimate the memory for reading a scene from its header, and limit the threads to it.

A block is decoded whole. In addition, memory holds its compressed bytes, the output of the
predictor, GDAL's buffer and cache, and the array that GDAL fills. So a file of some kB can take
gigabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.enums import Interleaving

from swath.cpus import MIB, free_memory
from swath.errors import SceneError
from swath.raster import gdal_env
from swath.raster.dataset import pixel_dtype
from swath.raster.files.tiff_layout import Layout, decoded_here
from swath.raster.reader.block_cache import ROWS_AHEAD

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.raster.dataset import Dataset

_PLAIN_BLOCK = 16 << 20
"""Decoded size in bytes of a block up to which its memory is not counted."""
_PLAIN_ROW = 64 << 20
"""Size in bytes of a row of blocks that GDAL reads at once, up to which it is not counted."""
_FLOATING = 3


@dataclass(frozen=True, slots=True)
class Need:
    """Memory that reading takes."""

    fixed: int
    """Bytes that are needed whatever the number of threads."""
    each: int
    """Bytes for each thread."""

    def threads(self, wanted: int, free: int) -> int:
        """Return the number of threads, up to `wanted`, that fit into `free` bytes; 0 if none."""
        if not self.each:
            return wanted if self.fixed <= free else 0
        return max(0, min(wanted, (free - self.fixed) // self.each))

    def __add__(self, other: Need) -> Need:
        """Return the memory that both reads take together."""
        return Need(self.fixed + other.fixed, self.each + other.each)


def need_here(layout: Layout, layers: int, windows: Ints) -> Need:
    """Return the memory for reading windows of a scene whose blocks swath decodes.

    Args:
        layout: Layout of the scene.
        layers: Number of layers that are read.
        windows: Windows (n, 4) x, y, width and height in px.
    """
    strips = _strips(windows, layout.rows, layers * layout.dtype.itemsize)
    if layout.block_bytes <= _PLAIN_BLOCK:
        return Need(strips, 0)
    # Memory holds the block and its stored bytes. Of a file in memory, GDAL holds three copies of
    # the decoded block.
    copies = 2 + (layout.predictor == _FLOATING or not layout.dtype.isnative)
    return Need(strips, layout.block_bytes * (copies if decoded_here(layout) else 4))


def need_of_gdal(dataset: Dataset, layers: int, windows: Ints) -> Need:
    """Return the memory for reading windows of a scene, of which GDAL reads whole rows of blocks.

    Args:
        dataset: Scene to read.
        layers: Number of layers that are read.
        windows: Windows (n, 4) x, y, width and height in px.
    """
    reader = dataset.reader
    rows, cols = reader.block_shapes[0]
    itemsize = np.dtype(pixel_dtype(reader)).itemsize
    left = int(windows[:, 0].min()) // cols * cols
    right = int((windows[:, 0] + windows[:, 2]).max())
    # Where bands are interleaved by pixel, GDAL decodes all of them, whichever are requested.
    together = reader.count if reader.interleaving == Interleaving.pixel else 0
    row = -(-(right - left) // cols) * cols * rows * max(layers, together) * itemsize
    strips = _strips(windows, rows, layers * itemsize)
    if row <= _PLAIN_ROW:
        return Need(strips, 0)
    # Each thread has GDAL's buffer and the array that GDAL fills. GDAL's cache is shared, and may
    # exceed its limit by one row.
    return Need(strips + gdal_env.CACHE_BYTES + row, 2 * row)


def fit_threads(dataset: Dataset, need: Need, wanted: int) -> int:
    """Return the number of threads, up to `wanted`, for which the free memory suffices.

    Raises:
        SceneError: The free memory does not suffice for one thread.
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
    """Return the size in bytes of the rows of tiles that are filled at the same time.

    When a block is decoded, all rows of tiles that overlap it are filled. `ROWS_AHEAD` more rows of
    blocks are decoded than the current tile needs.

    Args:
        windows: Windows (n, 4) of the tiles: x, y, width and height in px.
        rows: Height of a block in px.
        pixel: Size of a pixel in bytes, with all layers.
    """
    tops, height = np.unique(windows[:, 1]), int(windows[:, 3].max())
    ends = ((tops + height - 1) // rows + 1 + ROWS_AHEAD) * rows
    most = int((np.searchsorted(tops, ends) - np.arange(len(tops))).max())
    width = int((windows[:, 0] + windows[:, 2]).max() - windows[:, 0].min())
    return most * height * width * pixel


def _mib(count: int) -> str:
    return f"{-(-count // MIB):,} MiB"
