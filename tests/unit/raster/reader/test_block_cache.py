"""Tests of the block cache: it reads each block once and no extra rows. Tiles are correct."""

from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.raster.reader import block_cache
from swath.raster.reader.block_cache import DECODED_ROWS_AHEAD, MAX_PREFETCHED_ROWS, BlockCache
from swath.raster.reader.block_schedule import BlockGrid
from swath.raster.tiles import Grid


class Counting:
    """A source of an array's blocks that records its calls."""

    def __init__(self, pixels, rows, cols, *, row_bytes=0, broken=()):
        self.pixels, self.block_grid = (
            pixels,
            BlockGrid(x=0, y=0, block_width=cols, block_height=rows),
        )
        self.row_bytes, self.broken = row_bytes, broken
        self.expected, self.decoded, self.forgotten = [], [], []
        self.most_ahead = 0

    def prefetch(self, row):
        self.expected.append((row.row, tuple(row.columns)))
        decoded = {row for row, _ in self.decoded}
        self.most_ahead = max(self.most_ahead, len(self.expected) - len(decoded))
        return self.row_bytes

    def allocate(self, rows, cols):
        layers = len(self.pixels)
        if self.pixels.strides[0] < self.pixels.strides[2]:
            return np.zeros((rows, cols, layers), self.pixels.dtype).transpose(2, 0, 1)
        return np.zeros((layers, rows, cols), self.pixels.dtype)

    def decode(self, row, column, targets):
        self.decoded.append((row, column))
        done = Future()
        if (row, column) in self.broken:
            done.set_exception(ValueError(f"block {row}, {column}"))
            return done
        y, x = row * self.block_grid.block_height, column * self.block_grid.block_width
        block = self.pixels[
            :, y : y + self.block_grid.block_height, x : x + self.block_grid.block_width
        ]
        assert targets
        for target in targets:
            target.pixels[...] = target.crop(block)
        done.set_result(None)
        return done

    def release(self, row):
        self.forgotten.append(row)


def scene(height, width, layers=2):
    return np.arange(layers * height * width, dtype=np.int64).reshape(layers, height, width)


def rectangle(grid, columns, rows):
    """Return the numbers of the tiles in some columns and rows, in raster order."""
    return [row * grid.columns + column for row in rows for column in columns]


@st.composite
def grids(draw):
    size = draw(st.integers(1, 40))
    overlap = draw(st.integers(0, size - 1))
    grid = Grid(draw(st.integers(1, 90)), draw(st.integers(1, 90)), size, overlap)
    left, top = draw(st.integers(0, grid.columns - 1)), draw(st.integers(0, grid.rows - 1))
    columns = range(left, draw(st.integers(left, grid.columns - 1)) + 1)
    rows = range(top, draw(st.integers(top, grid.rows - 1)) + 1)
    return grid, rectangle(grid, columns, rows)[:300]


@given(grids(), st.integers(1, 50), st.integers(1, 50))
def test_any_rectangle_of_tiles_is_cut_right_and_each_block_decoded_once(asked, rows, cols):
    grid, numbers = asked
    pixels = scene(grid.height, grid.width)
    source = Counting(pixels, rows, cols)
    windows = grid.windows(numbers)
    cache = BlockCache(source, windows)

    for index, (x, y, width, height) in enumerate(windows.tolist()):
        tile = cache.read_tile(index)
        np.testing.assert_array_equal(tile, pixels[:, y : y + height, x : x + width])
        assert not np.shares_memory(tile, pixels)

    needed = {
        (row, column)
        for left, right, top, bottom in source.block_grid.block_ranges(windows).tolist()
        for row in range(top, bottom + 1)
        for column in range(left, right + 1)
    }
    assert sorted(source.decoded) == sorted(needed)
    assert sorted(source.forgotten) == sorted({row for row, _ in needed})
    assert cache.rows_in_memory == 0


@given(grids(), st.integers(1, 50), st.integers(1, 50))
def test_no_more_rows_are_held_than_a_tile_needs_and_one(asked, rows, cols):
    grid, numbers = asked
    cache = BlockCache(
        Counting(scene(grid.height, grid.width), rows, cols), windows := grid.windows(numbers)
    )
    most = -(-grid.size // rows) + 1 + DECODED_ROWS_AHEAD

    for index in range(len(windows)):
        cache.read_tile(index)
        assert cache.rows_in_memory <= most


def test_rows_are_fetched_a_few_ahead():
    grid = Grid(100, 10_000, 100, 0)
    source = Counting(scene(10_000, 100), 50, 50, row_bytes=1)
    cache = BlockCache(source, grid.windows(range(grid.count)))

    for index in range(grid.count):
        cache.read_tile(index)

    assert source.most_ahead <= MAX_PREFETCHED_ROWS + 2 + DECODED_ROWS_AHEAD
    assert len(source.expected) == 200


def test_large_rows_are_not_fetched_ahead(monkeypatch):
    monkeypatch.setattr(block_cache, "MAX_PREFETCHED_BYTES", 1000)
    source = Counting(scene(1000, 100), 50, 50, row_bytes=1000)
    grid = Grid(100, 1000, 100, 0)

    BlockCache(source, grid.windows(range(grid.count))).read_tile(0)

    assert [row for row, _ in source.expected] == [0, 1, 2, 3]


def test_what_is_fetched_ahead_has_a_bound_as_it_comes():
    """Check rows of 40 MiB: the cache prefetches two rows beyond the rows to decode."""
    source = Counting(scene(1000, 100), 50, 50, row_bytes=40 << 20)
    grid = Grid(100, 1000, 100, 0)

    BlockCache(source, grid.windows(range(grid.count))).read_tile(0)

    assert [row for row, _ in source.expected] == [0, 1, 2, 3, 4]


def test_the_first_tile_waits_for_its_own_blocks_only():
    grid = Grid(1000, 100, 100, 0)
    source = Counting(scene(100, 1000), 50, 50)

    BlockCache(source, grid.windows(range(grid.count))).read_tile(0)

    assert source.decoded[:4] == [(0, 0), (1, 0), (0, 1), (1, 1)]


def test_a_broken_block_fails_the_tiles_that_need_it_and_no_others():
    grid = Grid(100, 100, 40, 10)
    pixels = scene(100, 100)
    source = Counting(pixels, 25, 25, broken={(1, 1)})
    windows = grid.windows(range(grid.count))
    cache = BlockCache(source, windows)

    for index, (x, y, width, height) in enumerate(windows.tolist()):
        if x < 50 and x + width > 25 and y < 50 and y + height > 25:
            with pytest.raises(ValueError, match="block 1, 1"):
                cache.read_tile(index)
        else:
            tile = pixels[:, y : y + height, x : x + width]
            np.testing.assert_array_equal(cache.read_tile(index), tile)
    assert cache.rows_in_memory == 0


def test_a_tile_is_laid_out_in_memory_as_the_source_likes():
    interleaved = np.zeros((60, 60, 3), np.uint8).transpose(2, 0, 1)
    windows = np.array([[5, 5, 50, 50]])

    tile = BlockCache(Counting(interleaved, 20, 20), windows).read_tile(0)
    assert tile.strides == (1, 3 * (5 + 50), 3)
    tile = BlockCache(Counting(interleaved.copy("C"), 20, 20), windows).read_tile(0)
    assert tile.strides[2] == 1
