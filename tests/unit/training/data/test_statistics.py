import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from swath.errors import LabelsError
from swath.raster.assets.stack import BandNeeds
from swath.training.data import statistics, window_cache
from swath.training.data.statistics import PERCENTILES, BandHistogram, compute_band_statistics
from tests.helpers.label_files import collection, labeled

floats = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)
values = st.one_of(
    arrays(np.uint8, st.integers(1, 60)),
    arrays(np.int16, st.integers(1, 60)),
    arrays(np.uint16, st.integers(1, 60)),
    arrays(np.int32, st.integers(1, 60)),
    arrays(np.float32, st.integers(1, 60), elements=floats),
)


def counted(*parts):
    counts = BandHistogram(parts[0].dtype)
    for part in parts:
        counts.add(part, len(part))
    return counts


@given(values)
def test_percentiles_are_values_that_so_many_do_not_exceed(found):
    counts = counted(found)

    for percent in (0, 1, 50, 99, 100):
        expected = float(np.percentile(found.astype(np.float64), percent, method="inverted_cdf"))
        shown = counts.percentile(percent)
        exact = found.dtype.itemsize < 4
        assert shown == expected if exact else abs(shown - expected) <= abs(expected) / 500 + 1e-30


@given(values, st.integers(0, 60))
def test_parts_put_together_are_the_whole(found, cut):
    one, other = counted(found[:cut]), counted(found[cut:])
    one.merge(other)

    together, whole = one.statistics("b"), counted(found).statistics("b")

    assert (together.minimum, together.maximum) == (found.min(), found.max())
    assert together.percentiles == whole.percentiles
    scale = float(np.abs(found.astype(np.float64)).max())
    assert together.mean == pytest.approx(found.mean(dtype=np.float64), abs=1e-9 * scale)
    assert together.stddev == pytest.approx(found.std(dtype=np.float64), rel=1e-6, abs=1e-6 * scale)


def test_statistics_are_over_the_valid_pixels_of_all_scenes(make_scene):
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4000, (2, 40, 50), np.uint16)
    second = rng.integers(0, 9000, (2, 30, 20), np.uint16)
    first[0, :10] = 65535  # one band's nodata is a value of another band
    uris = [
        make_scene(first, name="a.tif", names=("red", "nir"), nodata=65535),
        make_scene(second, name="b.tif", names=("red", "nir"), mask=second[0] > 4500),
    ]
    found = collection(labeled(uris[0], 50, 40), labeled(uris[1], 20, 30))

    nir, red = compute_band_statistics(
        found,
        BandNeeds(("nir", "red")),
    )

    for band, number, valid in ((red, 0, first[0] != 65535), (nir, 1, first[1] != 65535)):
        expected = np.concatenate([first[number][valid], second[number][second[0] > 4500]])
        assert band.mean == pytest.approx(expected.mean())
        assert band.stddev == pytest.approx(expected.std())
        assert (band.minimum, band.maximum) == (expected.min(), expected.max())
        assert band.valid_percent == pytest.approx(100 * expected.size / 2600)
        assert band.percentiles == {
            percent: np.percentile(expected, percent, method="inverted_cdf")
            for percent in PERCENTILES
        }
    assert (nir.name, red.name) == ("nir", "red")


def test_numbers_that_are_none_do_not_count(make_scene):
    shown = np.array([[[1.0, np.nan], [np.inf, 3.0]]], np.float32)

    (band,) = compute_band_statistics(
        collection(labeled(make_scene(shown), 2, 2)), BandNeeds(("x",))
    )

    assert (band.mean, band.minimum, band.maximum, band.valid_percent) == (2, 1, 3, 50)


def test_statistics_do_not_depend_on_how_a_scene_is_read(make_scene, monkeypatch):
    shown = np.random.default_rng(1).normal(5, 2, (1, 90, 70)).astype(np.float32)
    scene = make_scene(shown, tiled=True, blockxsize=16, blockysize=16)
    found = collection(labeled(scene, 70, 90))
    (whole,) = compute_band_statistics(found, BandNeeds(("x",)), threads=1)

    monkeypatch.setattr(window_cache, "_WINDOW_SIDE", 16)
    monkeypatch.setattr(statistics, "_MAX_WINDOW_BYTES", 0)
    (parts,) = compute_band_statistics(found, BandNeeds(("x",)))

    assert parts.percentiles == whole.percentiles
    assert parts.mean == pytest.approx(whole.mean, rel=1e-12)
    assert parts.stddev == pytest.approx(whole.stddev, rel=1e-12)


def test_a_band_without_a_valid_pixel_is_refused(make_scene):
    scene = make_scene(np.zeros((1, 4, 5), np.uint8), nodata=0)

    with pytest.raises(LabelsError, match="band x has no valid pixel among 20; check"):
        compute_band_statistics(collection(labeled(scene, 5, 4)), BandNeeds(("x",)))


def test_the_ports_have_the_statistics_of_their_pixels(data):
    uri = str(data / "ships_s2" / "honolulu_S2L2A_5band.tif")

    bands = compute_band_statistics(
        collection(labeled(uri, 424, 316)),
        BandNeeds(("B02", "B11")),
    )

    with rasterio.open(uri) as scene:
        for band, shown in zip(bands, scene.read((1, 5)), strict=True):
            assert band.mean == pytest.approx(shown.mean())
            assert band.stddev == pytest.approx(shown.std())
            assert (band.minimum, band.maximum) == (shown.min(), shown.max())
