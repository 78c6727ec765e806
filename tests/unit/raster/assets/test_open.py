"""Tests of opening the scene that a model reads: its bands, grid, units and pinned versions."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import rasterio

from swath import storage
from swath.errors import SceneChangedError, SceneError
from swath.items import item_from_files, read_item
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.scene import StackedScene, stack_digest
from swath.raster.assets.stack import BandNeeds, BandStack
from swath.raster.band_units import Unit
from swath.raster.reader import read_tiles
from swath.raster.scene import FileScene
from swath.raster.tiles import Grid
from tests.helpers.band_files import TILES, open_stack, texture
from tests.helpers.warping import image, warped


def item_of(assets):
    """A STAC 1.1 Item beside the files of its assets."""
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "scene",
        "collection": "some",
        "geometry": None,
        "properties": {"datetime": "2024-05-01T10:00:00Z"},
        "links": [],
        "assets": assets,
    }


def read(item, folder):
    """Write an Item beside its files, and read it."""
    path = folder / "item.json"
    path.write_bytes(msgspec.json.encode(item))
    return read_item(str(path))


def test_a_file_with_all_bands_is_opened_as_it_is(make_scene):
    path = make_scene(np.ones((3, 20, 30), np.uint8), names=["a", "b", "c"])
    with open_model_scene(path, BandNeeds(("c", "a"))) as opened:
        assert isinstance(opened.scene, FileScene)
        assert opened.bands == [3, 1]
        assert opened.stack is None


def test_a_file_of_another_resolution_is_resampled(make_scene):
    pixels = np.stack([texture(120, 80, seed=i) for i in range(3)])
    path = make_scene(pixels, names=["a", "b", "c"], **TILES)
    with open_model_scene(path, BandNeeds(("c", "a"), gsd=30)) as opened:
        assert opened.stack.scale == (3, 3)
        assert opened.stack.assets[0].etag == storage.etag(path)
        info = opened.scene.info
        assert (info.width, info.height, info.dtype) == (40, 27, "float32")
        assert info.band_names == ("c", "a")
        values, _ = opened.scene.read((0, 0, 40, 27), opened.bands)
        target = image(40, 27, info.transform, info.crs)
    with rasterio.open(path) as file:
        source = image(120, 80, file.transform, file.crs)
    for layer, band in zip(values, (pixels[2], pixels[0]), strict=True):
        np.testing.assert_allclose(layer, warped(band, source, target, "bilinear")[0], rtol=1e-6)


def test_a_file_with_another_etag_is_refused(make_scene):
    path = make_scene(np.ones((1, 20, 30), np.uint8))
    with pytest.raises(SceneChangedError), open_model_scene(path, BandNeeds(("a",)), etag="other"):
        pass


def test_a_stack_is_restored_from_a_plan_without_a_decision(three_resolutions):
    needs = BandNeeds(("B01", "B02"), gsd=20, resampling="cubic")
    grid = Grid(180, 120, 64, 16)

    def read(opened):
        return [tile.pixels.copy() for tile in read_tiles(opened.scene, grid, opened.bands, [0, 4])]

    with open_model_scene(item_from_files(three_resolutions), needs) as opened:
        assert opened.stack.scale == (2, 2)
        stored = msgspec.json.decode(msgspec.json.encode(opened.stack.to_json()))
        info, etag, tiles = opened.scene.info, opened.scene.etag, read(opened)

    stack = BandStack.from_json(stored)
    other = BandNeeds(("B05",))  # a plan's stack is all that counts
    with open_model_scene(info.uri, other, stack=stack) as restored:
        assert isinstance(restored.scene, StackedScene)
        assert restored.scene.info == info
        assert restored.scene.etag == etag == stack_digest(stack)
        assert restored.stack == stack
        np.testing.assert_array_equal(read(restored), tiles)


def test_a_replaced_asset_is_refused(three_resolutions):
    with open_stack(three_resolutions) as opened:
        stack = opened.stack
    path = Path(three_resolutions[1])
    path.write_bytes(path.read_bytes() + b"\0")
    with (
        pytest.raises(SceneChangedError, match=str(path)),
        open_model_scene("item.json", BandNeeds(()), stack=stack),
    ):
        pass


def test_units_and_nodata_of_an_item_and_of_its_files(write_band, tmp_path):
    gaps = texture(40, 40)
    gaps[:10] = 0
    with_nodata = gaps.copy()
    with_nodata[10:20] = 7
    write_band("one", gaps)
    write_band("two", with_nodata, nodata=7)
    with rasterio.open(tmp_path / "two.tif", "r+") as file:
        file.scales, file.offsets, file.units = (0.5,), (2.0,), ("kelvin",)
    band = {"nodata": 0, "raster:scale": 0.001, "raster:offset": 0, "unit": "reflectance"}
    item = item_of(
        {
            "one": {"href": "./one.tif", "bands": [{"name": "B02", **band}]},
            "two": {"href": "./two.tif", "bands": [{"name": "B03", "nodata": 0}]},
        }
    )
    with open_model_scene(read(item, tmp_path), BandNeeds(("B03", "B02"))) as opened:
        assert opened.scene.info.units == (
            Unit(name="kelvin", scale=0.5, offset=2.0),
            Unit(name="reflectance", scale=0.001, offset=0.0),
        )
        assert [band.nodata for band in opened.stack.bands] == [None, 0]
        assert opened.scene.info.nodata == (7, 0)
        _, valid = opened.scene.read_layers((0, 0, 40, 40), opened.bands)
    np.testing.assert_array_equal(valid.bands[0], with_nodata != 7)
    np.testing.assert_array_equal(valid.bands[1], gaps != 0)


@pytest.mark.parametrize(
    ("dtypes", "method", "expected"),
    [
        (("uint8", "uint16"), "nearest", "uint16"),
        (("int16", "uint16"), "nearest", "int32"),
        (("uint32", "int32"), "nearest", "float64"),
        (("uint8", "uint16"), "bilinear", "float32"),
        (("uint32", "uint8"), "average", "float64"),
        (("float64", "uint8"), "cubic", "float64"),
    ],
)
def test_the_type_of_the_pixels(write_band, dtypes, method, expected):
    paths = [
        write_band(f"B0{i}", texture(60 // i, 60 // i, dtype), 10 * i)
        for i, dtype in enumerate(dtypes, 1)
    ]
    with open_stack(paths, ("B01", "B02"), resampling=method) as opened:
        assert opened.scene.info.dtype == expected
        pixels, valid = opened.scene.read((0, 0, 60, 60), opened.bands)
    assert pixels.dtype == expected
    assert valid.all()


def test_a_band_that_the_file_does_not_have(write_band, tmp_path):
    write_band("one", texture(40, 40))
    bands = [{"name": "B02"}, {"name": "B03"}]
    item = read(item_of({"one": {"href": "./one.tif", "bands": bands}}), tmp_path)
    with (
        pytest.raises(SceneError, match="has 1 bands and its Item describes band 2 as B03"),
        open_model_scene(item, BandNeeds(("B02", "B03"))),
    ):
        pass


def test_a_band_with_a_color_table_is_refused(write_band, tmp_path):
    path = write_band("B02", texture(40, 40, "uint8"))
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (255, 0, 0)})
    with pytest.raises(SceneError, match="color table"), open_stack([path], ("B02",)):
        pass


def test_a_missing_file_is_named(three_resolutions):
    Path(three_resolutions[1]).unlink()
    with pytest.raises(SceneError, match=r"no scene at .*B05\.tif"), open_stack(three_resolutions):
        pass


def test_another_coordinate_system_is_refused(write_band):
    paths = [
        write_band("B02", texture(40, 40)),
        write_band("B05", texture(20, 20), 20, crs="EPSG:32634"),
    ]
    with (
        pytest.raises(SceneError, match=r"EPSG:32634 .* gdalwarp -t_srs EPSG:32633"),
        open_stack(paths, ("B02", "B05")),
    ):
        pass


REAL = {
    "s2_l2a_29RKH": ("B*.tif", ("B04", "B03", "B02", "B08", "B11", "B01"), (1098, 1098)),
    "landsat_c1l1_016037": ("*.TIF", ("B4", "B5", "B8"), (509, 519)),
    "landsat_c2l1_089074": ("*_B*.TIF", ("B4", "B3", "B8", "B10"), (60, 60)),
    "s2_l1c_18SVG_fullres_crop": ("*.tif", ("B01", "B05", "B11"), (967, 973)),
}


@pytest.mark.parametrize("folder", REAL)
@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_real_bands_of_several_resolutions_are_those_of_gdals_warper(data, folder, method):
    pattern, names, size = REAL[folder]
    paths = sorted(str(path) for path in (data / "items" / folder).glob(pattern))
    needs = BandNeeds(names, resampling=method)
    with open_model_scene(item_from_files(paths), needs) as opened:
        info = opened.scene.info
        assert (info.width, info.height) == size
        grid = Grid(*size, 300, 60)
        target = image(*size, info.transform, info.crs)
        window = np.zeros((len(names), size[1], size[0]), info.dtype)
        valid = np.zeros(window.shape, bool)
        for tile in read_tiles(opened.scene, grid, opened.bands, range(grid.count)):
            assert tile.error is None
            x, y, width, height = tile.tile.window
            window[:, y : y + height, x : x + width] = tile.pixels
            mask = True if tile.input_mask is None else tile.input_mask
            valid[:, y : y + height, x : x + width] = mask
        for layer, known, source in zip(window, valid, opened.stack.bands, strict=True):
            with rasterio.open(opened.stack.assets[source.asset].uri) as file:
                asset = image(file.width, file.height, file.transform, file.crs)
                expected, there = warped(
                    file.read(source.band), asset, target, method, nodata=file.nodata
                )
            np.testing.assert_array_equal(known, there)
            np.testing.assert_allclose(layer[known], expected[known], rtol=1e-6)
