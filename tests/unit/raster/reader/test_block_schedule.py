"""Which blocks are needed when."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swath.raster.reader.block_schedule import Lattice, schedule


@st.composite
def windows(draw):
    """Windows in any order, some of them the same."""
    one = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 30)] * 2)
    return np.array(draw(st.lists(one, min_size=1, max_size=20)), dtype=np.int64)


lattices = st.builds(
    Lattice, x=st.just(0), y=st.just(0), cols=st.integers(1, 40), rows=st.integers(1, 40)
)


@given(windows(), lattices)
def test_each_row_has_the_blocks_that_its_pixels_lie_in(windows, lattice):
    needed = {}
    for place, (x, y, width, height) in enumerate(windows.tolist()):
        for row in {py // lattice.rows for py in range(y, y + height)}:
            columns, places = needed.setdefault(row, (set(), []))
            columns |= {px // lattice.cols for px in range(x, x + width)}
            places.append(place)

    rows = schedule(lattice.spans(windows))

    assert {row.row: (set(row.columns), row.first, row.last) for row in rows} == {
        row: (columns, min(places), max(places)) for row, (columns, places) in needed.items()
    }


@given(windows(), lattices)
def test_rows_come_in_the_order_in_which_they_are_needed(windows, lattice):
    rows = schedule(lattice.spans(windows))

    assert [row.first for row in rows] == sorted(row.first for row in rows)
    assert len({row.row for row in rows}) == len(rows)
    assert all(row.columns == sorted(row.columns) for row in rows)


def test_a_lattice_may_begin_anywhere():
    lattice = Lattice(x=100, y=40, cols=50, rows=10)

    assert lattice.spans(np.array([[120, 45, 40, 10]])).tolist() == [[0, 1, 0, 1]]
