"""Tests of ownership against direct searches among the ends, starts and core borders of tiles."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.detection.stitching.ownership import Axis
from swath.raster.tiles import Grid


@st.composite
def axes(draw):
    size = draw(st.integers(4, 64))
    overlap = draw(st.integers(0, size - 1))
    length = draw(st.integers(1, size + 6 * (size - overlap)))
    which = draw(st.integers(0, 1))
    width, height = (length, 50) if which == 0 else (50, length)
    grid = Grid(width=width, height=height, size=size, overlap=overlap)
    margin = draw(st.sampled_from([0.0, 2.0]))
    return Axis.from_grid(grid, which, tolerance=margin, jitter=margin), float(length)


def seen(axis, length, rows):
    """Return the intervals of `rows` as tiles see them: low ends, high ends and positions."""
    low, high, position = [], [], []
    for start, end in rows:
        ends = sorted((start * length, end * length))
        for at in range(axis.count):
            view = max(ends[0], axis.starts[at]), min(ends[1], axis.ends[at])
            if view[0] < view[1]:
                low.append(view[0])
                high.append(view[1])
                position.append(at)
    return np.array(low), np.array(high), np.array(position, np.int64)


intervals = st.lists(
    st.tuples(st.integers(0, 64), st.integers(0, 64)).map(lambda r: (r[0] / 64, r[1] / 64)),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(axis=axes(), rows=intervals)
def test_the_arithmetic_is_a_search(axis, rows):
    axis, length = axis
    low, high, position = seen(axis, length, rows)
    jitter, clear = axis.jitter, axis.tolerance + axis.jitter
    # The searches use the given intervals, and the intervals moved by the jitter in both
    # directions.
    firsts, lasts, cores = zip(
        *(searched(axis, low + shift, high + shift) for shift in (-jitter, 0, jitter)), strict=True
    )
    first, last = firsts[1], lasts[1]
    lowest, owner, highest = (
        np.minimum(np.maximum(core, first), last)
        for core, first, last in zip(cores, firsts, lasts, strict=True)
    )
    is_truncated, may_be_truncated = first > last, firsts[2] > lasts[0]
    is_ambiguous = ~is_truncated & (may_be_truncated | (lowest < highest))

    ownership = axis.classify(low, high, position)

    np.testing.assert_array_equal(ownership.is_truncated, is_truncated)
    np.testing.assert_array_equal(ownership.is_whole, (first <= position) & (position <= last))
    np.testing.assert_array_equal(ownership.owner, np.where(is_truncated, position, owner))
    np.testing.assert_array_equal(ownership.is_not_owned, ~is_truncated & (owner != position))
    np.testing.assert_array_equal(ownership.may_be_truncated, may_be_truncated)
    np.testing.assert_array_equal(ownership.is_ambiguous, is_ambiguous)
    np.testing.assert_array_equal(
        ownership.is_reported, may_be_truncated | ((lowest <= position) & (position <= highest))
    )
    np.testing.assert_array_equal(
        ownership.open_low, is_ambiguous | (low - clear <= axis.starts[position])
    )
    np.testing.assert_array_equal(
        ownership.open_high, is_ambiguous | (high + clear >= axis.ends[position])
    )


def searched(axis, low, high):
    """Return the first and last positions of the intervals' tiles, and those of the cores."""
    first = np.searchsorted(axis.ends, high + axis.tolerance, side="right")
    last = np.searchsorted(axis.starts, low - axis.tolerance, side="left") - 1
    core = np.searchsorted(axis.borders[1:-1], (low + high) / 2, side="right")
    # The first and the last position bound the result, however the interval is moved.
    return np.minimum(first, axis.count - 1), np.maximum(last, 0), core


@settings(max_examples=200, deadline=None)
@given(axis=axes(), rows=intervals)
def test_surely_owned_intervals_are_reported_without_flags(axis, rows):
    axis, length = axis
    low, high, position = seen(axis, length, rows)

    sure, ownership = axis.is_surely_owned(low, high, position), axis.classify(low, high, position)

    assert ownership.is_reported[sure].all()
    assert not (ownership.may_be_truncated | ownership.is_ambiguous | ownership.is_not_owned)[
        sure
    ].any()


@settings(max_examples=200, deadline=None)
@given(axis=axes(), rows=intervals)
def test_every_interval_is_reported_by_a_tile_and_by_its_owner(axis, rows):
    axis, length = axis
    for row in rows:
        low, high, position = seen(axis, length, [row])
        ownership = axis.classify(low, high, position)
        assert ownership.is_reported.any() or not len(low)
        assert ownership.is_reported[ownership.owner == position].all()


def test_a_reach_is_of_all_windows_that_are_met():
    axis = Axis.from_grid(
        Grid(width=160, height=50, size=64, overlap=16), 0, tolerance=0.0, jitter=0.0
    )  # windows 0-64, 48-112, 96-160

    low, high = np.array([0.0, 64.0, 70.0, 100.0]), np.array([48.0, 70.0, 90.0, 105.0])

    assert [r.tolist() for r in axis.touched_tiles(low, high)] == [[0, 0, 1, 1], [1, 1, 1, 2]]
