"""Grids of tiles for property tests."""

from hypothesis import strategies as st

from swath.raster.tiles import Grid


@st.composite
def grids(draw, longest=90):
    size = draw(st.integers(1, 40))
    side = st.integers(1, longest)
    return Grid(draw(side), draw(side), size, draw(st.integers(0, size - 1)))
