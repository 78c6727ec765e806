"""Read any raster with GDAL in groups of block rows, so that each block is read once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.windows import Window

from swath.raster.dataset import PinnedDataset, pixel_dtype
from swath.raster.reader.block_schedule import BlockGrid, BlockRow, CopyTarget
from swath.raster.reader.buffer_pool import BufferPool
from swath.raster.reader.channels import Channels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints

_MIN_GROUP_ROWS = 256
"""Smallest height in px of a group of block rows, unless it would exceed `_MAX_GROUP_BYTES`."""
_MAX_GROUP_BYTES = 64 << 20
"""Largest size in bytes of a group, unless a single row of blocks is larger."""


class RowGroups:
    """Source whose blocks are groups of rows, as wide as all windows together."""

    def __init__(
        self,
        handles: Sequence[PinnedDataset],
        channels: Channels,
        windows: Ints,
        *,
        readers: Executor,
    ) -> None:
        """Compute the groups of rows.

        Args:
            handles: Dataset to read, opened once for each thread.
            channels: Layers to read.
            windows: Windows (n, 4) that will be read: x, y, width and height in px.
            readers: Executor with as many threads as there are handles.
        """
        self._channels, self._readers = channels, readers
        self._idle_handles: SimpleQueue[PinnedDataset] = SimpleQueue()
        for handle in handles:
            self._idle_handles.put(handle)
        reader = handles[0].reader
        rows, cols = reader.block_shapes[0]
        left = int(windows[:, 0].min()) // cols * cols
        right = int((windows[:, 0] + windows[:, 2]).max())
        width = min(reader.width, -(-right // cols) * cols) - left
        self._dtype = np.dtype(pixel_dtype(reader))
        self._buffers = BufferPool(channels.layer_count, self._dtype, interleaved=False)
        row_bytes = width * channels.layer_count * self._dtype.itemsize * rows
        count = max(1, min(-(-_MIN_GROUP_ROWS // rows), _MAX_GROUP_BYTES // row_bytes))
        self.block_grid = BlockGrid(x=left, y=0, block_width=width, block_height=rows * count)

    def byte_ranges(self, row: BlockRow, spans: Ints | None = None) -> None:
        """Return None, as only GDAL knows which bytes it reads."""

    def prefetch(self, row: BlockRow) -> int:  # noqa: ARG002
        """Return 0, as nothing is prefetched: GDAL fetches when it reads."""
        return 0

    def allocate(self, rows: int, cols: int) -> NDArray[Any]:
        """Return memory for pixels, (layers, rows, cols), in the memory layout of GDAL's output."""
        return self._buffers.allocate(rows, cols)

    def decode(self, row: int, column: int, targets: Sequence[CopyTarget]) -> Future[None]:  # noqa: ARG002
        """Start reading a group of rows into its destinations."""
        return self._readers.submit(self._read, row, targets)

    def release(self, row: int) -> None:
        """Do nothing, as no bytes are kept."""

    def _read(self, row: int, targets: Sequence[CopyTarget]) -> None:
        handle = self._idle_handles.get()
        try:
            group = self._read_group(handle, row)
        finally:
            self._idle_handles.put(handle)
        for target in targets:
            target.pixels[...] = target.crop(group)

    def _read_group(self, handle: PinnedDataset, row: int) -> NDArray[Any]:
        top = row * self.block_grid.block_height
        height = min(self.block_grid.block_height, handle.reader.height - top)
        window = Window(self.block_grid.x, top, self.block_grid.block_width, height)
        if self._channels.mask_band is None:
            return handle.read(window, self._channels.samples)
        block = np.empty(
            (self._channels.layer_count, height, self.block_grid.block_width), self._dtype
        )
        block[:-1] = handle.read(window, self._channels.samples)
        block[-1] = handle.read_mask(window, self._channels.mask_band)
        return block
