"""Reading through `read_tiles` compared with window by window, and what it goes through."""

import re
from contextlib import contextmanager

import numpy as np
import pytest

from swath.errors import SceneChangedError, SwathError, TransientError
from swath.raster.reader import block_source, file_tiles, read_tiles, tile_reader
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid


def image_bands(info):
    """The numbers of a scene's bands that are no alpha."""
    return [number for number, color in enumerate(info.colors, 1) if color != "alpha"]


def assert_same(scene, grid, bands, numbers, threads=2):
    """Every tile has the pixels, validity or error that `Scene.read` has for it."""
    count = 0
    for number, got in zip(
        numbers, read_tiles(scene, grid, bands, numbers, threads=threads), strict=True
    ):
        assert got.tile == grid.tile(int(number))
        count += 1
        try:
            pixels, valid = scene.read(got.tile.window, bands)
        except (SceneChangedError, TransientError):
            raise
        except SwathError as error:
            assert _told(got.error) == _told(error)  # noqa: PT017 (both must fail)
            assert got.pixels is None
            continue
        assert got.error is None
        assert got.pixels.dtype == pixels.dtype
        np.testing.assert_array_equal(got.pixels, pixels)
        assert got.valid is None or not got.valid.all()
        np.testing.assert_array_equal(np.True_ if got.valid is None else got.valid, valid)
    return count


def _told(error):
    """An error's text but for the row: libtiff counts those from where it last read."""
    return re.sub(r"at scanline \d+|at row \d+, col \d+", "", str(error))


def assert_reads_same(path, *, size=100, overlap=20, bands=None):
    """Check that all tiles of a scene are the same."""
    with open_scene(str(path)) as scene:
        grid = Grid(scene.info.width, scene.info.height, size, overlap)
        assert_same(scene, grid, bands or image_bands(scene.info), range(grid.count))


class Sources:
    """The record of a read: the sources, and the number of tiles read alone."""

    def __init__(self):
        self.made = []
        self.alone = 0

    @property
    def names(self):
        """Return the sources' classes, each once."""
        return {type(made).__name__ for made in self.made}


@contextmanager
def watched():
    """Notes what reading goes through."""
    sources = Sources()

    def open_block_source(*args):
        sources.made.append(block_source.open_block_source(*args))
        return sources.made[-1]

    def read_tile_with_gdal(*args):
        sources.alone += 1
        return original(*args)

    original = tile_reader.read_tile_with_gdal
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_tiles, "open_block_source", open_block_source)
        patch.setattr(tile_reader, "read_tile_with_gdal", read_tile_with_gdal)
        yield sources
