"""Property tests of tiles and cores: tiles cover any scene, and cores partition it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.raster import tiles
from swath.raster.tiles import Grid
from tests.helpers.grids import grids


def test_known_grid():
    grid = Grid(width=1000, height=256, size=256, overlap=32)

    assert (grid.columns, grid.rows, grid.count, grid.stride) == (5, 1, 5, 224)
    assert grid.tile(1).core == (240, 0, 464, 256)
    last = grid.tile(4)
    assert (last.index, last.column, last.row, last.x, last.y, last.size) == (4, 4, 0, 768, 0, 256)
    assert last.window == (768, 0, 232, 256)
    assert last.core == (848, 0, 1000, 256)


def test_scene_smaller_than_a_tile_is_one_padded_tile():
    tile = Grid(100, 30, 256, 32).tile(0)

    assert (tile.x, tile.y, tile.size) == (0, 0, 256)
    assert tile.window == (0, 0, 100, 30)
    assert tile.core == (0, 0, 100, 30)


@given(grids())
def test_cores_partition_the_scene(grid):
    owners = np.zeros((grid.height, grid.width), int)
    for x0, y0, x1, y1 in grid.cores(np.arange(grid.count)):
        assert x0 < x1
        assert y0 < y1
        owners[y0:y1, x0:x1] += 1

    assert (owners == 1).all()


@given(grids())
def test_each_core_lies_in_its_tile_and_each_tile_in_the_scene(grid):
    indices = np.arange(grid.count)
    x, y, width, height = grid.windows(indices).T
    x0, y0, x1, y1 = grid.cores(indices).T

    assert ((x <= x0) & (x1 <= x + width) & (y <= y0) & (y1 <= y + height)).all()
    assert ((x >= 0) & (x + width <= grid.width) & (y >= 0) & (y + height <= grid.height)).all()


@given(grids())
def test_every_pixel_is_in_a_tile(grid):
    seen = np.zeros((grid.height, grid.width), bool)
    for x, y, width, height in grid.windows(np.arange(grid.count)):
        seen[y : y + height, x : x + width] = True

    assert seen.all()


@given(grids())
def test_neighbors_overlap_by_at_least_the_overlap(grid):
    starts = grid.windows(np.arange(grid.columns))[:, 0]

    assert (starts[:-1] + grid.size - starts[1:] >= grid.overlap).all()
    assert (starts[1:] > starts[:-1]).all()


@given(grids())
def test_all_tiles_start_in_step_and_are_padded_by_less(grid):
    x, y, width, _ = grid.windows(np.arange(grid.count)).T

    assert not (x % grid.step).any()
    assert not (y % grid.step).any()
    if grid.width >= grid.size:
        assert (width > grid.size - grid.step).all()


@pytest.mark.parametrize(("overlap", "step"), [(64, 32), (50, 2), (51, 1), (248, 8), (0, 32)])
def test_the_step_is_the_coarsest_that_the_overlap_allows(overlap, step):
    assert Grid(1042, 699, 256, overlap).step == step


@given(grids())
def test_owner_is_the_tile_whose_core_holds_the_pixel(grid):
    expected = np.zeros((grid.height, grid.width), np.int64)
    for index, (x0, y0, x1, y1) in enumerate(grid.cores(np.arange(grid.count))):
        expected[y0:y1, x0:x1] = index
    y, x = np.mgrid[: grid.height, : grid.width]

    np.testing.assert_array_equal(grid.owner(x, y), expected)
    np.testing.assert_array_equal(grid.owner(x + 0.999, y + 0.999), expected)


@given(grids())
def test_one_tile_is_what_the_arrays_say(grid):
    index = grid.count - 1
    tile = grid.tile(index)

    assert tile.window == tuple(grid.windows([index])[0])
    assert tile.core == tuple(grid.cores([index])[0])
    assert tile.row * grid.columns + tile.column == index


def test_owner_of_a_position_outside_is_the_nearest_tile():
    grid = Grid(500, 500, 100, 10)

    assert grid.owner([-5.0, 505.0], [-5.0, 505.0]).tolist() == [0, grid.count - 1]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((0, 5, 4, 1), "0 x 5"),
        ((5, -1, 4, 1), "5 x -1"),
        ((5, 5, 0, 0), "size is 0"),
        ((5, 5, 4, -1), "overlap by -1"),
        ((5, 5, 4, 4), "overlap by 4"),
    ],
)
def test_bad_values_are_refused_by_name(values, named):
    with pytest.raises(ValueError, match=named):
        Grid(*values)


@pytest.mark.parametrize("index", [-1, 25])
def test_no_such_tile(index):
    with pytest.raises(IndexError, match=f"{index} .*25 tiles"):
        Grid(450, 450, 100, 10).tile(index)


@given(grids(), st.data())
def test_tiles_come_in_the_order_of_their_numbers(grid, data):
    numbers = data.draw(st.lists(st.integers(0, grid.count - 1), max_size=9))

    found = list(grid.iter_tiles(numbers))

    assert found == [grid.tile(number) for number in numbers]
    assert [tile.index for tile in found] == numbers
    assert [tile.row * grid.columns + tile.column for tile in found] == numbers


@pytest.mark.parametrize("at_once", [1, 5, 6, 15, 100])
def test_tiles_are_worked_out_a_few_at_a_time_and_each_once(monkeypatch, at_once):
    monkeypatch.setattr(tiles, "_TILES_PER_BATCH", at_once)
    grid = Grid(40, 60, 16, 4)

    found = list(grid.iter_tiles(range(grid.count)))

    assert [tile.index for tile in found] == list(range(15))
    assert [tile.window for tile in found] == [tuple(w) for w in grid.windows(range(15)).tolist()]
    assert [tile.core for tile in found] == [tuple(c) for c in grid.cores(range(15)).tolist()]
    with pytest.raises(IndexError, match="15 do not all exist: the grid has 15 tiles"):
        list(grid.iter_tiles([0, 15]))
