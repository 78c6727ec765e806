"""Property tests of the shard layout: shards partition the tiles of any scene."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.pipeline.shard_layout import ShardLayout
from swath.raster.tiles import Grid
from tests.helpers.grids import grids


@st.composite
def layouts(draw):
    grid = draw(grids())
    size, limit, widest = (draw(st.integers(1, most)) for most in (60, 30, 40))
    whole_rows = draw(st.booleans())
    return (
        grid,
        size,
        limit,
        ShardLayout.for_grid(
            grid, max_tiles=size, max_rectangles=limit, max_columns=widest, whole_rows=whole_rows
        ),
    )


@given(layouts())
def test_rectangles_partition_the_tiles(case):
    grid, size, limit, layout = case

    tiles = [layout.tiles(number) for number in range(layout.count)]

    assert sorted(np.concatenate(tiles).tolist()) == list(range(grid.count))
    assert layout.count <= limit
    assert layout.count == 1 or len(tiles[0]) <= max(size, 2 * -(-grid.count // limit))
    for number, held in enumerate(tiles):
        assert np.all(np.diff(held) > 0)
        assert np.all(layout.rectangle_numbers(held) == number)


@given(layouts())
def test_a_rectangle_is_one(case):
    grid, _, _, layout = case

    rows, columns = np.divmod(layout.tiles(layout.count - 1), grid.columns)

    assert len(rows) == len(set(rows)) * len(set(columns))
    assert np.ptp(rows) + 1 == len(set(rows))
    assert np.ptp(columns) + 1 == len(set(columns))


def test_rectangles_are_nearly_square_and_not_too_wide():
    grid = Grid(64_000, 64_000, 512, 64)

    small = ShardLayout.for_grid(grid, max_tiles=32, max_rectangles=10_000, max_columns=64)
    large = ShardLayout.for_grid(grid, max_tiles=4096, max_rectangles=10_000, max_columns=40)

    assert (small.columns[1], small.rows[1]) == (5, 4)
    assert np.diff(large.columns).max() <= 40


def test_rectangles_of_a_scene_stored_in_rows_are_as_wide_as_they_may_be():
    grid = Grid(8192, 8192, 512, 64)

    layout = ShardLayout.for_grid(
        grid, max_tiles=40, max_rectangles=10_000, max_columns=64, whole_rows=True
    )

    assert layout.columns == (0, 19)
    assert layout.rows[1] == 1


@pytest.mark.parametrize(("size", "limit", "widest"), [(0, 9, 9), (9, 0, 9), (9, 9, 0)])
def test_shards_of_nothing_are_refused(size, limit, widest):
    with pytest.raises(ValueError, match="at least 1"):
        ShardLayout.for_grid(
            Grid(9, 9, 3, 0), max_tiles=size, max_rectangles=limit, max_columns=widest
        )


def test_no_such_rectangle():
    with pytest.raises(IndexError, match="no rectangle 1; the layout has 1"):
        ShardLayout((0, 3), (0, 3)).tiles(1)
