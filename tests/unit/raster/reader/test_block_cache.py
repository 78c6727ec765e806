"""The ring: each block once, no more rows than needed, tiles cut right."""

from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.raster.reader import block_cache as ring_module
from swath.raster.reader.block_cache import FETCHED_AHEAD, ROWS_AHEAD, Ring
from swath.raster.reader.block_schedule import Lattice
from swath.raster.tiles import Grid


class Counting:
    """A source of blocks of an array, which notes what it is asked for."""

    def __init__(self, pixels, rows, cols, *, row_bytes=0, broken=()):
        self.pixels, self.lattice = pixels, Lattice(x=0, y=0, cols=cols, rows=rows)
        self.row_bytes, self.broken = row_bytes, broken
        self.expected, self.decoded, self.forgotten = [], [], []
        self.most_ahead = 0

    def expect(self, row):
        self.expected.append((row.row, tuple(row.columns)))
        decoded = {row for row, _ in self.decoded}
        self.most_ahead = max(self.most_ahead, len(self.expected) - len(decoded))
        return self.row_bytes

    def room(self, rows, cols):
        layers = len(self.pixels)
        if self.pixels.strides[0] < self.pixels.strides[2]:
            return np.zeros((rows, cols, layers), self.pixels.dtype).transpose(2, 0, 1)
        return np.zeros((layers, rows, cols), self.pixels.dtype)

    def decode(self, row, column, parts):
        self.decoded.append((row, column))
        done = Future()
        if (row, column) in self.broken:
            done.set_exception(ValueError(f"block {row}, {column}"))
            return done
        y, x = row * self.lattice.rows, column * self.lattice.cols
        block = self.pixels[:, y : y + self.lattice.rows, x : x + self.lattice.cols]
        assert parts
        for part in parts:
            part.place[...] = part.of(block)
        done.set_result(None)
        return done

    def forget(self, row):
        self.forgotten.append(row)


def scene(height, width, layers=2):
    return np.arange(layers * height * width, dtype=np.int64).reshape(layers, height, width)


def rectangle(grid, columns, rows):
    """Numbers of the tiles of some columns and rows, in raster order."""
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
    ring = Ring(source, windows)

    for place, (x, y, width, height) in enumerate(windows.tolist()):
        tile = ring.cut(place)
        np.testing.assert_array_equal(tile, pixels[:, y : y + height, x : x + width])
        assert not np.shares_memory(tile, pixels)

    needed = {
        (row, column)
        for left, right, top, bottom in source.lattice.spans(windows).tolist()
        for row in range(top, bottom + 1)
        for column in range(left, right + 1)
    }
    assert sorted(source.decoded) == sorted(needed)
    assert sorted(source.forgotten) == sorted({row for row, _ in needed})
    assert ring.held == 0


@given(grids(), st.integers(1, 50), st.integers(1, 50))
def test_no_more_rows_are_held_than_a_tile_needs_and_one(asked, rows, cols):
    grid, numbers = asked
    ring = Ring(
        Counting(scene(grid.height, grid.width), rows, cols), windows := grid.windows(numbers)
    )
    most = -(-grid.size // rows) + 1 + ROWS_AHEAD

    for place in range(len(windows)):
        ring.cut(place)
        assert ring.held <= most


def test_rows_are_fetched_a_few_ahead():
    grid = Grid(100, 10_000, 100, 0)
    source = Counting(scene(10_000, 100), 50, 50, row_bytes=1)
    ring = Ring(source, grid.windows(range(grid.count)))

    for place in range(grid.count):
        ring.cut(place)

    assert source.most_ahead <= FETCHED_AHEAD + 2 + ROWS_AHEAD
    assert len(source.expected) == 200


def test_large_rows_are_not_fetched_ahead(monkeypatch):
    monkeypatch.setattr(ring_module, "BYTES_AHEAD", 1000)
    source = Counting(scene(1000, 100), 50, 50, row_bytes=1000)
    grid = Grid(100, 1000, 100, 0)

    Ring(source, grid.windows(range(grid.count))).cut(0)

    assert [row for row, _ in source.expected] == [0, 1, 2, 3]


def test_what_is_fetched_ahead_has_a_bound_as_it_comes():
    """Rows of 40 MiB: what is to be decoded now, and two more."""
    source = Counting(scene(1000, 100), 50, 50, row_bytes=40 << 20)
    grid = Grid(100, 1000, 100, 0)

    Ring(source, grid.windows(range(grid.count))).cut(0)

    assert [row for row, _ in source.expected] == [0, 1, 2, 3, 4]


def test_the_first_tile_waits_for_its_own_blocks_only():
    grid = Grid(1000, 100, 100, 0)
    source = Counting(scene(100, 1000), 50, 50)

    Ring(source, grid.windows(range(grid.count))).cut(0)

    assert source.decoded[:4] == [(0, 0), (1, 0), (0, 1), (1, 1)]


def test_a_broken_block_fails_the_tiles_that_need_it_and_no_others():
    grid = Grid(100, 100, 40, 10)
    pixels = scene(100, 100)
    source = Counting(pixels, 25, 25, broken={(1, 1)})
    windows = grid.windows(range(grid.count))
    ring = Ring(source, windows)

    for place, (x, y, width, height) in enumerate(windows.tolist()):
        if x < 50 and x + width > 25 and y < 50 and y + height > 25:
            with pytest.raises(ValueError, match="block 1, 1"):
                ring.cut(place)
        else:
            tile = pixels[:, y : y + height, x : x + width]
            np.testing.assert_array_equal(ring.cut(place), tile)
    assert ring.held == 0


def test_a_tile_is_laid_out_in_memory_as_the_source_likes():
    interleaved = np.zeros((60, 60, 3), np.uint8).transpose(2, 0, 1)
    windows = np.array([[5, 5, 50, 50]])

    tile = Ring(Counting(interleaved, 20, 20), windows).cut(0)
    assert tile.strides == (1, 3 * (5 + 50), 3)
    tile = Ring(Counting(interleaved.copy("C"), 20, 20), windows).cut(0)
    assert tile.strides[2] == 1
