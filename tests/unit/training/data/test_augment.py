import dataclasses

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from swath.labels.objects import Objects
from swath.training.data.augment import AugmentOptions, augment
from swath.training.data.crop import NO_CLASS, Crop

SIDE = 48
STILL = {"gain": 0.0, "band_gain": 0.0, "shift": 0.0, "band_shift": 0.0, "noise": 0.0}
seeds = st.integers(0, 2**32)


def crop_of(boxes, *, bands=1, dtype=np.uint16, value=1000, side=SIDE):
    """Return a crop whose pixels are `value` in its boxes, of class 0, and 0 elsewhere."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    pixels = np.zeros((bands, side, side), dtype)
    labels = np.full((side, side), NO_CLASS, np.uint8)
    for x0, y0, x1, y1 in boxes.astype(int):
        pixels[:, y0:y1, x0:x1] = value
        labels[y0:y1, x0:x1] = 0
    return Crop(
        uri="x.tif",
        x=0,
        y=0,
        pixels=pixels,
        valid=np.ones((side, side), np.bool_),
        objects=Objects(
            boxes=boxes,
            classes=np.zeros(len(boxes), np.int64),
            crowd=np.zeros(len(boxes), np.bool_),
            outlines=shapely.box(*boxes.T),
        ),
        labels=labels,
    )


def extent(mask):
    """Return [x_min, y_min, x_max, y_max] in px of the True pixels of a mask (rows, cols)."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [cols[0], rows[0], cols[-1] + 1, rows[-1] + 1]


@st.composite
def one_box(draw):
    x0, y0 = draw(st.integers(0, SIDE - 8)), draw(st.integers(0, SIDE - 8))
    return [
        x0,
        y0,
        x0 + draw(st.integers(4, min(20, SIDE - x0))),
        y0 + draw(st.integers(4, min(20, SIDE - y0))),
    ]


@given(one_box(), seeds, st.booleans(), st.booleans())
def test_flips_and_turns_carry_everything_along_exactly(box, seed, flips, turns):
    crop = crop_of([box], bands=3)
    options = AugmentOptions(flips=flips, turns=turns, scaled=0.0, **STILL)

    changed = augment(crop, options, np.random.default_rng(seed))

    assert changed.pixels.dtype == np.uint16
    assert changed.pixels.flags.c_contiguous
    assert all(extent(band > 0) == changed.boxes[0].tolist() for band in changed.pixels)
    assert extent(changed.labels == 0) == changed.boxes[0].tolist()
    assert changed.outlines[0].equals(shapely.box(*changed.boxes[0]))
    assert np.count_nonzero(changed.pixels) == np.count_nonzero(crop.pixels)


def test_all_eight_positions_are_equally_likely():
    crop = crop_of([[1, 2, 5, 12]])
    options = AugmentOptions(scaled=0.0, **STILL)

    seen = [
        augment(crop, options, np.random.default_rng(seed)).pixels.tobytes() for seed in range(400)
    ]

    counts = [seen.count(position) for position in set(seen)]
    assert len(counts) == 8
    assert min(counts) > 25


@given(one_box(), seeds, st.floats(0.5, 2.0))
def test_zooming_carries_everything_along_to_within_a_pixel(box, seed, factor):
    crop = crop_of([box])
    options = AugmentOptions(scale=(factor, factor), scaled=1.0, **STILL)

    changed = augment(crop, options, np.random.default_rng(seed))

    assert changed.pixels.shape == crop.pixels.shape
    bright = (changed.pixels[0] > 500) & changed.valid
    if not len(changed.boxes):  # only a sliver is inside the edge
        assert not bright[2:-2, 2:-2].any()
        return
    (found,) = changed.boxes
    np.testing.assert_allclose(extent(bright), found, atol=1.01)
    np.testing.assert_allclose(extent(changed.labels == 0), found, atol=1.01)
    np.testing.assert_allclose(changed.outlines[0].bounds, found, atol=1e-9)


@given(seeds, st.floats(0.5, 1.0))
def test_zooming_out_shows_nothing_beyond_the_crop(seed, factor):
    options = AugmentOptions(scale=(factor, factor), scaled=1.0, **STILL)

    changed = augment(crop_of([[0, 0, SIDE, SIDE]]), options, np.random.default_rng(seed))

    np.testing.assert_allclose(changed.valid.sum(), (SIDE * factor) ** 2, atol=2.5 * SIDE)
    assert (changed.labels[~changed.valid] == NO_CLASS).all()
    assert (changed.labels[changed.valid] == 0).all()


