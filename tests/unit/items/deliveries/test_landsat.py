"""Landsat bundles: the three spellings of the metadata say the same."""

import json

import pytest

from swath.errors import SceneError
from swath.items import read_item, select_assets
from swath.items.deliveries import read_manifest
from tests.helpers import deliveries


def read(tmp_path, files=None):
    return read_item(str(deliveries.write(files or deliveries.landsat(), tmp_path)))


def test_bands_units_and_acquisition_of_a_bundle(tmp_path):
    scene = read(tmp_path)
    assert scene.scene_id == f"landsat-c2-l2/{deliveries.LANDSAT_ID}"
    keys = ["SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "ST_B10", "QA_PIXEL"]
    assert [a.key for a in scene.assets] == keys
    bands = {a.key: a.bands[0] for a in scene.assets}
    # The factors of Level-2, though Level-1's follow in the same file.
    assert (bands["SR_B4"].scale, bands["SR_B4"].offset) == (2.75e-05, -0.2)
    assert (bands["SR_B4"].unit, bands["SR_B4"].nodata) == ("reflectance", 0)
    assert bands["QA_PIXEL"].scale is None
    chosen = select_assets(scene, ["red", "nir08", "B2", "SR_B3"])
    assert [one.key for one in chosen] == ["SR_B4", "SR_B5", "SR_B2", "SR_B3"]
    about = scene.acquisition
    assert about.acquired_at == "2024-05-31T10:00:00.123456Z"
    assert (about.platform, about.gsd, about.cloud_cover) == ("landsat-9", 30, None)
    assert (about.sun_azimuth, about.sun_elevation, about.view_off_nadir) == (209.5, 57.5, 0)


def test_only_images_are_parts_of_a_bundle(tmp_path):
    folder = deliveries.write(deliveries.landsat(), tmp_path)
    manifest, documents = read_manifest(f"{folder}/{deliveries.LANDSAT_ID}_MTL.txt")
    assert len(manifest.parts) == 7
    assert documents == [manifest.uri]


@pytest.mark.parametrize(
    ("folder", "bands", "scale"),
    [
        ("landsat_c2l1_089074", 17, 2e-05),
        ("landsat_c2l2_008059", 19, 2.75e-05),
        ("landsat_c1l1_016037", 12, 2e-05),
        ("landsat_c2l2_017036_cloudy", 19, 2.75e-05),
    ],
)
def test_real_bundles(data, folder, bands, scale):
    files = sorted((data / "items" / folder).glob("*_MTL.*"))
    scenes = [read_item(str(path)) for path in files]
    for scene in scenes:
        same = (scene.scene_id, scene.acquisition, scene.assets)
        assert same == (scenes[0].scene_id, scenes[0].acquisition, scenes[0].assets)
        assert len(scene.assets) == bands
        (red,) = select_assets(scene, ["red"])
        assert red.band.scale == scale
        assert red.href.endswith("B4.TIF")


def test_a_real_bundle_is_what_the_usgs_say_in_their_own_item(data):
    folder = data / "items/landsat_c2l1_089074"
    scene = read_item(str(folder))
    item = json.loads(next(folder.glob("*_stac.json")).read_text())
    named = {
        band["name"]: band["common_name"]
        for asset in item["assets"].values()
        for band in asset.get("eo:bands", ())
    }
    ours = {a.bands[0].name: a.bands[0].common_name for a in scene.assets if "data" in a.roles}
    assert ours == named
    properties = item["properties"]
    assert scene.item_id == item["id"]
    assert scene.acquisition.sun_azimuth == pytest.approx(properties["view:sun_azimuth"], abs=1e-6)
    assert scene.acquisition.cloud_cover == properties["eo:cloud_cover"]
    assert scene.acquisition.acquired_at == properties["datetime"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("LC09_x_MTL.json", b"[1, 2]"),
        ("LC09_x_MTL.json", b"{"),
        ("LC09_x_MTL.json", b'{"LANDSAT_METADATA_FILE": 3}'),
        ("LC09_x_MTL.xml", b"<a/>"),
        ("LC09_x_MTL.txt", b"\xff\xfe\xff"),
        ("LC09_x_MTL.txt", b"nothing"),
        ("LC09_x_MTL.txt", b'GROUP = PRODUCT_CONTENTS\n FILE_NAME_BAND_1 = "../../x.TIF"\n'),
        ("LC09_x_MTL.txt", b'GROUP = PRODUCT_CONTENTS\n FILE_NAME_BAND_1 = "x.TIF"\n'),
    ],
)
def test_other_files_of_the_name_are_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SceneError, match=name):
        read_item(str(tmp_path / name))
