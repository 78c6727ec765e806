"""Read the tiles of a stack in order: decode each block once, and resample ahead of the consumer.

The consumer's thread takes windows of the files from their caches of blocks. A pool of threads
resamples them, so that it runs beside decoding and the model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.raster.assets.asset import SelectedLayers, combine_validity
from swath.raster.reader.buffer_pool import BufferPool
from swath.raster.reader.file_tiles import FileTiles, open_file_tiles
from swath.raster.reader.memory_check import MemoryNeed, file_memory_need
from swath.raster.validity import Validity

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from swath._types import Ints
    from swath.raster.reader.workers import Workers
    from swath.raster.scene_info import PixelWindow

TILES_AHEAD = 2
"""Number of tiles that are resampled ahead of the consumer."""
_TILES_IN_MEMORY = TILES_AHEAD + 3
"""Number of tiles in memory: those ahead, the current one, and two that are being resampled."""


@dataclass(slots=True)
class _Tile:
    """Tile that is being resampled."""

    pixels: NDArray[Any]
    parts: list[tuple[SelectedLayers, Future[Validity] | Validity]] = field(default_factory=list)
    error: Exception | None = None
    """Error that reading the files raised."""


class _LayerSource:
    """Source of the layers that come from one file."""

    def __init__(self, layers: SelectedLayers, windows: Ints, workers: Workers) -> None:
        self.layers = layers
        resampler = layers.asset.resampler
        sources = [resampler.source_window((x, y, w, h)) for x, y, w, h in windows.tolist()]
        self._sources = sources
        """Window of the file for each tile; None if the file has no data there."""
        known = [window for window in sources if window is not None]
        self._positions = np.cumsum([window is not None for window in sources]) - 1
        """Index of each tile among those that have data."""
        self._tiles: FileTiles | None = None
        if known:
            scene, file_windows = layers.asset.scene, np.array(known)
            self._tiles = open_file_tiles(scene, layers.numbers, file_windows, workers)
            if self._tiles is None:
                workers.reserve_memory(
                    scene.dataset,
                    file_memory_need(scene.dataset, len(layers.numbers), file_windows),
                )

    def start(self, index: int, tile: _Tile, window: PixelWindow, workers: Workers) -> None:
        """Start resampling the layers of a tile.

        Args:
            index: Index of the tile among the windows.
            tile: Tile that receives the layers.
            window: Window (x, y, width, height) of the tile in grid px.
            workers: Owner of the threads.

        Raises:
            Exception: The file cannot be read.
        """
        source = self._sources[index]
        if source is None:
            tile.parts.append((self.layers, self.layers.fill_outside(tile.pixels)))
            return
        if self._tiles is None:
            known = self.layers.read(window, tile.pixels)
            tile.parts.append((self.layers, known))
            return
        raw = self._tiles.read_raw(int(self._positions[index]))
        resampled = workers.resampler_pool.submit(
            _resample, self.layers, self._tiles, raw, window, tile.pixels
        )
        tile.parts.append((self.layers, resampled))


def _resample(
    layers: SelectedLayers,
    tiles: FileTiles,
    raw: Sequence[NDArray[Any]],
    window: PixelWindow,
    out: NDArray[Any],
) -> Validity:
    return layers.resample(*tiles.combine(raw), window, out)


class StackTiles:
    """Source of the tiles of a stack."""

    def __init__(
        self,
        layers: Sequence[SelectedLayers],
        dtype: DTypeLike,
        windows: Ints,
        workers: Workers,
    ) -> None:
        """Open the files' caches of blocks.

        Args:
            layers: Layers that come from each file.
            dtype: Type of the pixels of the result.
            windows: Windows (n, 4) x, y, width and height in grid px.
            workers: Owner of the threads and files.

        Raises:
            SceneError: Memory does not suffice to read the files.
            SceneChangedError: A file was replaced since it was opened.
            TransientError: S3 did not answer.
        """
        self._windows, self._workers = windows, workers
        self._count = sum(len(one.positions) for one in layers)
        tile = int((windows[:, 2] * windows[:, 3]).max()) * np.dtype(dtype).itemsize
        workers.reserve_memory(
            layers[0].asset.scene.dataset,
            MemoryNeed(_TILES_IN_MEMORY * self._count * tile, 0),
            purpose="tiles",
        )
        self._sources = [_LayerSource(one, windows, workers) for one in layers]
        self._buffers = BufferPool(self._count, dtype, interleaved=False)
        self._started: deque[_Tile] = deque()
        self._next = 0

    def read_tile(self, index: int) -> tuple[NDArray[Any], Validity]:
        """Return the pixels (bands, rows, cols) of a tile, and their validity.

        Args:
            index: Index of the tile among the windows; each is read once, in ascending order.

        Raises:
            Exception: A block of the tile cannot be decoded.
            SceneChangedError: A file was replaced since it was opened.
            TransientError: S3 did not answer.
        """
        until = min(len(self._windows), index + 1 + TILES_AHEAD)
        while self._next < until:
            self._started.append(self._start(self._next))
            self._next += 1
        tile = self._started.popleft()
        if tile.error:
            raise tile.error
        parts = [
            (layers, valid.result() if isinstance(valid, Future) else valid)
            for layers, valid in tile.parts
        ]
        return tile.pixels, combine_validity(parts, tile.pixels.shape)

    def _start(self, index: int) -> _Tile:
        """Start resampling a tile; an error is kept until the tile is read."""
        x, y, width, height = self._windows[index].tolist()
        tile = _Tile(self._buffers.allocate(height, width))
        for source in self._sources:
            try:
                source.start(index, tile, (x, y, width, height), self._workers)
            except Exception as error:  # noqa: BLE001 (raised where the tile is read)
                tile.error = tile.error or error
        return tile
