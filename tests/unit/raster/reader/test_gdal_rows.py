"""Tests of bands of rows that GDAL reads: only requested rows, and each handle is returned."""

from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import pytest

from swath.raster.dataset import PinnedDataset, open_dataset
from swath.raster.reader import gdal_rows
from swath.raster.reader.channels import Channels
from swath.raster.reader.gdal_rows import RowGroups
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from tests.helpers.reading import assert_same, watched


@pytest.fixture
def path(make_scene):
    pixels = np.random.default_rng(5).integers(0, 15, (2, 300, 400)).astype("uint8")
    return make_scene(pixels, tiled=True, blockxsize=32, blockysize=48, nbits=4)


@pytest.mark.parametrize("first", [0, 3, 7])
def test_bands_are_as_wide_as_the_blocks_of_what_is_asked_for(path, first):
    grid = Grid(400, 300, 50, 0)
    wanted = [row * grid.columns + column for row in range(grid.rows) for column in range(first, 8)]
    with open_scene(path) as scene, watched() as sources:
        assert_same(scene, grid, [1, 2], wanted)

    (source,) = sources.made
    assert not sources.alone
    assert source.block_grid.x == first * 50 // 32 * 32
    assert source.block_grid.x + source.block_grid.block_width == 400


def test_the_mask_of_a_file_is_the_last_layer(make_scene):
    rng = np.random.default_rng(5)
    pixels, mask = rng.integers(1, 15, (2, 300, 400)), rng.integers(0, 2, (300, 400)) * 255
    tiles = {"tiled": True, "blockxsize": 32, "blockysize": 48, "nbits": 4}
    path = make_scene(pixels.astype("uint8"), mask=mask.astype("uint8"), **tiles)

    with open_scene(path) as scene, watched() as sources:
        assert_same(scene, Grid(400, 300, 70, 20), [1, 2], range(48))

    assert sources.names == {"RowGroups"}
    assert sources.made[0]._channels.mask_band
    assert not sources.alone


class Handles(SimpleQueue):
    """A pool of handles that never waits: a handle is available at once or never."""

    def get(self):
        return self.get_nowait()


def test_a_handle_is_given_back_whether_it_could_read_or_not(path, monkeypatch):
    monkeypatch.setattr(gdal_rows, "SimpleQueue", Handles)
    windows, reads = np.array([[0, 0, 400, 300]]), [None, OSError("damaged"), None]

    def read(dataset, window, samples):
        if error := reads.pop():
            raise error
        return original(dataset, window, samples)

    original = PinnedDataset.read
    monkeypatch.setattr(PinnedDataset, "read", read)
    with open_dataset(path) as dataset, ThreadPoolExecutor(1) as readers:
        source = RowGroups([dataset], Channels(bands=(1,)), windows, readers=readers)
        told = [source.decode(row, 0, []).exception() for row in (0, 0, 1)]

    assert list(map(type, told)) == [type(None), OSError, type(None)]