@given(seeds, st.floats(0.5, 1.0), st.integers(8, 40))
def test_with_a_margin_zooming_out_shows_the_scene_everywhere(seed, smallest, size):
    options = AugmentOptions(scale=(smallest, 1.5), scaled=1.0, **STILL)
    side = size + 2 * options.margin(size)

    changed = augment(
        crop_of([[0, 0, side, side]], side=side), options, np.random.default_rng(seed), size=size
    )

    assert changed.pixels.shape == (1, size, size)
    assert changed.valid.all()


def test_without_a_zoom_the_middle_of_a_larger_crop_is_left():
    crop = crop_of([[20, 10, 30, 20]])
    options = AugmentOptions(flips=False, turns=False, scaled=0, **STILL)

    changed = augment(crop, options, np.random.default_rng(), size=20)

    assert np.array_equal(changed.pixels, crop.pixels[:, 14:34, 14:34])
    assert changed.boxes.tolist() == [[6, 0, 16, 6]]
    assert np.array_equal(changed.labels, crop.labels[14:34, 14:34])


@given(seeds, st.floats(0.6, 1.9))
def test_what_is_not_valid_colors_nothing_that_is(seed, factor):
    crop = crop_of([], dtype=np.float32, bands=2)
    crop.pixels[:] = 5
    crop.pixels[:, 10:20, 15:30] = np.nan
    crop.valid[10:20, 15:30] = False
    options = AugmentOptions(scale=(factor, factor), scaled=1.0, **STILL)

    changed = augment(crop, options, np.random.default_rng(seed))

    assert changed.pixels[:, changed.valid] == pytest.approx(5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_gains_multiply_bands_and_shifts_add_to_them(dtype):
    crop = crop_of([[0, 0, SIDE, SIDE]], bands=4, dtype=dtype, value=100)
    still = {"flips": False, "turns": False, "scaled": 0.0}

    def light(**amounts):
        options = AugmentOptions(**still, **(STILL | amounts))
        found = augment(crop, options, np.random.default_rng(3), stddevs=[10, 20, 30, 40]).pixels
        assert found.dtype == (np.float32 if amounts else dtype)
        assert (np.ptp(found, axis=(1, 2)) == 0).all()
        return found[:, 0, 0] - 100

    assert (light() == 0).all()
    common, own = light(gain=0.2), light(band_gain=0.2)
    assert np.ptp(common) == 0
    assert 0 < abs(common[0]) <= 100 * np.expm1(0.2)
    assert len(set(own)) == 4
    raised, apart = light(shift=0.5), light(band_shift=0.5)
    np.testing.assert_allclose(raised / raised[0], [1, 2, 3, 4], rtol=1e-5)
    assert 0 < abs(raised[0]) <= 5
    assert (np.abs(apart) <= np.multiply(0.5, [10, 20, 30, 40])).all()


def test_noise_is_as_strong_as_asked():
    crop = crop_of([], bands=2, dtype=np.float32, side=200)
    options = AugmentOptions(**(STILL | {"noise": 0.5, "scaled": 0.0}))

    found = augment(crop, options, np.random.default_rng(0), stddevs=[2, 8]).pixels

    np.testing.assert_allclose(found.std(axis=(1, 2)), [1, 4], rtol=0.02)


def test_without_statistics_the_crop_says_what_a_deviation_is():
    crop = crop_of([[0, 0, SIDE, SIDE // 2]], value=200, dtype=np.uint8)
    crop.valid[SIDE // 2 :] = False  # the valid half has one value
    options = AugmentOptions(**(STILL | {"shift": 1.0, "scaled": 0.0}))

    assert set(np.unique(augment(crop, options, np.random.default_rng(1)).pixels)) == {0, 200}


@given(one_box(), seeds)
def test_the_same_random_numbers_give_the_same_crop(box, seed):
    crop = crop_of([box], bands=2)
    before = crop.pixels.copy()
    options = AugmentOptions(noise=0.1, scaled=1.0)

    one, other = (augment(crop, options, np.random.default_rng(seed)) for _ in range(2))

    assert np.array_equal(one.pixels, other.pixels)
    assert np.array_equal(one.boxes, other.boxes)
    assert np.array_equal(crop.pixels, before)


def test_crops_with_boxes_alone_are_changed_alike():
    crop = crop_of([[5, 5, 20, 20]])
    plain = dataclasses.replace(crop, labels=None, objects=crop.objects.without_outlines())

    one = augment(crop, AugmentOptions(scaled=1.0), np.random.default_rng(4))
    other = augment(plain, AugmentOptions(scaled=1.0), np.random.default_rng(4))

    assert other.labels is None
    assert other.outlines is None
    np.testing.assert_allclose(one.boxes, other.boxes)


def test_factors_stand_in_order():
    with pytest.raises(ValueError, match=r"scale is \(2\.0, 1\.0\); give the smallest factor"):
        AugmentOptions(scale=(2.0, 1.0))
