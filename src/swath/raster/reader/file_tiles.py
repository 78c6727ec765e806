"""Read windows of one file from caches of its blocks, and of the blocks of its mask file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swath.raster.reader.block_cache import BlockCache
from swath.raster.reader.block_source import open_block_source
from swath.raster.reader.channels import Channels, select_channels
from swath.raster.validity import combine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints
    from swath.raster.reader.workers import Workers
    from swath.raster.scene import FileScene
    from swath.raster.validity import Validity


def open_file_tiles(
    scene: FileScene, bands: Sequence[int], windows: Ints, workers: Workers
) -> FileTiles | None:
    """Return the source of the windows of a file, which decodes each block once.

    Args:
        scene: Scene to read.
        bands: Numbers of the bands, from 1, in the order wanted.
        windows: Windows (n, 4) x, y, width and height in px, in the order in which they are read.
        workers: Owner of the threads and files.

    Returns:
        Source of the windows; None if bands have masks of their own, which only GDAL can read.

    Raises:
        SceneError: Memory does not suffice to read the scene.
        SceneChangedError: The file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    channels = select_channels(scene, bands)
    if channels is None:
        workers.note_unknown_reads(scene.files)
        return None
    layers = [(scene.dataset, channels)]
    if scene.mask:
        layers.append((scene.mask, Channels(bands=tuple(scene.mask_bands(bands)))))
    caches = [
        BlockCache(open_block_source(dataset, selected, windows, workers), windows)
        for dataset, selected in layers
    ]
    return FileTiles(scene, bands, caches)


class FileTiles:
    """Source of windows of a file, read from a cache of its blocks, and from that of its mask."""

    def __init__(
        self, scene: FileScene, bands: Sequence[int], caches: Sequence[BlockCache]
    ) -> None:
        self._count, self._caches = len(bands), caches
        self._nodata, self._masked = scene.nodata_values(bands), scene.has_mask(bands)

    def read_tile(self, index: int) -> tuple[NDArray[Any], Validity]:
        """Return the pixels (bands, rows, cols) of a window, and their validity.

        Raises:
            Exception: A block of the window cannot be decoded.
        """
        return self.combine(self.read_raw(index))

    def read_raw(self, index: int) -> list[NDArray[Any]]:
        """Return the layers of a window in the file, and those in its mask file, if any.

        Raises:
            Exception: A block of the window cannot be decoded.
        """
        return [cache.read_tile(index) for cache in self._caches]

    def combine(self, raw: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], Validity]:
        """Return pixels (bands, rows, cols) and their validity; any thread may call this.

        Args:
            raw: Layers of a window, from `read_raw`.
        """
        layers, *mask_layers = raw
        count = self._count
        masks = [*layers[count:], *(mask if len(mask) > 1 else mask[0] for mask in mask_layers)]
        pixels = layers[:count]
        return pixels, combine(pixels, masks, self._nodata, masked=self._masked)
