import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.models.runtimes.padding import bands_last, out_of_range_pixels, pad
from swath.models.scaling import Scale, ZScore, finite_range


def side_by_side(pixels):
    """Return the same pixels (bands, rows, cols), with the bands of a pixel adjacent in memory."""
    return np.ascontiguousarray(pixels.transpose(1, 2, 0)).transpose(2, 0, 1)


LAYOUTS = [np.ascontiguousarray, side_by_side]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("valid", [None, np.ones((4, 4), bool)])
def test_a_whole_tile_is_not_copied(layout, dtype, valid):
    pixels = layout(np.arange(48).reshape(3, 4, 4).astype(dtype))

    assert pad(pixels, valid, size=4, fill_value=0) is pixels


@pytest.mark.parametrize(
    ("layout", "strides"), [(LAYOUTS[0], (16, 4, 1)), (LAYOUTS[1], (1, 12, 3))]
)
def test_the_layout_stays(layout, strides):
    pixels = layout(np.ones((3, 2, 3), np.uint8))

    assert pad(pixels, None, size=4, fill_value=0).strides == strides


@pytest.mark.parametrize(("layout", "expected"), [(LAYOUTS[0], False), (LAYOUTS[1], True)])
@pytest.mark.parametrize("shape", [(3, 2, 5), (3, 5, 2), (2, 3, 3)])
def test_where_the_bands_of_a_pixel_lie(layout, expected, shape):
    assert bands_last(layout(np.ones(shape, np.uint16))) is expected


@pytest.mark.parametrize(
    ("dtype", "fill", "expected"),
    [
        (np.uint8, 0, np.uint8),
        (np.uint8, 255, np.uint8),
        (np.uint8, 256, np.float32),
        (np.uint8, -1, np.float32),
        (np.uint8, 0.5, np.float32),
        (np.int16, -9999, np.int16),
        (np.float16, 0.5, np.float16),
        (np.float16, 0.1, np.float32),
        (np.float32, 0.1, np.float32),
        (np.float64, 0.1, np.float32),
    ],
)
def test_the_scenes_numbers_stay_where_they_hold_the_fill_value(dtype, fill, expected):
    valid = np.array([[True, False]])

    tile = pad(np.array([[[7, 9]]], dtype), valid, size=2, fill_value=fill)

    assert tile.dtype == expected
    assert tile[0].tolist() == [[7, np.float32(fill)], [np.float32(fill)] * 2]


def test_what_is_not_finite_is_filled_band_by_band():
    pixels = np.array([[[np.nan, 1]], [[5, 1e300]]])

    assert pad(pixels, None, size=2, fill_value=3)[:, 0].tolist() == [[3, 1], [5, 3]]
    assert np.isnan(pixels[0, 0, 0])  # the reader's array does not change


def test_what_float32_cannot_hold_once_it_is_scaled_is_filled_band_by_band():
    limits = finite_range([Scale(value=1e-3), None])
    pixels = np.array([[[1e36, 1], [-1e36, 2]], [[1e36, 1], [-1e36, np.inf]]], np.float32)

    tile = pad(pixels, None, size=2, fill_value=3, limits=limits)

    assert tile.tolist() == [[[3, 1], [3, 2]], [[np.float32(1e36), 1], [np.float32(-1e36), 3]]]
    where = out_of_range_pixels(pixels, pixels, np.array([[True, True], [False, True]]), limits)
    assert where.tolist() == [[[True, False], [False, False]], [[False] * 2] * 2]


@pytest.mark.parametrize(("stddev", "kept"), [(1.0, True), (1e-30, False)])
def test_integers_are_within_reach_as_a_whole_or_looked_at(stddev, kept):
    limits = finite_range([ZScore(mean=0, stddev=stddev)])
    pixels = np.array([[[2**31 - 1]]], np.int32)

    assert pad(pixels, None, size=1, fill_value=0, limits=limits).item() == (2**31 - 1) * kept
    assert (out_of_range_pixels(pixels, pixels, None, limits) is None) is kept


@given(
    rows=st.integers(1, 6),
    cols=st.integers(1, 6),
    dtype=st.sampled_from([np.uint8, np.int32, np.float32, np.float64]),
    fill=st.sampled_from([0, 3, -2, 0.25]),
    layout=st.sampled_from(LAYOUTS),
    masked=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_pixels_stay_and_all_else_is_filled(rows, cols, dtype, fill, layout, masked, seed):
    rng = np.random.default_rng(seed)
    pixels = layout(rng.integers(0, 100, (2, rows, cols)).astype(dtype))
    valid = rng.random((rows, cols)) < 0.5 if masked else None

    tile = pad(pixels, valid, size=6, fill_value=fill)

    expected = np.full((2, 6, 6), fill, np.float32)
    shown = np.ones((rows, cols), bool) if valid is None else valid
    expected[:, :rows, :cols][:, shown] = pixels[:, shown]
    assert tile.shape == (2, 6, 6)
    np.testing.assert_array_equal(tile.astype(np.float32), expected)
