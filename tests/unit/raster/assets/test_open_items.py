"""Opening the scene of an Item: its files are opened, and its statements complete theirs."""

import json

import numpy as np
import pytest
import rasterio

from swath.errors import SceneError
from swath.items import item_from_files, parse_item
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import BandNeeds
from swath.raster.band_units import Unit

SENTINEL2_BANDS = "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B11 B12"
APPLIED = "earthsearch:boa_offset_applied"


def opened(item, names, stack=None):
    return open_model_scene(item, BandNeeds(tuple(names.split())), stack=stack)


def read(scene):
    info = scene.scene.info
    return scene.scene.read((0, 0, info.width, info.height), scene.bands)


def one_band(make_scene, *, band=(), properties=(), **profile):
    """Return an Item of one file that has one band."""
    pixels = np.arange(24, dtype=np.uint16).reshape(1, 4, 6)
    path = make_scene(pixels, name="red.tif", **profile)
    asset = {"href": "red.tif", "type": "image/tiff", "raster:bands": [dict(band)]}
    data = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "x",
        "properties": dict(properties),
        "assets": {"red": asset},
    }
    return parse_item(json.dumps(data).encode(), path.replace("red.tif", "item.json"))


def test_an_item_states_what_its_file_does_not(make_scene):
    item = one_band(make_scene, band={"scale": 0.0001, "offset": -0.1, "nodata": 5})
    with opened(item, "red") as scene:
        assert scene.scene.info.units == (Unit("", 0.0001, -0.1),)
        assert scene.scene.info.nodata == (5.0,)
        assert scene.scene.info.warnings == ()
        assert np.argwhere(~read(scene)[1]).tolist() == [[0, 5]]


def test_the_header_of_the_file_decides(make_scene):
    item = one_band(
        make_scene,
        band={"scale": 0.0001, "offset": -0.1, "nodata": 5},
        units=[("", 0.0001, 0.0)],
        nodata=7,
    )
    with opened(item, "red") as scene:
        assert scene.scene.info.units == (Unit("", 0.0001, 0.0),)
        assert scene.scene.info.nodata == (7.0,)
        (warning,) = scene.scene.info.warnings
        assert "offset 0 in its file and scale 0.0001, offset -0.1 in its Item" in warning


def test_warnings_about_the_item_are_kept_for_shards(make_scene):
    item = one_band(make_scene, band={"offset": -0.1, "scale": 1e-4}, properties={APPLIED: True})
    with opened(item, "red") as scene:
        (warning,) = scene.scene.info.warnings
        assert "red: the Item states the offset -0.1" in warning
    with opened(item, "red", scene.stack) as again:
        assert again.scene.info.warnings == scene.scene.info.warnings
        assert again.scene.info.units == (Unit("", 1e-4, 0.0),)


def test_a_file_with_more_bands_than_are_named_is_refused(make_scene):
    path = make_scene(np.zeros((2, 4, 6), np.uint8), name="red.tif", photometric="MINISBLACK")
    with (
        pytest.raises(SceneError, match="has 2 bands, and nothing states which of them is red"),
        opened(item_from_files([path]), "red"),
    ):
        pass


def test_an_alpha_band_needs_no_name(make_scene):
    path = make_scene(np.zeros((2, 4, 6), np.uint8), name="red.tif", ALPHA="YES")
    with opened(item_from_files([path]), "red") as scene:
        assert scene.scene.info.count == 1


def test_a_band_that_the_file_does_not_have_is_refused(make_scene):
    item = one_band(make_scene)
    document = item.uri.replace("item.json", "list.json")
    content = b'{"bands": {"red": {"uri": "red.tif", "band": 2}}}'
    with (
        pytest.raises(SceneError, match="has 1 bands and its Item describes band 2 as red"),
        opened(parse_item(content, document), "red"),
    ):
        pass


def undescribed(make_scene, names, bands=(), assets=(), **options):
    """Return an Item of one file with three bands, of which the Item names none."""
    pixels = np.stack([np.full((4, 6), number, np.uint8) for number in (1, 2, 3)])
    path = make_scene(pixels, name="image.tif", names=names, **options)
    image = {"href": "image.tif", "type": "image/tiff", "roles": ["data"], "bands": list(bands)}
    data = {"type": "Feature", "stac_version": "1.1.0", "id": "x", "properties": {}}
    data["assets"] = {"image": image} | {
        key: image | {"roles": roles} for key, roles in dict(assets).items()
    }
    return parse_item(json.dumps(data).encode(), path.replace("image.tif", "item.json"))


