"""Tests of band statistics against those of training: only contradictions give a warning."""

import itertools

import numpy as np
import pytest

from swath.raster.radiometry.comparison import MAX_PROFILES, TrainingStatistics, compare
from swath.raster.radiometry.profile import compute_profile
from swath.raster.radiometry.sampling import SampleGrid

NAMES = ("blue", "green", "red", "nir")
SIDE = 300
LIGHTS = range(6)


def landscape(seed, *, side=SIDE, scale=1.0, offset=0.0):
    """Return water and land (4, rows, cols), float32: smooth shapes, brightness by seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(side // 20 + 2,) * 2)
    shape = np.kron(coarse, np.ones((20, 20)))[:side, :side] + 0.1 * rng.normal(size=(side, side))
    land = np.clip(shape + 0.3, 0, None)[None]
    color = np.array([500, 650, 700, 2400])[:, None, None] * rng.uniform(0.8, 1.25)
    water = np.array([900, 700, 350, 120])[:, None, None] * rng.uniform(0.8, 1.25)
    grain = rng.normal(size=(4, side, side)) * np.array([10, 14, 22, 60])[:, None, None]
    return ((water + land * color + grain) * scale + offset).astype(np.float32)


def samples(pixels, valid=None):
    _, height, width = pixels.shape
    sample_grid = SampleGrid.for_scene(width, height)
    return sample_grid.sample(pixels, valid, (0, 0), (0, 0, width, height)), sample_grid.stride


def said(pixels, expected, valid=None, names=NAMES):
    found, stride = samples(pixels, valid)
    return compare(found, expected, names, stride=stride, scene="x.tif")


@pytest.fixture(scope="module")
def expected():
    return TrainingStatistics.from_profiles(
        [compute_profile(samples(landscape(seed))[0]) for seed in LIGHTS]
    )


@pytest.mark.parametrize("seed", range(20, 30))
def test_a_scene_like_those_of_training_has_no_warning(expected, seed):
    assert said(landscape(seed), expected) == []


@pytest.mark.parametrize("seed", range(20, 24))
@pytest.mark.parametrize(
    ("scale", "offset"),
    [(6.5535, 0), (1 / 6.5535, 0), (1e-4, 0), (1 / 257, 0), (1, -3000), (1, 9e3)],
)
def test_another_unit_is_said_with_both_readings(expected, seed, scale, offset):
    pixels = landscape(seed, scale=scale, offset=offset)

    (warning,) = said(pixels, expected)

    median = float(np.median(samples(pixels)[0].values[0]))
    assert warning.startswith(f"blue: median {float(f'{median:.4g}'):.10g}, the model was trained ")
    assert "x.tif seems to be in another unit" in warning
    assert "gdal_edit.py -scale" in warning


def test_one_band_in_another_unit_is_said(expected):
    pixels = landscape(20)
    pixels[3] *= 0.1

    (warning,) = said(pixels, expected)

    assert warning.startswith("nir: median ")
    assert "blue" not in warning


@pytest.mark.parametrize("pair", list(itertools.combinations(range(4), 2)))
@pytest.mark.parametrize("seed", range(20, 24))
def test_two_bands_that_are_exchanged_are_named(expected, pair, seed):
    order = list(range(4))
    order[pair[0]], order[pair[1]] = order[pair[1]], order[pair[0]]

    (warning,) = said(landscape(seed)[order], expected)

    for one, other in (pair, pair[::-1]):
        assert f"{NAMES[one]} resembles {NAMES[other]}" in warning


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (1, 2, 3, 0), (2, 0, 1, 3)])
def test_so_are_more_than_two(expected, order):
    (warning,) = said(landscape(20)[list(order)], expected)

    assert all(
        f"{name} resembles" in warning for place, name in enumerate(NAMES) if order[place] != place
    )


def test_where_too_little_is_valid_nothing_is_said(expected):
    pixels = landscape(20, scale=1e-4)
    few = np.zeros((SIDE, SIDE), bool)
    few[:250, :250] = True

    assert said(pixels, expected, few) == []
    assert said(pixels[:, :200, :200], expected) == []
    assert said(pixels, expected, np.zeros((SIDE, SIDE), bool)) == []
    pixels[2] = np.nan
    assert said(pixels, expected) == []


def test_a_band_alone_has_its_unit_compared():
    one = TrainingStatistics.from_profiles(
        [compute_profile(samples(landscape(seed)[:1])[0]) for seed in LIGHTS]
    )

    assert said(landscape(20)[:1], one, names=("blue",)) == []
    assert len(said(landscape(20)[:1] / 100, one, names=("blue",))) == 1


def test_of_one_scene_a_little_is_known():
    one = TrainingStatistics.from_profiles([compute_profile(samples(landscape(0))[0])])

    assert said(landscape(20), one) == []
    assert len(said(landscape(20, scale=0.1), one)) == 1


def test_decibels_have_no_ratios():
    """Check numbers below and near 0, as SAR's decibels are."""
    lights = [np.log10(landscape(seed)[:2].clip(1)) * 10 - 33 for seed in (*LIGHTS, 20)]
    known = TrainingStatistics.from_profiles(
        [compute_profile(samples(light)[0]) for light in lights[:-1]]
    )

    assert said(lights[-1], known, names=("vv", "vh")) == []
    assert len(said(10 ** (lights[-1] / 10), known, names=("vv", "vh"))) == 1


def test_bands_of_one_value_are_no_trouble(expected):
    flat = np.full((4, SIDE, SIDE), 700, np.float32)

    assert all("\n" not in text for text in said(flat, expected))
    known = TrainingStatistics.from_profiles([compute_profile(samples(flat)[0])] * 3)
    assert said(flat, known) == []
    assert len(said(flat * 100, known)) == 1


def test_a_package_holds_the_scenes_that_differ_most():
    profiles = [compute_profile(samples(landscape(seed, side=120))[0]) for seed in range(12)]
    many = [*profiles, *profiles[:1] * MAX_PROFILES]

    found = TrainingStatistics.from_profiles(many)

    assert found.scenes == len(many)
    assert len(found.profiles) == MAX_PROFILES
    assert all(profile in found.profiles for profile in profiles)
    assert found.is_complete_for(4)
    assert not found.is_complete_for(5)
