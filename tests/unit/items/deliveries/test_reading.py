"""Folders without a manifest: a STAC Item in them, or the list of their raster files."""

import json

import pytest

from swath.errors import SceneError
from swath.items import read_item
from swath.items.deliveries import is_delivery, reading
from tests.helpers import deliveries

ITEM = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "id": "an-item",
    "collection": "mine",
    "geometry": None,
    "properties": {"datetime": None},
    "assets": {"image": {"href": "./a.tif", "type": "image/tiff"}},
    "links": [],
}


@pytest.fixture
def folder(tmp_path):
    return deliveries.write({"a.tif": b"1", "sub/B.TIF": b"2", "notes.txt": b""}, tmp_path / "x")


def test_the_raster_files_of_a_folder_are_the_scene(folder):
    scene = read_item(str(folder))
    assert [a.key for a in scene.assets] == ["a.tif", "B.TIF"]
    assert scene.named_by_files
    assert scene.scene_id == ""


@pytest.mark.parametrize("marker", ["x.done", "x/_SUCCESS", "x/all.done"])
def test_a_marker_is_the_document_of_its_folder(folder, marker):
    path = folder.parent / marker
    path.write_bytes(b"")
    scene = read_item(str(path))
    assert (scene.uri, bool(scene.etag)) == (str(path), True)
    assert [a.key for a in scene.assets] == ["a.tif", "B.TIF"]


def test_an_item_in_the_folder_is_the_scene(folder):
    (folder / "item.json").write_text(json.dumps(ITEM))
    (folder / "x.done").write_bytes(b"")
    for address in (folder, folder / "x.done"):
        scene = read_item(str(address))
        assert scene.scene_id == "mine/an-item"
        assert scene.uri == str(folder / "item.json")


def test_several_items_in_a_folder_are_refused(folder):
    for name in ("one.json", "two.json"):
        (folder / name).write_text(json.dumps(ITEM))
    with pytest.raises(SceneError, match=r"several STAC Items: one\.json, two\.json"):
        read_item(str(folder))


@pytest.mark.parametrize(
    ("files", "message"), [({}, "no files"), ({"a.txt": b""}, "no raster file")]
)
def test_a_folder_without_a_scene(tmp_path, files, message):
    with pytest.raises(SceneError, match=message):
        read_item(str(deliveries.write(files, tmp_path)))


def test_a_folder_of_too_many_files_is_refused(folder, monkeypatch):
    monkeypatch.setattr(reading, "MAX_PARTS", 2)
    with pytest.raises(SceneError, match="has more than 2 objects"):
        read_item(str(folder))


def test_a_manifest_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_MANIFEST_BYTES", 10)
    (tmp_path / "manifest.safe").write_bytes(b"x" * 11)
    with pytest.raises(SceneError, match=r"manifest\.safe has 0\.0 MiB; a manifest has at most"):
        read_item(str(tmp_path))


def test_a_manifest_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SceneError, match=r"manifest\.safe does not exist"):
        read_item(str(tmp_path / "manifest.safe"))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://b/x.SAFE/manifest.safe", True),
        ("s3://b/x/LC09_x_MTL.txt", True),
        ("s3://b/x.done", True),
        ("s3://b/x/", True),
        ("s3://b/x", False),
        ("s3://b/x.tif", False),
        ("s3://b/item.json", False),
    ],
)
def test_deliveries_by_their_address(uri, expected):
    assert is_delivery(uri) is expected


def test_json_files_of_a_folder_are_counted(folder, monkeypatch):
    monkeypatch.setattr(reading, "MAX_ITEM_CANDIDATES", 1)
    (folder / "item.json").write_text(json.dumps(ITEM))
    assert read_item(str(folder)).scene_id == "mine/an-item"
    (folder / "other.json").write_text("{}")
    with pytest.raises(SceneError, match="has 2 JSON files; at most 1 are searched"):
        read_item(str(folder))
