"""Sentinel-2 in SAFE: bands, units with the offset of the baseline, and the acquisition."""

import json
from datetime import datetime, timedelta

import pytest

from swath.errors import SceneError
from swath.items import read_item, select_assets
from tests.helpers import deliveries


def read(files, tmp_path):
    return read_item(str(deliveries.write(files, tmp_path / f"{deliveries.S2_ID}.SAFE")))


def test_bands_are_the_finest_images_with_the_units_of_the_product(tmp_path):
    scene = read(deliveries.safe(), tmp_path)
    assert scene.uri.endswith(".SAFE/manifest.safe")
    assert scene.scene_id == f"sentinel-2-l2a/{deliveries.S2_ID}"
    assert [(a.key, a.gsd) for a in scene.assets] == [
        *(("B02", 10), ("B03", 10), ("B04", 10), ("B05", 20), ("B08", 10), ("B8A", 20)),
        ("B11", 20),
    ]
    bands = {a.key: a.bands[0] for a in scene.assets}
    assert (bands["B04"].scale, bands["B04"].offset) == (0.0001, -0.1)
    assert (bands["B11"].scale, bands["B11"].offset) == (0.0001, 0.0)
    assert {(b.unit, b.nodata) for b in bands.values()} == {("reflectance", 0.0)}
    assert [one.key for one in select_assets(scene, ["nir", "B8A", "red"])] == ["B08", "B8A", "B04"]


def test_the_acquisition_is_that_of_the_tile(tmp_path):
    acquisition = read(deliveries.safe(), tmp_path).acquisition
    assert acquisition.acquired_at == "2024-05-31T10:22:03.500000Z"
    assert (acquisition.platform, acquisition.gsd) == ("sentinel-2b", 10)
    assert acquisition.cloud_cover == 12.5
    assert (acquisition.sun_elevation, acquisition.sun_azimuth) == (60, 160)
    assert acquisition.view_incidence == 5
    # 350° and 10° lie on both sides of north.
    assert acquisition.view_azimuth == pytest.approx(0, abs=1e-9) or acquisition.view_azimuth == (
        pytest.approx(360)
    )


def test_a_product_of_an_old_baseline_states_no_offset(tmp_path):
    scene = read(deliveries.safe(offset=0), tmp_path)
    assert {a.bands[0].offset for a in scene.assets} == {0.0}


def test_a_product_without_its_metadata_is_refused_by_the_file(tmp_path):
    files = deliveries.safe()
    del files["MTD_MSIL2A.xml"]
    with pytest.raises(SceneError, match=r"MTD_MSIL2A\.xml is missing; deliver the whole product"):
        read(files, tmp_path)


def test_several_tiles_are_no_scene(tmp_path):
    files = deliveries.safe()
    other = {p.replace("T33UUP_A", "T33UUQ_A"): c for p, c in files.items() if "IMG_DATA" in p}
    files |= other
    files["manifest.safe"] = deliveries.safe_manifest(
        {p: c for p, c in files.items() if p != "manifest.safe"}
    )
    with pytest.raises(SceneError, match="lists 2 tiles"):
        read(files, tmp_path)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = deliveries.write(deliveries.safe(), tmp_path / "x.SAFE")
    image = folder / deliveries.images(f"{deliveries.GRANULE}/IMG_DATA")["B02"]
    image.unlink()
    image.symlink_to("/etc/passwd")
    with pytest.raises(SceneError, match="outside"):
        read_item(str(folder))


@pytest.mark.parametrize(
    ("name", "bands", "cloud_cover"),
    [
        ("S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248", 13, 88.2972),
        ("S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857", 15, 51.580326),
    ],
)
def test_real_products(data, name, bands, cloud_cover):
    folder = data / "items/safe_skeletons" / f"{name}.SAFE"
    scene = read_item(str(folder))
    expected = json.loads((folder / "expected_output.json").read_text())["properties"]
    assert scene.item_id == name
    assert len(scene.assets) == bands
    acquisition = scene.acquisition
    assert acquisition.platform == expected["platform"] == "sentinel-2a"
    assert acquisition.cloud_cover == expected["eo:cloud_cover"] == cloud_cover
    assert acquisition.sun_azimuth == pytest.approx(expected["view:sun_azimuth"])
    assert acquisition.sun_elevation == pytest.approx(expected["view:sun_elevation"])
    # The expected time is that of the pass; the tile was seen some minutes later.
    passed = datetime.fromisoformat(expected["datetime"])
    seen = datetime.fromisoformat(acquisition.acquired_at)
    assert timedelta(minutes=5) < seen - passed < timedelta(minutes=15)
    assert all(a.bands[0].scale == 0.0001 for a in scene.assets if a.key.startswith("B"))
    native = {"B02": 10, "B8A": 20, "B01": 60}
    assert {a.key: a.gsd for a in scene.assets if a.key in native} == native
