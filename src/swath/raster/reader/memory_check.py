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

from swath.errors import SceneError
from swath.raster import gdal_env
from swath.raster.dataset import pixel_dtype
from swath.raster.files.tiff_layout import Layout, can_decode
from swath.raster.reader.block_cache import DECODED_ROWS_AHEAD
from swath.resource_limits import MIB, free_memory

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.raster.dataset import PinnedDataset

_MAX_UNCOUNTED_BLOCK_BYTES = 16 << 20
"""Largest decoded size in bytes of a block whose memory is not counted."""
_MAX_UNCOUNTED_ROW_BYTES = 64 << 20
"""Largest size in bytes of a row of blocks whose memory is not counted when GDAL reads it."""
_FLOATING_PREDICTOR = 3


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Memory that reading takes."""

    shared_bytes: int
    """Bytes that are needed whatever the number of threads."""
    bytes_per_thread: int
    """Bytes for each thread."""

    def max_threads(self, limit: int, free: int) -> int:
        """Return the number of threads, up to `limit`, that fit into `free` bytes; 0 if none."""
        if not self.bytes_per_thread:
            return limit if self.shared_bytes <= free else 0
        return max(0, min(limit, (free - self.shared_bytes) // self.bytes_per_thread))

    def __add__(self, other: MemoryNeed) -> MemoryNeed:
        """Return the memory that both reads take together."""
        return MemoryNeed(
            self.shared_bytes + other.shared_bytes, self.bytes_per_thread + other.bytes_per_thread
        )


def swath_memory_need(layout: Layout, layers: int, windows: Ints) -> MemoryNeed:
    """Return the memory for reading windows of a scene whose blocks swath decodes.

    Args:
        layout: Layout of the scene.
        layers: Number of layers that are read.
        windows: Windows (n, 4) x, y, width and height in px.
    """
    tile_rows = _tile_row_bytes(windows, layout.block_height, layers * layout.dtype.itemsize)
    if layout.block_bytes <= _MAX_UNCOUNTED_BLOCK_BYTES:
        return MemoryNeed(tile_rows, 0)
    # Memory holds the block and its stored bytes. If GDAL decodes the block, from a TIFF in memory,
    # it holds three copies of the decoded block.
    copies = 2 + (layout.predictor == _FLOATING_PREDICTOR or not layout.dtype.isnative)
    return MemoryNeed(tile_rows, layout.block_bytes * (copies if can_decode(layout) else 4))


def file_memory_need(dataset: PinnedDataset, layers: int, windows: Ints) -> MemoryNeed:
    """Return the memory for reading windows of a file with GDAL, by whole rows of blocks.

    Args:
        dataset: File to read.
        layers: Number of layers that are read.
        windows: Windows (n, 4) x, y, width and height in px.
    """
    reader = dataset.reader
    rows, cols = reader.block_shapes[0]
    itemsize = np.dtype(pixel_dtype(reader)).itemsize
    left = int(windows[:, 0].min()) // cols * cols
    right = int((windows[:, 0] + windows[:, 2]).max())
    # Where bands are interleaved by pixel, GDAL decodes all of them, whichever are requested.
    interleaved_bands = reader.count if reader.interleaving == Interleaving.pixel else 0
    row = -(-(right - left) // cols) * cols * rows * max(layers, interleaved_bands) * itemsize
    tile_rows = _tile_row_bytes(windows, rows, layers * itemsize)
    if row <= _MAX_UNCOUNTED_ROW_BYTES:
        return MemoryNeed(tile_rows, 0)
    # Each thread has GDAL's buffer and the array that GDAL fills. GDAL's cache is shared, and may
    # exceed its limit by one row.
    return MemoryNeed(tile_rows + gdal_env.CACHE_BYTES + row, 2 * row)


def fit_threads(dataset: PinnedDataset, need: MemoryNeed, limit: int) -> int:
    """Return the number of threads, up to `limit`, for which the free memory suffices.

    Raises:
        SceneError: The free memory does not suffice for one thread.
    """
    free = free_memory()
    if threads := need.max_threads(limit, free):
        return threads
    rows, cols = dataset.reader.block_shapes[0]
    raise SceneError(
        f"{dataset.uri} has blocks of {cols} x {rows} px; reading them takes "
        f"{_format_mib(need.shared_bytes + need.bytes_per_thread)} of memory, and "
        f"{_format_mib(free)} are free: rewrite it in small tiles with "
        "gdal_translate -of COG, or give the process more memory"
    )


def _tile_row_bytes(windows: Ints, rows: int, pixel: int) -> int:
    """Return the size in bytes of the rows of tiles that are filled at the same time.

    When a block is decoded, all rows of tiles that overlap it are filled. `DECODED_ROWS_AHEAD` more
    rows of blocks are decoded than the current tile needs.

    Args:
        windows: Windows (n, 4) of the tiles: x, y, width and height in px.
        rows: Height of a block in px.
        pixel: Size of a pixel in bytes, with all layers.
    """
    tops, height = np.unique(windows[:, 1]), int(windows[:, 3].max())
    ends = ((tops + height - 1) // rows + 1 + DECODED_ROWS_AHEAD) * rows
    most = int((np.searchsorted(tops, ends) - np.arange(len(tops))).max())
    width = int((windows[:, 0] + windows[:, 2]).max() - windows[:, 0].min())
    return most * height * width * pixel


def _format_mib(count: int) -> str:
    return f"{-(-count // MIB):,} MiB"