@pytest.mark.parametrize("bands", [[], [{"name": "b1"}, {"name": "b2"}, {"name": "b3"}]])
def test_a_header_describes_the_only_file_of_an_item(make_scene, bands):
    item = undescribed(make_scene, ["red", "nir", "green"], bands, {"preview": ["overview"]})
    with opened(item, "nir red") as scene:
        assert [band.band for band in scene.stack.bands] == [2, 1]
        assert read(scene)[0][:, 0, 0].tolist() == [2, 1]
        assert scene.stack.assets[0].etag
    with (
        pytest.raises(SceneError, match="has the bands red, nir, green; the model expects swir16"),
        opened(item, "swir16"),
    ):
        pass


def test_statements_of_the_item_about_a_number_are_kept(make_scene):
    bands = [{"name": "b1"}, {"name": "b2", "raster:scale": 0.5}, {"name": "b3"}]
    item = undescribed(make_scene, ["red", "nir", "green"], bands)
    with opened(item, "nir red") as scene:
        assert scene.scene.info.units == (Unit("", 0.5, 0.0), None)


@pytest.mark.parametrize(
    ("bands", "assets"),
    [
        ([{"name": "x"}, {"name": "y"}, {"name": "z"}], {}),
        ([{"eo:common_name": "pan"}, {}, {}], {}),
        ([], {"other": ["data"]}),
    ],
)
def test_a_header_decides_nothing_that_the_item_states(make_scene, bands, assets):
    item = undescribed(make_scene, ["red", "nir", "green"], bands, assets)
    with pytest.raises(SceneError, match="has no band red"), opened(item, "red nir"):
        pass


def local_item(document):
    """Return a real Item whose assets are the files beside it."""
    data = json.loads(document.read_bytes())
    for asset in data["assets"].values():
        name = asset["href"].rpartition("/")[2]
        if (document.parent / name).exists():
            asset["href"] = name
            asset.pop("alternate", None)
    return parse_item(json.dumps(data).encode(), str(document))


@pytest.mark.parametrize(
    ("document", "names", "shape", "unit"),
    [
        (
            "s2_l2a_29RKH/S2A_29RKH_20200219_0_L2A.json",
            SENTINEL2_BANDS,
            (1098, 1098),
            Unit("", 0.0001, 0.0),
        ),
        (
            "landsat_c2l1_089074/LC08_L1GT_089074_20220506_20220512_02_T2_stac.json",
            "B2 B3 B4 B5 B8",
            (60, 60),
            None,
        ),
        (
            "landsat_c2l2_008059/LC08_L2SP_008059_20191201_20200825_02_T1_SR_stac.json",
            "green red nir08",
            (512, 512),
            None,
        ),
        (
            "landsat_c2l2_017036_cloudy/LC08_L2SP_017036_20130419_20200913_02_T2_SR_stac.json",
            "SR_B4 SR_B5",
            (512, 512),
            None,
        ),
    ],
)
def test_real_items_are_read(data, document, names, shape, unit):
    item = local_item(data.resolve() / "items" / document)
    with opened(item, names) as scene:
        check_pixels(scene, shape)
        assert set(scene.scene.info.units) == {unit}
        assert set(scene.scene.info.nodata) == {0.0}
        assert [band.name for band in scene.stack.bands] == names.split()


@pytest.mark.parametrize(
    ("files", "names", "shape"),
    [
        ("landsat_c1l1_016037/*.TIF", "B4 B5 B8 B10", (519, 509)),
        ("s2_l1c_18SVG_fullres_crop/*.tif", "B01 B05 B11", (973, 967)),
        ("s2_l1c_55HFA_sinergise/*/*.jp2", SENTINEL2_BANDS + " B10", (110, 110)),
    ],
)
def test_real_lists_of_files_are_read(data, files, names, shape):
    paths = sorted(str(path) for path in (data.resolve() / "items").glob(files))
    with opened(item_from_files(paths), names) as scene:
        check_pixels(scene, shape)
        assert [band.name for band in scene.stack.bands] == names.split()


def check_pixels(scene, shape):
    """Compare bands on the grid with their files exactly, and other bands by their means."""
    pixels, _ = read(scene)
    assert pixels.shape == (len(scene.bands), *shape)
    exact = 0
    for band, values in zip(scene.stack.bands, pixels, strict=True):
        with rasterio.open(scene.stack.assets[band.asset].uri) as file:
            original = file.read(band.band)
            if (*file.shape, file.transform) == (*shape, scene.scene.info.transform):
                assert np.array_equal(values, original)
                exact += 1
            elif original.any():
                inside = values[values != 0].mean() / original[original != 0].mean()
                assert inside == pytest.approx(1, rel=0.03)
    assert exact >= 1
