"""Read the tiles of a shard, in their order, decoding each block of the file once.

Tiles overlap, so readers of windows decode a block several times: rasterio takes twice as long as
this reader, and async-geotiff some four times (`make bench ARGS=reading_local`). Both were tried
underneath it; neither tells which of a file's blocks are damaged, which `checksums` notices.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath._types import Ints, Mask
from swath.cpus import available_cpus
from swath.errors import SceneChangedError, TransientError
from swath.raster.reader.block_cache import Ring
from swath.raster.reader.block_source import source_of
from swath.raster.reader.memory_check import fit_threads, need_of_gdal
from swath.raster.reader.validity import Wanted, wanted
from swath.raster.reader.workers import Workers
from swath.raster.scene import OpenScene
from swath.raster.tiles import Grid, Tile
from swath.raster.validity import combine

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TilePixels:
    """What was read of a tile, or why it was not."""

    tile: Tile
    pixels: NDArray[Any] | None
    """(bands, rows, cols) of the tile's window in the scene's dtype, of any memory layout.
    Not to be written to: neighbours may be views of the same memory."""
    valid: Mask | None
    """(rows, cols), True where any band is valid; None where every pixel is."""
    valid_bands: Mask | None = None
    """(bands, rows, cols), True = valid; None where all bands are valid where `valid` says so."""
    error: Exception | None = None
    """Why there are no pixels."""

    @property
    def shown(self) -> Mask | None:
        """What a model is shown, to be broadcast to `pixels`; None where all is."""
        return self.valid if self.valid_bands is None else self.valid_bands


def read_tiles(
    scene: OpenScene,
    grid: Grid,
    bands: Sequence[int],
    numbers: Sequence[int] | Ints,
    *,
    threads: int | None = None,
) -> Generator[TilePixels]:
    """The tiles of those numbers, in their order, read ahead of whoever takes them.

    Closing the iterator ends its threads.

    Args:
        scene: what is read; to be kept open until the last tile is taken.
        grid: of the tiles.
        bands: numbers of bands, from 1, in the order wanted.
        numbers: of the tiles; in raster order each block is read once.
        threads: how many decode; by default, as many as there are CPUs; fewer where memory is
            short.

    Raises:
        SceneError: there is not enough memory to read it.
        SceneChangedError: the file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    if len(numbers) == 0:
        return
    with Workers(threads or available_cpus()) as workers:
        cutter = _Cutter(scene, bands, grid.windows(numbers), workers)
        for place, tile in enumerate(grid.iter_tiles(numbers)):
            yield cutter.read(place, tile)


class _Cutter:
    """Cuts tiles from a ring of the scene's blocks, and from one of the mask's beside it."""

    def __init__(
        self, scene: OpenScene, bands: Sequence[int], windows: Ints, workers: Workers
    ) -> None:
        self._scene, self._bands = scene, bands
        self._nodata, self._masked = scene.nodata_of(bands), scene.has_mask(bands)
        self._rings: list[Ring] = []
        layers_wanted = wanted(scene, bands)
        if layers_wanted is None:
            check_memory(scene, bands, windows)
        else:
            layers = [(scene.dataset, layers_wanted)]
            if scene.mask:
                layers.append((scene.mask, Wanted(bands=tuple(scene.mask_bands(bands)))))
            self._rings = [
                Ring(source_of(dataset, what, windows, workers), windows)
                for dataset, what in layers
            ]

    def read(self, place: int, tile: Tile) -> TilePixels:
        """The tile at a place; what the rings cannot give, GDAL reads alone, or says why not."""
        try:
            if self._rings:
                return self._cut(place, tile)
        except (SceneChangedError, TransientError):
            raise
        except Exception:  # noqa: BLE001, S110 (a damaged block can make a codec raise anything)
            pass
        return read_alone(self._scene, tile, self._bands)

    def _cut(self, place: int, tile: Tile) -> TilePixels:
        layers, *beside = [ring.cut(place) for ring in self._rings]
        count = len(self._bands)
        marks = [*layers[count:], *(mark if len(mark) > 1 else mark[0] for mark in beside)]
        pixels = layers[:count]
        valid = combine(pixels, marks, self._nodata, masked=self._masked)
        return TilePixels(tile, pixels, valid.pixels, valid.bands)


def read_single(scene: OpenScene, tile: Tile, bands: Sequence[int]) -> TilePixels:
    """Read the only tile that is wanted, by GDAL, in the thread that calls.

    Raises:
        SceneError: there is not enough memory to read it.
        SceneChangedError: the file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    check_memory(scene, bands, np.array([tile.window]))
    return read_alone(scene, tile, bands)


def check_memory(scene: OpenScene, bands: Sequence[int], windows: Ints) -> None:
    """Refuse a scene that cannot be read in one thread with the memory that is free.

    Args:
        scene: what is to be read, by GDAL.
        bands: numbers of bands, from 1.
        windows: (n, 4), what is to be read of it.

    Raises:
        SceneError: the memory does not suffice.
    """
    fit_threads(scene.dataset, need_of_gdal(scene.dataset, len(bands), windows), 1)


def read_alone(scene: OpenScene, tile: Tile, bands: Sequence[int]) -> TilePixels:
    """One tile, read by GDAL in the thread that calls: nothing is read ahead.

    Raises:
        SceneChangedError: the file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    try:
        pixels, valid = scene.read_layers(tile.window, bands)
    except (SceneChangedError, TransientError):
        raise
    except Exception as error:  # noqa: BLE001 (whatever it is, the other tiles go on)
        return TilePixels(tile, None, None, error=error)
    return TilePixels(tile, pixels, valid.pixels, valid.bands)
