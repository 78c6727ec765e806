"""Tests of the block schedule: which blocks each window needs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swath.raster.reader.block_schedule import BlockGrid, schedule_block_rows


@st.composite
def windows(draw):
    """Return windows in any order, with duplicates."""
    one = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 30)] * 2)
    return np.array(draw(st.lists(one, min_size=1, max_size=20)), dtype=np.int64)


block_grids = st.builds(
    BlockGrid,
    x=st.just(0),
    y=st.just(0),
    block_width=st.integers(1, 40),
    block_height=st.integers(1, 40),
)


@given(windows(), block_grids)
def test_each_row_has_the_blocks_that_its_pixels_lie_in(windows, block_grid):
    needed = {}
    for tile, (x, y, width, height) in enumerate(windows.tolist()):
        for row in {py // block_grid.block_height for py in range(y, y + height)}:
            columns, tiles = needed.setdefault(row, (set(), []))
            columns |= {px // block_grid.block_width for px in range(x, x + width)}
            tiles.append(tile)

    rows = schedule_block_rows(block_grid.block_ranges(windows))

    assert {row.row: (set(row.columns), row.first_tile, row.last_tile) for row in rows} == {
        row: (columns, min(tiles), max(tiles)) for row, (columns, tiles) in needed.items()
    }


@given(windows(), block_grids)
def test_rows_come_in_the_order_in_which_they_are_needed(windows, block_grid):
    rows = schedule_block_rows(block_grid.block_ranges(windows))

    assert [row.first_tile for row in rows] == sorted(row.first_tile for row in rows)
    assert len({row.row for row in rows}) == len(rows)
    assert all(row.columns == sorted(row.columns) for row in rows)


def test_a_lattice_may_begin_anywhere():
    block_grid = BlockGrid(x=100, y=40, block_width=50, block_height=10)

    assert block_grid.block_ranges(np.array([[120, 45, 40, 10]])).tolist() == [[0, 1, 0, 1]]
