"""Tests of resampling: GDAL's warper has the same pixels and masks, and no window matters."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.raster.assets import resample as resample_module
from swath.raster.assets.alignment import Alignment, align
from swath.raster.assets.resample import Resampler
from swath.raster.scene_info import PixelWindow
from swath.raster.validity import Validity, combine
from tests.helpers.warping import METHODS, UTM_33, Affine, image, is_wide, random_pair, warped

PAIRS = 200
TOLERANCE = 1e-6
"""Largest error as a share of the largest value, as values cancel each other in float32."""


def resample(
    resampler: Resampler, pair, window: PixelWindow | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Resample a pair's asset to a window, and return the pixels and the mask of the band."""
    window = window or (0, 0, pair.grid.width, pair.grid.height)
    shape = (window[3], window[2])
    out = np.full((1, *shape), np.nan, np.float64 if is_wide(pair.pixels.dtype) else np.float32)
    source = resampler.source_window(window)
    if source is None:
        return np.zeros(shape), np.zeros(shape, bool)
    x, y, width, height = source
    part = np.s_[y : y + height, x : x + width]
    masks = [] if pair.mask is None else [pair.mask[part]]
    pixels = pair.pixels[None][:, *part]
    valid = combine(pixels, masks, [pair.nodata], masked=bool(masks))
    known = resampler.resample(pixels, valid, window, out)
    return out[0], known.band_mask(0, shape)


def positions(alignment: Alignment, pair):
    """Return the centers of the grid's px in asset px: rows (n, 1) and columns (n,)."""
    across = (np.arange(pair.grid.width) + 0.5) * alignment.x.scale + alignment.x.offset
    down = (np.arange(pair.grid.height) + 0.5) * alignment.y.scale + alignment.y.offset
    return down[:, None], across


def only_touches(alignment: Alignment, pair):
    """Return which px of the grid share an edge with the asset, but no area."""
    touching = []
    for axis, count in ((alignment.y, pair.grid.height), (alignment.x, pair.grid.width)):
        edges = np.arange(count + 1) * axis.scale + axis.offset
        touching.append((np.abs(edges[1:]) < 1e-6) | (np.abs(edges[:-1] - axis.size) < 1e-6))
    return touching[0][:, None] | touching[1]


def is_on_a_center(alignment: Alignment, pair):
    """Return which px of the grid lie on the center of a pixel of the asset, along any axis.

    There GDAL's rounding decides which 4 x 4 pixels it tests for gaps.
    """
    down, across = positions(alignment, pair)
    near = [np.abs((one - 0.5) - np.round(one - 0.5)) < 1e-6 for one in (down, across)]
    return near[0] | near[1]


@pytest.mark.parametrize("method", METHODS)
def test_random_pairs_have_the_pixels_and_masks_of_gdal(method):
    compared = 0
    for seed in range(PAIRS):
        pair = random_pair(seed)
        alignment = align(pair.asset, pair.grid)
        resampler = Resampler.from_method(alignment, method)
        values, valid = resample(resampler, pair)
        expected, expected_valid = warped(
            pair.pixels, pair.asset, pair.grid, method, nodata=pair.nodata, mask=pair.mask
        )
        decided = np.ones(valid.shape, bool)
        if method == "average":
            decided = ~only_touches(alignment, pair)
        np.testing.assert_array_equal(valid[decided], expected_valid[decided], f"seed {seed}")
        if resampler.kernel == "cubic4":
            decided &= ~is_on_a_center(alignment, pair)
        both = valid & decided
        tolerance = (
            0 if method == "nearest" else TOLERANCE * np.abs(pair.pixels.astype(float)).max()
        )
        np.testing.assert_allclose(
            values[both], expected[both], rtol=0, atol=tolerance, err_msg=f"seed {seed}"
        )
        compared += np.count_nonzero(both)
    assert compared > 200_000


@pytest.mark.parametrize("method", METHODS)
def test_positive_values_agree_with_gdal_in_each_digit_of_float32(method):
    pixels = np.random.default_rng(5).integers(1, 10_000, (64, 64)).astype("uint16")
    for ratio in (1 / 6, 1 / 2, 1 / 3, 2, 3.5):
        if method == "cubic" and ratio < 1:
            continue  # its negative weights cancel digits
        asset = image(64, 64, Affine(20, 0, 0, 0, -20, 0))
        grid = image(100, 90, Affine(20 * ratio, 0, 40, 0, -20 * ratio, -60))
        pair = type(random_pair(0))(pixels, asset, grid, None, None)
        values, valid = resample(Resampler.from_method(align(asset, grid), method), pair)
        expected, _ = warped(pixels, asset, grid, method)
        np.testing.assert_allclose(values[valid], expected[valid], rtol=1e-6)


