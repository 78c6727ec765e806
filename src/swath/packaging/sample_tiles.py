"""Tiles to try a model on: black, noise, and some cut from scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from swath.errors import SceneError
from swath.models.runtimes.padding import pad
from swath.models.scaling import Clip, ClipMax, MinMax, Scale, Scaling, ZScore, reach_of

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription

Tile = NDArray[Any]
"""(bands, size, size) in a scene's numbers."""

_DEVIATIONS = 3
_BYTE = 255.0


def black(description: ModelDescription) -> Tile:
    """Zeros throughout."""
    return np.zeros(_shape(description), np.uint8)


def noise(description: ModelDescription, *, seed: int) -> Tile:
    """Random numbers of each band, as large as its scaling says that pixels are."""
    tile = np.random.default_rng(seed).random(_shape(description), np.float32)
    ranges = np.array([_range(scaling) for scaling in description.scaling], np.float32)
    low, high = ranges.T[:, :, None, None]
    tile *= high - low
    tile += low
    return tile


def of_scenes(
    uris: Sequence[str], description: ModelDescription, *, count: int, offset: float = 0.5
) -> Iterator[Tile]:
    """Tiles of scenes that have valid pixels, evenly spread over all of them.

    Args:
        uris: of the scenes.
        description: of the model, for its bands and the size of its tiles.
        count: how many tiles, at most.
        offset: 0 to 1, where between two evenly spread places a tile is taken: another offset
            gives other tiles, as long as there are enough of them.

    Raises:
        SceneError: a scene cannot be read, or lacks a band.
    """
    # GDAL is imported where there are scenes.
    from swath.raster.interpretation import select_bands  # noqa: PLC0415
    from swath.raster.radiometry.units import conversion  # noqa: PLC0415
    from swath.raster.reader import read_tiles  # noqa: PLC0415
    from swath.raster.scene import open_scene  # noqa: PLC0415
    from swath.raster.tiles import Grid  # noqa: PLC0415

    reach = reach_of(description.scaling)
    for uri, wanted in shared_out(uris, count):
        with open_scene(uri) as scene:
            bands = select_bands(scene.info, description.bands)
            convert = conversion(scene.info, bands, description.bands, description.units)
            grid = Grid(
                width=scene.info.width,
                height=scene.info.height,
                size=description.tile_size,
                overlap=description.overlap,
            )
            for read in read_tiles(scene, grid, bands, _spread(grid.count, wanted, offset)):
                if read.error is not None:
                    raise SceneError(f"{uri}: {read.error}") from read.error
                if read.pixels is not None and (read.valid is None or read.valid.any()):
                    size, fill = description.tile_size, description.fill_value
                    pixels = convert(read.pixels) if convert else read.pixels
                    yield pad(pixels, read.shown, size=size, fill_value=fill, reach=reach).copy()


def shared_out(uris: Sequence[str], count: int) -> Iterator[tuple[str, int]]:
    """Yield each scene with the number of tiles that are cut from it."""
    for number, uri in enumerate(uris):
        yield uri, count // len(uris) + (number < count % len(uris))


def _spread(count: int, wanted: int, offset: float) -> list[int]:
    """Numbers from 0 to `count`, evenly spread and increasing."""
    if wanted == 0:
        return []
    places = (np.arange(min(wanted, count)) + offset) * count / min(wanted, count)
    return sorted(set(places.astype(int).clip(0, count - 1).tolist()))


def _shape(description: ModelDescription) -> tuple[int, int, int]:
    return len(description.bands), description.tile_size, description.tile_size


def _range(scaling: Scaling | None) -> tuple[float, float]:
    """From where to where a band's pixels go, as far as its scaling tells; else those of 8 bits."""
    match scaling:
        case MinMax(low, high) | Clip(low, high):
            return low, high
        case ZScore(mean, stddev):
            return mean - _DEVIATIONS * abs(stddev), mean + _DEVIATIONS * abs(stddev)
        case Scale(value):
            return 0.0, value
        case ClipMax(high):
            return 0.0, high
        case _:
            return 0.0, _BYTE
