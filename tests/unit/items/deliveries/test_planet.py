import json

import pytest

from swath.errors import SceneError
from swath.items import read_item, select_assets
from swath.items.deliveries import read_manifest
from tests.helpers import deliveries


def test_an_order_of_one_item_is_a_scene(tmp_path):
    folder = deliveries.write(deliveries.planet(), tmp_path)
    scene = read_item(str(folder))
    assert scene == read_item(f"{folder}/PSScene/{deliveries.PLANET_ID}_metadata.json")
    assert scene.scene_id == f"PSScene/{deliveries.PLANET_ID}"
    assert [a.key for a in scene.assets] == ["ortho_analytic_4b_sr", "ortho_udm2"]
    chosen = select_assets(scene, ["red", "green", "blue", "nir"])
    assert [one.number for one in chosen] == [3, 2, 1, 4]
    assert {one.key for one in chosen} == {"ortho_analytic_4b_sr"}
    about = scene.acquisition
    assert about.acquired_at == "2024-05-31T10:00:00.250000Z"
    assert (about.platform, about.gsd, about.cloud_cover) == ("2461", 3.9, 25)
    assert (about.view_off_nadir, about.view_azimuth) == (1.1, 273.8)


def test_an_order_of_several_items_has_a_document_for_each(tmp_path):
    folder = deliveries.write(deliveries.planet("one", "two"), tmp_path)
    manifest, documents = read_manifest(f"{folder}/manifest.json")
    assert len(manifest.parts) == 6
    assert [read_item(document).item_id for document in documents] == ["one", "two"]
    with pytest.raises(SceneError, match=r"has 2 scenes; give the metadata of one of them: .*two"):
        read_item(str(folder))


def test_an_item_whose_order_does_not_list_it_is_refused(tmp_path):
    folder = deliveries.write(deliveries.planet(), tmp_path)
    metadata = folder / f"PSScene/{deliveries.PLANET_ID}_metadata.json"
    other = metadata.rename(folder / "PSScene/other_metadata.json")
    with pytest.raises(SceneError, match=r"no manifest\.json of its order that lists other"):
        read_item(str(other))


def test_the_documented_manifest(data):
    folder = data / "items/planet_api_json/stactools_order_template"
    manifest, documents = read_manifest(str(folder / "manifest.json"))
    assert [part.size for part in manifest.parts] == [1, 1, 1000]
    assert documents == [str(folder / "files/20180119_XXXXXXX_XXXX_metadata.json")]


def test_real_metadata_of_an_item(data, tmp_path):
    files = deliveries.planet("20220125_075509_67_1061")
    path = "PSScene/20220125_075509_67_1061_metadata.json"
    name = "data_item_20220125_075509_67_1061.json"
    files[path] = (data / "items/planet_api_json" / name).read_bytes()
    scene = read_item(str(deliveries.write(files, tmp_path)))
    assert scene.acquisition.acquired_at == "2022-01-25T07:55:09.676173Z"
    assert (scene.acquisition.cloud_cover, scene.acquisition.gsd) == (0, 3.6)


def test_a_manifest_of_something_else_is_no_delivery(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"files": ["a.tif"]}))
    (tmp_path / "a.tif").write_bytes(b"")
    assert read_manifest(str(tmp_path / "manifest.json")) is None
    # It is swath's own list of files, whatever its name is.
    assert [a.key for a in read_item(str(tmp_path / "manifest.json")).assets] == ["a.tif"]


def test_items_without_metadata_cannot_be_told_apart(tmp_path):
    files = deliveries.planet("one", "two")
    order = json.loads(files["manifest.json"])
    order["files"] = [f for f in order["files"] if not f["path"].endswith("two_metadata.json")]
    files["manifest.json"] = json.dumps(order).encode()
    folder = deliveries.write(files, tmp_path)
    with pytest.raises(SceneError, match="lists 2 Items with images, and metadata of 1"):
        read_manifest(f"{folder}/manifest.json")
