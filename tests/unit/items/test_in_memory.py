"""STAC Items that a program holds in memory."""

import json

import pystac
import pytest

from swath.errors import SceneError
from swath.items import SceneSources, item_from_dict, item_from_pystac, select_assets

DATA = {
    "type": "Feature",
    "stac_version": "1.1.0",
    "id": "x",
    "collection": "c",
    "properties": {"datetime": "2024-05-31T10:00:00Z"},
    "geometry": None,
    "links": [],
    "assets": {"red": {"href": "./red.tif", "type": "image/tiff"}},
}
SOURCES = SceneSources.parse(["https://example.com/"])


def hrefs(scene):
    return [one.href for one in select_assets(scene, ["red"])]


def with_href(href):
    return DATA | {"assets": {"red": {"href": href, "type": "image/tiff"}}}


def test_an_item_of_a_source_is_a_scene():
    scene = item_from_dict(DATA, "https://example.com/x/item.json", SOURCES)
    assert (scene.scene_id, scene.etag) == ("c/x", "")
    assert hrefs(scene) == ["https://example.com/x/red.tif"]


def test_an_item_of_pystac_is_a_scene():
    item = pystac.Item.from_dict(DATA)
    with pytest.raises(SceneError, match="no address of its own"):
        hrefs(item_from_pystac(item, SOURCES))
    item.set_self_href("https://example.com/x/item.json")
    assert hrefs(item_from_pystac(item, SOURCES)) == ["https://example.com/x/red.tif"]


def test_absolute_addresses_need_no_document():
    item = pystac.Item.from_dict(with_href("https://example.com/r.tif"))
    assert hrefs(item_from_pystac(item, SOURCES)) == ["https://example.com/r.tif"]


@pytest.mark.parametrize("href", ["http://localhost:8080/items/x", "items/x.json", "file:///x"])
def test_an_address_that_swath_does_not_read_counts_as_none(href):
    assert item_from_dict(DATA, href).uri == ""


@pytest.mark.parametrize(
    ("base", "href"),
    [
        ("https://169.254.169.254/latest/item.json", "meta-data"),
        ("https://evil.example/item.json", "https://evil.example/red.tif"),
        ("s3://private/item.json", "s3://private/red.tif"),
        ("/etc/item.json", "passwd"),
        ("/etc/hostname", "/etc/passwd"),
    ],
)
def test_a_self_link_allows_nothing_by_itself(base, href):
    with pytest.raises(SceneError, match="lies outside"):
        hrefs(item_from_dict(with_href(href), base))


def test_the_folder_of_a_local_item_is_allowed(tmp_path):
    path = tmp_path / "item.json"
    path.write_text(json.dumps(DATA))
    assert hrefs(item_from_pystac(pystac.Item.from_file(str(path)))) == [f"{tmp_path}/red.tif"]
    for other in ({"id": "y"}, {"collection": "d"}):
        path.write_text(json.dumps(DATA | other))
        with pytest.raises(SceneError, match="lies outside"):
            hrefs(item_from_dict(DATA, str(path)))


def test_other_data_are_refused():
    for data in ({}, {"type": "Feature"}, DATA | {"assets": []}, DATA | {"type": "Collection"}):
        with pytest.raises(SceneError):
            item_from_dict(data)
