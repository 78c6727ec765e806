"""Provide tiles for testing a model: black, noise, or cut from scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from swath.errors import SceneError
from swath.models.runtimes.padding import pad
from swath.models.scaling import Clip, ClipMax, MinMax, Scale, Scaling, ZScore, finite_range

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription

Tile = NDArray[Any]
"""Tile (bands, size, size) in the scene's pixel values."""

_DEVIATIONS = 3
_BYTE = 255.0


def black(description: ModelDescription) -> Tile:
    """Return a tile of zeros, (bands, size, size) of uint8."""
    return np.zeros(_shape(description), np.uint8)


def noise(description: ModelDescription, *, seed: int) -> Tile:
    """Return uniform noise (bands, size, size), in the pixel range of each band's scaling."""
    tile = np.random.default_rng(seed).random(_shape(description), np.float32)
    ranges = np.array([_range(scaling) for scaling in description.scaling], np.float32)
    low, high = ranges.T[:, :, None, None]
    tile *= high - low
    tile += low
    return tile


def from_scenes(
    uris: Sequence[str], description: ModelDescription, *, count: int, offset: float = 0.5
) -> Iterator[Tile]:
    """Yield tiles with valid pixels, evenly spread over all scenes.

    Args:
        uris: Paths or URIs of the scenes.
        description: Description of the model, for its bands, tile size and overlap.
        count: Maximum number of tiles.
        offset: Relative position of a tile within its share of the grid, 0 to 1. A different offset
            selects different tiles, if the scenes have enough.

    Raises:
        SceneError: A scene cannot be read, or lacks a band.
    """
    # GDAL is imported only if there are scenes.
    from swath.items import SceneSources  # noqa: PLC0415
    from swath.items.scene_arguments import parse_scene  # noqa: PLC0415
    from swath.raster.assets.open import open_model_scene  # noqa: PLC0415
    from swath.raster.radiometry.units import conversion  # noqa: PLC0415
    from swath.raster.reader import read_tiles  # noqa: PLC0415
    from swath.raster.tiles import Grid  # noqa: PLC0415

    limits = finite_range(description.scaling)
    for uri, requested in split_tile_count(uris, count):
        with open_model_scene(parse_scene(uri, SceneSources()), description.band_needs) as opened:
            scene, bands = opened.scene, opened.bands
            convert = conversion(scene.info, bands, description.bands, description.units)
            grid = Grid(
                width=scene.info.width,
                height=scene.info.height,
                size=description.tile_size,
                overlap=description.overlap,
            )
            for read in read_tiles(scene, grid, bands, _spread(grid.count, requested, offset)):
                if read.error is not None:
                    raise SceneError(f"{uri}: {read.error}") from read.error
                if read.pixels is not None and (read.valid is None or read.valid.any()):
                    size, fill = description.tile_size, description.fill_value
                    pixels = convert(read.pixels) if convert else read.pixels
                    yield pad(
                        pixels, read.input_mask, size=size, fill_value=fill, limits=limits
                    ).copy()


def split_tile_count(uris: Sequence[str], count: int) -> Iterator[tuple[str, int]]:
    """Yield each scene with the number of tiles to cut from it."""
    for number, uri in enumerate(uris):
        yield uri, count // len(uris) + (number < count % len(uris))


def _spread(count: int, requested: int, offset: float) -> list[int]:
    """Return up to `requested` numbers from 0 to `count` - 1, evenly spread and increasing."""
    if requested == 0:
        return []
    positions = (np.arange(min(requested, count)) + offset) * count / min(requested, count)
    return sorted(set(positions.astype(int).clip(0, count - 1).tolist()))


def _shape(description: ModelDescription) -> tuple[int, int, int]:
    return len(description.bands), description.tile_size, description.tile_size


def _range(scaling: Scaling | None) -> tuple[float, float]:
    """Return the range of a band's pixels that its scaling implies; without one, that of 8 bits."""
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
