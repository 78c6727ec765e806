import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.raster.radiometry.profile import Relations, profile_of
from swath.raster.radiometry.sampling import MAX_SAMPLES, Lattice, Samples
from swath.raster.tiles import Grid


def pixels(width, height, bands=3, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.gamma(2, 900, (bands, height, width)) + 100 * np.arange(bands)[:, None, None]
    ).astype(np.uint16)


def taken(shown, grid, lattice, valid=None):
    """The samples of all tiles, one by one."""
    parts = []
    for number in range(grid.count):
        tile = grid.tile(number)
        x, y, width, height = tile.window
        window = slice(y, y + height), slice(x, x + width)
        parts.append(
            lattice.take(
                shown[:, *window], None if valid is None else valid[window], (x, y), tile.core
            )
        )
    return parts


@given(
    width=st.integers(20, 90),
    height=st.integers(20, 90),
    size=st.integers(8, 40),
    overlap=st.integers(1, 7),
    stride=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_tiles_take_what_the_whole_scene_would(width, height, size, overlap, stride, seed):
    """And so does any partition of them into shards, in any order."""
    shown = pixels(width, height, seed=seed)
    rng = np.random.default_rng(seed)
    valid = rng.random((height, width)) < 0.8
    lattice = Lattice(stride)
    whole = lattice.take(shown, valid, (0, 0), (0, 0, width, height)).sorted()

    parts = taken(shown, Grid(width, height, size, overlap), lattice, valid)
    found = Samples.join([parts[place] for place in rng.permutation(len(parts))], 3).sorted()

    assert np.array_equal(found.values, whole.values, equal_nan=True)
    known = ~np.isnan(found.neighbours)
    assert np.array_equal(found.neighbours[known], whole.neighbours[known])
    assert np.array_equal(np.isnan(whole.neighbours), ~known)


@given(st.integers(1, 200_000), st.integers(1, 200_000))
def test_samples_are_few_whatever_the_scene(width, height):
    stride = Lattice.over(width, height).stride

    across, down = -(-width // stride), -(-height // stride)
    # Rounding up adds a column and a row at most.
    assert (across - 1) * (down - 1) <= MAX_SAMPLES


def test_what_is_not_valid_is_nan():
    shown = np.array([[[1.0, np.nan, 3.0, np.inf]], [[1.0, 2.0, 3.0, 4.0]]], np.float32)
    valid = np.array([[True, True, False, True]])

    found = Lattice(1).take(shown, valid, (0, 0), (0, 0, 4, 1))

    np.testing.assert_array_equal(found.values, [[1, np.nan, np.nan], [1, 2, 4]])
    np.testing.assert_array_equal(found.neighbours, [[np.nan] * 3, [2, np.nan, np.nan]])
    np.testing.assert_array_equal(found.complete().values, [[1], [1]])


def test_validity_may_differ_by_band():
    valid = np.array([[[True, False]], [[False, False]]])

    found = Lattice(1).take(np.ones((2, 1, 2), np.uint8), valid, (0, 0), (0, 0, 2, 1))

    np.testing.assert_array_equal(found.values, [[1], [np.nan]])


def test_samples_survive_as_bytes():
    found = Lattice(2).take(pixels(9, 9), None, (0, 0), (0, 0, 9, 9))

    again = Samples.from_bytes(found.to_bytes(), 3)

    assert np.array_equal(again.values, found.values)
    assert np.array_equal(again.neighbours, found.neighbours, equal_nan=True)


@pytest.mark.parametrize(
    "data", [b"", b"\x93NUMPY", b"PK\x03\x04", b"x" * 200, Samples.none(2).to_bytes()[:-9]]
)
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError, match=r"magic|read all|samples of|EOF"):
        Samples.from_bytes(data, 3)


def test_samples_of_other_bands_are_refused():
    with pytest.raises(ValueError, match="no samples of 4 bands"):
        Samples.from_bytes(Samples.none(3).to_bytes(), 4)


@given(st.permutations(range(4)))
def test_a_profile_follows_a_permutation_of_the_bands(order):
    shown = pixels(60, 50, bands=4)
    lattice = Lattice(1)
    core = (0, 0, 60, 50)
    straight = profile_of(lattice.take(shown, None, (0, 0), core))

    permuted = profile_of(lattice.take(shown[order], None, (0, 0), core))

    assert permuted.percentiles == [straight.percentiles[band] for band in order]
    expected = Relations.of(straight).permuted(order).features()
    for one, other in zip(Relations.of(permuted).features(), expected, strict=True):
        assert one == pytest.approx(other, abs=2e-3)


def test_a_profile_does_not_depend_on_the_order_of_samples():
    found = Lattice(1).take(pixels(60, 50), None, (0, 0), (0, 0, 60, 50))
    order = np.random.default_rng(0).permutation(len(found))

    shuffled = Samples(found.values[:, order], found.neighbours[:, order])

    assert profile_of(shuffled) == profile_of(found)
