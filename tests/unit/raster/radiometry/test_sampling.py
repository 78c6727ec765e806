import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.raster.radiometry.profile import Relations, compute_profile
from swath.raster.radiometry.sampling import MAX_SAMPLES, SampleGrid, Samples
from swath.raster.tiles import Grid


def pixels(width, height, bands=3, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.gamma(2, 900, (bands, height, width)) + 100 * np.arange(bands)[:, None, None]
    ).astype(np.uint16)


def taken(shown, grid, sample_grid, valid=None):
    """Return the samples of each tile."""
    parts = []
    for number in range(grid.count):
        tile = grid.tile(number)
        x, y, width, height = tile.window
        window = slice(y, y + height), slice(x, x + width)
        parts.append(
            sample_grid.sample(
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
    """Check that tiles take the whole scene's samples, and so does any partition into shards."""
    shown = pixels(width, height, seed=seed)
    rng = np.random.default_rng(seed)
    valid = rng.random((height, width)) < 0.8
    sample_grid = SampleGrid(stride)
    whole = sample_grid.sample(shown, valid, (0, 0), (0, 0, width, height)).sorted()

    parts = taken(shown, Grid(width, height, size, overlap), sample_grid, valid)
    found = Samples.concatenate([parts[place] for place in rng.permutation(len(parts))], 3).sorted()

    assert np.array_equal(found.values, whole.values, equal_nan=True)
    known = ~np.isnan(found.neighbors)
    assert np.array_equal(found.neighbors[known], whole.neighbors[known])
    assert np.array_equal(np.isnan(whole.neighbors), ~known)


@given(st.integers(1, 200_000), st.integers(1, 200_000))
def test_samples_are_few_whatever_the_scene(width, height):
    stride = SampleGrid.for_scene(width, height).stride

    across, down = -(-width // stride), -(-height // stride)
    # Rounding up adds at most one column and one row.
    assert (across - 1) * (down - 1) <= MAX_SAMPLES


def test_what_is_not_valid_is_nan():
    shown = np.array([[[1.0, np.nan, 3.0, np.inf]], [[1.0, 2.0, 3.0, 4.0]]], np.float32)
    valid = np.array([[True, True, False, True]])

    found = SampleGrid(1).sample(shown, valid, (0, 0), (0, 0, 4, 1))

    np.testing.assert_array_equal(found.values, [[1, np.nan, np.nan], [1, 2, 4]])
    np.testing.assert_array_equal(found.neighbors, [[np.nan] * 3, [2, np.nan, np.nan]])
    np.testing.assert_array_equal(found.complete().values, [[1], [1]])


def test_validity_may_differ_by_band():
    valid = np.array([[[True, False]], [[False, False]]])

    found = SampleGrid(1).sample(np.ones((2, 1, 2), np.uint8), valid, (0, 0), (0, 0, 2, 1))

    np.testing.assert_array_equal(found.values, [[1], [np.nan]])


def test_samples_survive_as_bytes():
    found = SampleGrid(2).sample(pixels(9, 9), None, (0, 0), (0, 0, 9, 9))

    again = Samples.from_bytes(found.to_bytes(), 3)

    assert np.array_equal(again.values, found.values)
    assert np.array_equal(again.neighbors, found.neighbors, equal_nan=True)


@pytest.mark.parametrize(
    "data", [b"", b"\x93NUMPY", b"PK\x03\x04", b"x" * 200, Samples.empty(2).to_bytes()[:-9]]
)
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError, match=r"magic|read all|samples of|EOF"):
        Samples.from_bytes(data, 3)


def test_samples_of_other_bands_are_refused():
    with pytest.raises(ValueError, match="not samples of 4 bands"):
        Samples.from_bytes(Samples.empty(3).to_bytes(), 4)


@given(st.permutations(range(4)))
def test_a_profile_follows_a_permutation_of_the_bands(order):
    shown = pixels(60, 50, bands=4)
    sample_grid = SampleGrid(1)
    core = (0, 0, 60, 50)
    straight = compute_profile(sample_grid.sample(shown, None, (0, 0), core))

    permuted = compute_profile(sample_grid.sample(shown[order], None, (0, 0), core))

    assert permuted.percentiles == [straight.percentiles[band] for band in order]
    expected = Relations.from_profile(straight).permuted(order).features()
    for one, other in zip(Relations.from_profile(permuted).features(), expected, strict=True):
        assert one == pytest.approx(other, abs=2e-3)


def test_a_profile_does_not_depend_on_the_order_of_samples():
    found = SampleGrid(1).sample(pixels(60, 50), None, (0, 0), (0, 0, 60, 50))
    order = np.random.default_rng(0).permutation(len(found))

    shuffled = Samples(found.values[:, order], found.neighbors[:, order])

    assert compute_profile(shuffled) == compute_profile(found)
