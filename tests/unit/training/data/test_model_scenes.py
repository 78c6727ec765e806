import pickle
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import shapely

from swath.errors import LabelsError, SceneError
from swath.raster.assets.grid import scale_grid
from swath.raster.assets.stack import BandNeeds
from swath.raster.radiometry.scenes import compute_statistics
from swath.raster.scene import open_scene
from swath.training.data.model_scenes import read_model_scenes, to_model_grid
from swath.training.data.sampler import CropSampler
from swath.training.data.statistics import compute_band_statistics
from swath.training.data.window_cache import window_shape
from tests.helpers.band_files import texture
from tests.helpers.items import write_item
from tests.helpers.label_files import collection, labeled
from tests.helpers.warping import warped

BANDS = ("red", "nir")
BOXES = [(4, 6, 24, 16), (60, 40, 90, 59), (0, 0, 3, 3)]
WIDTH, HEIGHT = 101, 60


@pytest.fixture
def scene(make_scene):
    """A scene of 10 m px with a mask of nodata."""
    pixels = np.stack([texture(WIDTH, HEIGHT, seed=seed) for seed in (1, 2)])
    pixels[:, 20:31, 50:53] = 0
    return make_scene(pixels, names=BANDS, nodata=0)


def needs(gsd, resampling="average"):
    return BandNeeds(BANDS, gsd, resampling=resampling)


def warp_scene(uri, scale, method, make_scene):
    """Write what GDAL's warper makes of a scene on a grid of larger or smaller px."""
    with rasterio.open(uri) as file, open_scene(uri) as opened:
        grid = scale_grid(opened.info, (scale, scale))
        bands = [warped(band, opened.info, grid, method, nodata=0) for band in file.read()]
    pixels = np.stack([values for values, _ in bands])
    return make_scene(
        pixels, name="warped.tif", names=BANDS, mask=bands[0][1], transform=grid.transform
    )


@pytest.mark.parametrize(
    ("gsd", "scale", "method"), [(20, 2, "average"), (5, 0.5, "bilinear"), (30, 3, "cubic")]
)
def test_windows_and_statistics_are_those_of_the_warped_scene(
    scene, make_scene, gsd, scale, method
):
    whole = collection(labeled(scene, WIDTH, HEIGHT, BOXES, outlines="boxes"))
    other = warp_scene(scene, scale, method, make_scene)
    on_grid = to_model_grid(whole, read_model_scenes([scene], needs(gsd, method)))
    shape = on_grid.scenes[0]
    expected = replace(whole, scenes=(replace(shape, uri=other),))

    one, two = (
        CropSampler(found, needs(gsd, method), 24, seed=3, class_maps=True)
        for found in (on_grid, expected)
    )
    for index in range(20):
        crop, warped_crop = one.crop(0, index), two.crop(0, index)
        assert (crop.x, crop.y) == (warped_crop.x, warped_crop.y)
        assert np.array_equal(crop.valid, warped_crop.valid)
        assert np.array_equal(crop.labels, warped_crop.labels)
        np.testing.assert_allclose(
            crop.pixels * crop.valid, warped_crop.pixels * crop.valid, rtol=1e-5
        )
    for band, same in zip(
        compute_band_statistics(on_grid, needs(gsd, method)),
        compute_band_statistics(expected, needs(gsd, method)),
        strict=True,
    ):
        assert band.mean == pytest.approx(same.mean, rel=1e-6)
        assert band.stddev == pytest.approx(same.stddev, rel=1e-5)
        assert band.valid_percent == same.valid_percent


def test_objects_are_scaled_to_the_grid_and_the_digest_stays(scene):
    whole = collection(labeled(scene, WIDTH, HEIGHT, BOXES, outlines="boxes"))
    stated = replace(whole.scenes[0], areas=np.array([200.0, 570.0, 9.0]))
    whole = replace(whole, scenes=(stated,))

    found = to_model_grid(whole, read_model_scenes([scene], needs(20)))

    (on_grid,) = found.scenes
    assert found.digest == whole.digest
    assert (on_grid.width, on_grid.height) == (50, 30)
    assert on_grid.boxes.tolist() == (np.array(BOXES) / 2).tolist()
    assert shapely.area(on_grid.outlines).tolist() == [50, 142.5, 2.25]
    assert on_grid.sizes.tolist() == [50, 142.5, 2.25]


@pytest.mark.parametrize("gsd", [None, 10.5])
def test_a_scene_within_the_tolerance_keeps_its_own_pixels(scene, gsd):
    whole = collection(labeled(scene, WIDTH, HEIGHT, BOXES))

    (known,) = read_model_scenes([scene], needs(gsd))

    assert known.stack is None
    assert to_model_grid(whole, [known]).scenes == whole.scenes


@pytest.mark.parametrize("gsd", [None, 20])
def test_labels_of_another_size_are_refused(scene, gsd):
    whole = collection(labeled(scene, WIDTH + 4, HEIGHT, BOXES))

    with pytest.raises(LabelsError, match="had 105 x 60 px when its labels were read, and has"):
        to_model_grid(whole, read_model_scenes([scene], needs(gsd)))


def test_a_scene_without_a_resolution_is_refused(make_scene):
    uri = make_scene(np.ones((2, 8, 8), np.uint8), names=BANDS, crs=None, transform=None)

    with pytest.raises(SceneError, match=r"scene\.tif"):
        read_model_scenes([uri], needs(20))


def test_scene_pixels_count_for_the_size_of_a_window(scene):
    (own,), (coarse,) = (read_model_scenes([scene], needs(gsd)) for gsd in (None, 40))
    large = replace(coarse, info=replace(coarse.info, width=5000, height=5000))

    assert (own.read_pixels, coarse.read_pixels) == (1, 16)
    assert window_shape(large, 2, max_bytes=32 * 5000 * 5000) == (5000, 5000)
    assert window_shape(large, 2, max_bytes=32 * 5000 * 5000 - 1) < (5000, 5000)


def test_a_scene_on_a_grid_crosses_processes(scene):
    (known,) = read_model_scenes([scene], needs(20))

    again = pickle.loads(pickle.dumps(known))  # noqa: S301 - made here

    with known.open() as one, again.open() as other:
        window = (0, 0, 50, 30)
        assert np.array_equal(
            one.read_layers(window, [1, 2])[0], other.read_layers(window, [1, 2])[0]
        )


def test_training_on_an_item_equals_training_on_the_stacked_file(scene, tmp_path):
    item = str(write_item(tmp_path / "item", scene, factors={}))
    stacked, named = (
        to_model_grid(
            collection(labeled(uri, WIDTH, HEIGHT, BOXES, outlines="boxes")),
            read_model_scenes([uri], needs(None)),
        )
        for uri in (scene, item)
    )

    one, two = (
        CropSampler(found, needs(None), 24, seed=3, class_maps=True) for found in (stacked, named)
    )
    for index in range(20):
        crop, other = one.crop(0, index), two.crop(0, index)
        assert (crop.x, crop.y) == (other.x, other.y)
        assert crop.pixels.dtype == other.pixels.dtype
        assert np.array_equal(crop.pixels, other.pixels)
        assert np.array_equal(crop.valid, other.valid)
        assert np.array_equal(crop.labels, other.labels)
    assert compute_band_statistics(stacked, needs(None)) == compute_band_statistics(
        named, needs(None)
    )
    units = (None, None)
    assert compute_statistics([scene], needs(None), units) == compute_statistics(
        [item], needs(None), units
    )