@given(seed=st.integers(0, 10_000), method=st.sampled_from(METHODS), data=st.data())
def test_a_pixel_is_bitwise_the_same_in_every_window(seed, method, data):
    pair = random_pair(seed)
    resampler = Resampler.from_method(align(pair.asset, pair.grid), method)
    whole, whole_valid = resample(resampler, pair)
    x = data.draw(st.integers(0, pair.grid.width - 1))
    y = data.draw(st.integers(0, pair.grid.height - 1))
    width = data.draw(st.integers(1, pair.grid.width - x))
    height = data.draw(st.integers(1, pair.grid.height - y))

    values, valid = resample(resampler, pair, (x, y, width, height))

    part = np.s_[y : y + height, x : x + width]
    np.testing.assert_array_equal(valid, whole_valid[part])
    np.testing.assert_array_equal(values[valid], whole[part][valid])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ratio", [1 / 2, 1 / 6, 2, 1.7])
def test_bands_have_their_own_gaps(method, ratio):
    rng = np.random.default_rng(1)
    pixels = rng.integers(1, 99, (3, 40, 50)).astype("uint8")
    pixels[1][rng.random((40, 50)) < 0.3] = 0
    asset = image(50, 40, Affine(10, 0, 0, 0, -10, 0))
    grid = image(40, 30, Affine(10 * ratio, 0, 13, 0, -10 * ratio, -7))
    resampler = Resampler.from_method(align(asset, grid), method)
    window = (0, 0, 40, 30)
    x, y, width, height = resampler.source_window(window)
    part = pixels[:, y : y + height, x : x + width]
    out = np.empty((3, 30, 40), np.float32)

    valid = resampler.resample(part, combine(part, [], [0, 0, 0], masked=False), window, out)

    for band in range(3):
        expected, known = warped(pixels[band], asset, grid, method, nodata=0)
        np.testing.assert_array_equal(valid.band_mask(band, (30, 40)), known)
        np.testing.assert_allclose(out[band][known], expected[known], rtol=0, atol=99e-6)
    assert valid.pixels is None or valid.pixels[valid.bands.any(axis=0)].all()


@given(
    method=st.sampled_from(METHODS),
    ratio=st.sampled_from([1 / 6, 1 / 2, 1, 2, 1.7]),
    box=st.tuples(*[st.integers(0, 39)] * 2, *[st.integers(1, 12)] * 2),
    shared=st.booleans(),
    shift=st.sampled_from([0, 5, -13]),
)
def test_a_gap_changes_no_pixel_outside_the_box_that_it_enters(method, ratio, box, shared, shift):
    rng = np.random.default_rng(1)
    left, top, width, height = box
    pixels = rng.integers(1, 99, (2, 40, 50)).astype("float32")
    gap = np.s_[slice(2) if shared else 1, top : top + height, left : left + width]
    pixels[gap] = np.nan
    asset = image(50, 40, Affine(10, 0, 0, 0, -10, 0))
    grid = image(90, 70, Affine(10 * ratio, 0, shift, 0, -10 * ratio, -shift))
    resampler = Resampler.from_method(align(asset, grid), method)
    window = (0, 0, 90, 70)
    x, y, width, height = resampler.source_window(window)
    part = pixels[:, y : y + height, x : x + width]
    valid = combine(part, [], [None, None], masked=False)
    results = []
    for share in (0.7, 0):
        out = np.empty((2, 70, 90), np.float32)
        with mock.patch.object(resample_module, "_MAX_BOX_SHARE", share):
            known = resampler.resample(part, valid, window, out)
        masks = [known.band_mask(band, (70, 90)) for band in range(2)]
        results.append((out, np.stack(masks), known.pixel_mask((70, 90))))

    (out, masks, pixel_mask), (expected, expected_masks, expected_pixel_mask) = results
    np.testing.assert_array_equal(masks, expected_masks)
    np.testing.assert_array_equal(pixel_mask, expected_pixel_mask)
    np.testing.assert_array_equal(out[masks], expected[masks])


def test_not_a_number_does_not_spread():
    pixels = np.full((1, 8, 8), 5, np.float32)
    pixels[0, 3, 3] = np.nan
    asset, grid = (image(n, n, Affine(s, 0, 0, 0, -s, 0)) for n, s in ((8, 20), (16, 10)))
    for method in METHODS:
        resampler = Resampler.from_method(align(asset, grid), method)
        out = np.empty((1, 16, 16), np.float32)
        valid = resampler.resample(
            pixels, combine(pixels, [], [None], masked=False), (0, 0, 16, 16), out
        )
        mask = valid.band_mask(0, (16, 16))
        assert np.count_nonzero(~mask) == 4
        np.testing.assert_allclose(out[0][mask], 5, rtol=1e-6)


def test_outside_the_asset_no_pixel_is_valid():
    asset = image(10, 10, Affine(20, 0, 0, 0, -20, 0), UTM_33)
    grid = image(60, 60, Affine(10, 0, -100, 0, 10 * -1, 100), UTM_33)
    resampler = Resampler.from_method(align(asset, grid), "bilinear")
    assert resampler.source_window((0, 0, 10, 10)) is None
    assert resampler.source_window((40, 0, 10, 60)) is None
    out = np.full((1, 60, 60), np.nan, np.float32)
    pixels = np.ones((1, 10, 10), np.uint8)

    valid = resampler.resample(pixels, Validity(), (0, 0, 60, 60), out)

    assert valid.pixels[10:30, 10:30].all()
    assert np.count_nonzero(valid.pixels) == 400
    np.testing.assert_array_equal(out[0], valid.pixels.astype(np.float32))
