"""Read any raster with GDAL in groups of block rows, so that each block is read once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.windows import Window

from swath.raster.dataset import Dataset, pixel_dtype
from swath.raster.reader.block_schedule import BlockRow, Lattice, Part
from swath.raster.reader.buffer_pool import Memory
from swath.raster.reader.validity import Wanted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints

_ROWS = 256
"""Smallest height in px of a group of block rows, unless it would exceed `_BYTES`."""
_BYTES = 64 << 20
"""Largest size in bytes of a group, unless a single row of blocks is larger."""


class Bands:
    """Source whose blocks are groups of rows, as wide as all windows together."""

    def __init__(
        self, handles: Sequence[Dataset], wanted: Wanted, windows: Ints, *, readers: Executor
    ) -> None:
        """Compute the groups of rows.

        Args:
            handles: Dataset to read, opened once for each thread.
            wanted: Layers to read.
            windows: Windows (n, 4) that will be read: x, y, width and height in px.
            readers: Executor with as many threads as there are handles.
        """
        self._wanted, self._readers = wanted, readers
        self._free: SimpleQueue[Dataset] = SimpleQueue()
        for handle in handles:
            self._free.put(handle)
        scene = handles[0].reader
        rows, cols = scene.block_shapes[0]
        left = int(windows[:, 0].min()) // cols * cols
        right = int((windows[:, 0] + windows[:, 2]).max())
        width = min(scene.width, -(-right // cols) * cols) - left
        self._dtype = np.dtype(pixel_dtype(scene))
        self._memory = Memory(wanted.layers, self._dtype, interleaved=False)
        row_bytes = width * wanted.layers * self._dtype.itemsize * rows
        count = max(1, min(-(-_ROWS // rows), _BYTES // row_bytes))
        self.lattice = Lattice(x=left, y=0, cols=width, rows=rows * count)

    def expect(self, row: BlockRow) -> int:  # noqa: ARG002
        """Return 0, as nothing is prefetched: GDAL fetches when it reads."""
        return 0

    def room(self, rows: int, cols: int) -> NDArray[Any]:
        """Return memory for pixels, (layers, rows, cols), in the memory layout of GDAL's output."""
        return self._memory.room(rows, cols)

    def decode(self, row: int, column: int, parts: Sequence[Part]) -> Future[None]:  # noqa: ARG002
        """Start reading a group of rows into its destinations."""
        return self._readers.submit(self._read, row, parts)

    def forget(self, row: int) -> None:
        """Do nothing, as no bytes are kept."""

    def _read(self, row: int, parts: Sequence[Part]) -> None:
        handle = self._free.get()
        try:
            band = self._read_with(handle, row)
        finally:
            self._free.put(handle)
        for part in parts:
            part.place[...] = part.of(band)

    def _read_with(self, handle: Dataset, row: int) -> NDArray[Any]:
        top = row * self.lattice.rows
        height = min(self.lattice.rows, handle.reader.height - top)
        window = Window(self.lattice.x, top, self.lattice.cols, height)
        if self._wanted.masked is None:
            return handle.read(window, self._wanted.samples)
        block = np.empty((self._wanted.layers, height, self.lattice.cols), self._dtype)
        block[:-1] = handle.read(window, self._wanted.samples)
        block[-1] = handle.read_mask(window, self._wanted.masked)
        return block
