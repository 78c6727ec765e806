"""Tests of the counts of invalid pixels in cells: they do not depend on the tiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.raster import invalid_cells
from swath.raster.invalid_cells import CellGrid, InvalidCells
from swath.raster.tiles import Grid

SIZES = st.integers(1, 70)
SEEDS = st.integers(0, 1 << 20)


@pytest.fixture(autouse=True)
def few_cells(monkeypatch):
    """Let cells of several pixels appear in small scenes."""
    monkeypatch.setattr(invalid_cells, "MAX_CELLS", 16)


def mask_of(seed, width, height):
    """Return a mask with blocks and single pixels that are not valid."""
    random = np.random.default_rng(seed)
    valid = random.random((height, width)) > random.choice([0, 0.01, 0.5, 1])
    x, y = random.integers(0, [width, height])
    valid[y : y + 9, x : x + 30] = False
    return valid


def count_by_tiles(valid, size, overlap, order=None):
    """Count the invalid pixels tile by tile, in some order."""
    height, width = valid.shape
    grid, cells = Grid(width, height, size, overlap), InvalidCells(CellGrid(width, height))
    for number in range(grid.count) if order is None else order.permutation(grid.count):
        tile = grid.tile(int(number))
        x, y, across, down = tile.window
        part = cells.grid.count(tile, valid[y : y + down, x : x + across])
        cells.add([part] if part else [])
    return cells


@given(SEEDS, SIZES, SIZES, st.integers(1, 40), st.data())
def test_tiles_of_any_size_give_the_counts_of_the_whole_mask(seed, width, height, size, data):
    valid = mask_of(seed, width, height)
    overlap = data.draw(st.integers(0, size - 1))
    cells = count_by_tiles(valid, size, overlap, np.random.default_rng(seed))
    side = cells.grid.size
    rows, columns = cells.grid.shape
    padded = np.zeros((rows * side, columns * side), np.int64)
    padded[:height, :width] = ~valid
    expected = padded.reshape(rows, side, columns, side).sum(axis=(1, 3))
    assert max(rows, columns) <= 16
    assert cells.total == expected.sum()
    if expected.any():
        np.testing.assert_array_equal(cells.counts, expected)
    else:
        assert cells.counts is None


@given(SEEDS, SIZES, SIZES)
def test_encoded_counts_of_parts_add_up(seed, width, height):
    valid = mask_of(seed, width, height)
    whole = InvalidCells.from_valid(valid)
    cut = np.random.default_rng(seed).integers(0, height + 1)
    upper, lower = valid.copy(), valid.copy()
    upper[cut:], lower[:cut] = True, True
    joined = InvalidCells(whole.grid)
    for part in (upper, lower):
        if data := InvalidCells.from_valid(part).to_bytes():
            joined.add_bytes(data)
    assert joined.to_bytes() == whole.to_bytes()


@given(SIZES, SIZES, st.integers(1, 40), st.data())
def test_a_tile_without_a_valid_pixel_needs_no_mask(width, height, size, data):
    grid, cells = (
        Grid(width, height, size, data.draw(st.integers(0, size - 1))),
        CellGrid(width, height),
    )
    tile = grid.tile(data.draw(st.integers(0, grid.count - 1)))
    short = cells.count_all(tile)
    full = cells.count(tile, np.zeros((tile.window[3], tile.window[2]), bool))
    assert (short.row, short.column) == (full.row, full.column)
    np.testing.assert_array_equal(short.counts, full.counts)


def test_a_scene_of_valid_pixels_stores_nothing():
    cells = InvalidCells.from_valid(np.ones((30, 50), bool))
    assert cells.counts is None
    assert cells.to_bytes() == b""


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda data: data[:-9], lambda _: InvalidCells.from_valid(
        np.zeros((90, 90), bool)).to_bytes()]
)  # fmt: skip
def test_damaged_counts_are_refused(damage):
    data = InvalidCells.from_valid(np.zeros((30, 20), bool)).to_bytes()
    with pytest.raises(ValueError, match="counts of invalid pixels"):
        InvalidCells(CellGrid(20, 30)).add_bytes(damage(data))
