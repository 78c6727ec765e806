"""Read the tiles of a shard in order, decoding each block of the file once.

Tiles overlap, so a reader of single windows decodes a block several times. rasterio takes twice as
long as this reader, and async-geotiff 5 to 8 times (`make bench ARGS=reading_local`). Both were
tried as the layer below this reader, but neither reports which blocks of a file are damaged;
`swath.raster.files.checksums` does.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath._types import Ints, Mask
from swath.errors import SceneChangedError, TransientError
from swath.raster.reader.file_tiles import open_file_tiles
from swath.raster.reader.memory_check import fit_threads
from swath.raster.reader.scene_memory import gdal_memory_need
from swath.raster.reader.tiled_scene import TiledScene, TileSource
from swath.raster.reader.workers import Workers
from swath.raster.scene import FileScene, Scene
from swath.raster.tiles import Grid, Tile
from swath.resource_limits import available_cpus

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TilePixels:
    """Pixels of a tile, or the error that reading it raised."""

    tile: Tile
    pixels: NDArray[Any] | None
    """Pixels (bands, rows, cols) of the tile's window in the scene's dtype, in any memory layout.

    They must not be written to, as neighboring tiles may be views of the same memory. None if
    reading failed.
    """
    valid: Mask | None
    """Mask (rows, cols), True where any band is valid; None if every pixel is valid."""
    valid_bands: Mask | None = None
    """Mask (bands, rows, cols), True = valid; None if all bands have the same mask, `valid`."""
    error: Exception | None = None
    """Error that reading the tile raised; None if it was read."""

    @property
    def input_mask(self) -> Mask | None:
        """Mask of the pixel values that a model receives; None if it receives all of them.

        Its shape can be broadcast to that of `pixels`.
        """
        return self.valid if self.valid_bands is None else self.valid_bands


def read_tiles(
    scene: Scene,
    grid: Grid,
    bands: Sequence[int],
    indices: Sequence[int] | Ints,
    *,
    threads: int | None = None,
) -> Generator[TilePixels]:
    """Yield tiles in the given order, reading ahead of the consumer.

    A tile that cannot be read is yielded with its error. Closing the iterator ends its threads.

    Args:
        scene: Scene to read, which must stay open until the last tile is taken.
        grid: Tiles of the scene.
        bands: Numbers of the bands, from 1, in the order wanted.
        indices: Numbers of the tiles. In raster order, each block is decoded once.
        threads: Number of threads that decode; by default, the number of CPUs. Fewer are used
            if too little memory is free.

    Raises:
        SceneError: Memory does not suffice to read the scene.
        SceneChangedError: The file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    if len(indices) == 0:
        return
    with Workers(threads or available_cpus()) as workers:
        source = open_source(scene, bands, grid.windows(indices), workers)
        for index, tile in enumerate(grid.iter_tiles(indices)):
            yield _read_tile(scene, source, index, tile, bands)


def open_source(
    scene: Scene, bands: Sequence[int], windows: Ints, workers: Workers
) -> TileSource | None:
    """Return the source of the tiles; None if GDAL must read them one by one."""
    if isinstance(scene, TiledScene):
        return scene.open_tiles(bands, windows, workers)
    if isinstance(scene, FileScene) and (source := open_file_tiles(scene, bands, windows, workers)):
        return source
    check_free_memory(scene, bands, windows)
    return None


def _read_tile(
    scene: Scene, source: TileSource | None, index: int, tile: Tile, bands: Sequence[int]
) -> TilePixels:
    """Return a tile by its index among the windows of a source.

    If the source raises an error, GDAL reads the tile.
    """
    try:
        if source is not None:
            pixels, valid = source.read_tile(index)
            return TilePixels(tile, pixels, valid.pixels, valid.bands)
    except (SceneChangedError, TransientError):
        raise
    except Exception:  # noqa: BLE001, S110 (a damaged block can make a codec raise anything)
        pass
    return read_tile_with_gdal(scene, tile, bands)


def read_tile(scene: Scene, tile: Tile, bands: Sequence[int]) -> TilePixels:
    """Read a single tile with GDAL in the calling thread, after a check of the free memory.

    Args:
        scene: Scene to read.
        tile: Tile to read.
        bands: Numbers of the bands, from 1, in the order wanted.

    Returns:
        Pixels of the tile, or the error that reading it raised.

    Raises:
        SceneError: Memory does not suffice to read the tile.
        SceneChangedError: The file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    check_free_memory(scene, bands, np.array([tile.window]))
    return read_tile_with_gdal(scene, tile, bands)


def check_free_memory(scene: Scene, bands: Sequence[int], windows: Ints) -> None:
    """Refuse a scene that GDAL cannot read in one thread within the free memory.

    Args:
        scene: Scene to read.
        bands: Numbers of the bands, from 1.
        windows: Windows to read, (n, 4) x, y, width and height in px.

    Raises:
        SceneError: The free memory does not suffice.
    """
    fit_threads(scene.files[0], gdal_memory_need(scene, bands, windows), 1)


def read_tile_with_gdal(scene: Scene, tile: Tile, bands: Sequence[int]) -> TilePixels:
    """Read one tile with GDAL in the calling thread, without prefetching.

    Args:
        scene: Scene to read.
        tile: Tile to read.
        bands: Numbers of the bands, from 1, in the order wanted.

    Returns:
        Pixels of the tile, or the error that reading it raised.

    Raises:
        SceneChangedError: The file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    try:
        pixels, valid = scene.read_layers(tile.window, bands)
    except (SceneChangedError, TransientError):
        raise
    except Exception as error:  # noqa: BLE001 (after any error, the next tiles are read)
        return TilePixels(tile, None, None, error=error)
    return TilePixels(tile, pixels, valid.pixels, valid.bands)
