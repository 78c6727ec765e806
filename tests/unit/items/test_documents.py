"""Reading the document of a scene, however hostile it is."""

import json
import socket

import hypothesis
import hypothesis.strategies as st
import pytest

from swath.errors import SceneError
from swath.items import (
    item_from_dict,
    item_from_files,
    parse_item,
    read_item,
    select_assets,
)
from swath.items.documents import MAX_DOCUMENT_BYTES
from tests.helpers.fuzzing import draws

URI = "s3://scenes/incoming/item.json"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*args, **kwargs):
        pytest.fail("a document made swath ask the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def stac(**members):
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "x",
        "collection": "c",
        "properties": {"datetime": "2024-05-31T10:00:00Z"},
        "geometry": None,
        "links": [{"rel": "self", "href": "https://evil.example/item.json"}],
        "assets": {"red": {"href": "./red.tif", "type": COG}},
        **members,
    }


def parse(data, uri=URI):
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    return parse_item(content, uri, etag="e")


def refusal(data, **options):
    with pytest.raises(SceneError) as caught:
        select_assets(parse(data, **options), ["red"])
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1500
    return message


def test_an_item_is_a_scene():
    scene = parse(stac())
    assert (scene.uri, scene.etag, scene.scene_id) == (URI, "e", "c/x")
    assert scene.acquisition.acquired_at == "2024-05-31T10:00:00Z"
    assert [asset.href for asset in scene.assets] == ["s3://scenes/incoming/red.tif"]


def test_an_item_without_a_collection_is_known_by_its_id():
    assert parse(stac(collection=None)).scene_id == "x"


def test_identities_of_different_items_differ():
    parts = [
        ("a/b", "c"),
        ("a", "b/c"),
        (None, "a/b/c"),
        ("a%2Fb", "c"),
        ("s3:", "/b"),
        (None, "/x"),
    ]
    ids = [parse(stac(collection=collection, id=name)).scene_id for collection, name in parts]
    assert len(set(ids)) == len(ids)
    assert not any(one.startswith(("/", "s3://")) for one in ids)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_of_windows_are_read(encoding):
    text = json.dumps(stac(id="é"), ensure_ascii=False)
    assert parse(text.encode(encoding)).item_id == "é"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a valid document"),
        (b"\x00\xff\xfe", "not a valid document"),
        (b"II*\x00" + bytes(100), "not a valid document"),
        (b"null", "not a valid document"),
        (b"[]", "not a valid document"),
        (b"[" * 100_000, "not a valid document"),
        (b'{"a":' * 100_000, "not a valid document"),
        (b'{"type": "Feature", "stac_version": "1.0.0", "id": "x", "assets": NaN}', "not a valid"),
        (json.dumps(stac()).encode()[:-3], "not a valid document"),
        ({}, "no STAC Item"),
        ({"type": "Feature"}, "no STAC Item"),
        ({"type": "Feature", "stac_version": 1}, "no STAC Item"),
        ({"type": ["Feature"], "stac_version": "1.0.0"}, "no STAC Item"),
        ({"type": "FeatureCollection", "features": []}, "a collection of Features"),
        ({"type": "Collection", "stac_version": "1.0.0"}, "a STAC Collection"),
        ({"type": "Catalog", "stac_version": "1.0.0"}, "a STAC Catalog"),
        (stac(stac_version="2.0.0"), "STAC version '2.0.0', which swath does not read"),
        (stac(stac_version="latest\n"), "which swath does not read"),
        (stac(stac_version="0.8.0", assets=[]), "pystac cannot upgrade it"),
        (stac(assets=None), "Expected `object`"),
        (stac(assets={}), "no asset that is a GeoTIFF, JPEG 2000 or NITF file; its assets: none"),
        (stac(assets=[]), "Expected `object`"),
        (stac(assets={"red": "red.tif"}), "Expected `object`"),
        (stac(assets={"red": {}}), "missing required field `href`"),
        (stac(assets={"red": {"href": 1}}), "Expected `str`"),
        (stac(assets={"red": {"href": "r.tif", "gsd": "10"}}), "Expected `float | null`"),
        (stac(assets={"red": {"href": "r.tif", "bands": [1]}}), "Expected `object`"),
        (stac(assets={"red": {"href": "r.tif", "roles": "data"}}), "Expected `array | null`"),
        (stac(assets={"t": {"href": "r.tif", "roles": ["thumbnail"]}}), "its assets: t"),
        (stac(assets={"red": {"href": "red.tif", "nodata": "none"}}), "nodata value 'none'"),
        (stac(assets={"red": {"href": "r.tif", "bands": [{"name": "a\nb"}]}}), "not printable"),
        (stac(properties=[]), "Expected `object`"),
        (stac(id=7), "Expected `str`"),
        (stac(id=""), "the id ''; it must be printable"),
        (stac(id="a\nb"), "it must be printable"),
        (stac(id="\x1b[2J"), "it must be printable"),
        (stac(id="x" * 201), "from 1 to 200 characters"),
        (stac(collection="a\x00"), "the collection"),
        (stac(collection="x" * 201), "the collection"),
        (stac(assets={f"a{i}": {"href": "a.tif"} for i in range(10_000)}), "has 10,000 assets"),
        (
            stac(assets={f"a{i}": {"href": "a.tif", "bands": [{}] * 11} for i in range(1000)}),
            "describes 11,000 bands",
        ),
        (
            stac(assets={"red": {"href": "red.tif", "bands": [{}] * 1001}}),
            "describes 1,001 bands",
        ),
        (
            stac(
                assets={"red": {"href": "red.tif", "eo:bands": [{}] * 2, "raster:bands": [{}] * 3}}
            ),
            "2 bands by name and 3 by raster:bands",
        ),
        (stac(assets={"red": {"href": "red.tif", "eo:bands": [3]}}), "refers to band 3 of 0"),
        (
            json.dumps(stac(assets={"red": {"href": "r.tif", "gsd": 0}}))
            .replace('"gsd": 0', '"gsd": 1e999')
            .encode(),
            "not a valid document",
        ),
    ],
)
def test_a_hostile_document_gets_one_sentence(data, reason):
    assert reason in refusal(data)


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "../secret/red.tif",
        "a/../../red.tif",
        "..",
        ".",
        "",
        "//evil.example/red.tif",
        "http://evil.example/red.tif",
        "https://evil.example/red.tif",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/red.tif",
        "https://[::1]/red.tif",
        "https://scenes@evil.example/red.tif",
        "s3://other/red.tif",
        "s3://scenes/outgoing/red.tif",
        "s3://scenes/incoming/../red.tif",
        "s3://scenes/incoming%2F..%2Fred.tif",
        "/vsicurl/https://evil.example/red.tif",
        "/vsizip/s3://scenes/a.zip/red.tif",
        "GTIFF_DIR:2:red.tif",
        "NETCDF:red.nc:x",
        "red.tif\\..\\x",
        "red.tif\n",
        "item.json",
        "./item.json",
        URI,
        "x" * 10_000,
        "a" * 1500,
    ],
)
def test_a_hostile_address_is_refused(href):
    refusal(stac(assets={"red": {"href": href, "type": COG}}))


def test_a_hostile_address_of_another_band_does_not_matter():
    assets = {
        "red": {"href": "red.tif", "type": COG},
        "blue": {"href": "file:///etc/passwd", "type": COG},
    }
    assert [one.key for one in select_assets(parse(stac(assets=assets)), ["red"])] == ["red"]


def test_links_of_an_item_are_never_followed():
    links = [{"rel": "collection", "href": "https://evil.example/c.json"}]
    for version in ("0.6.2", "0.7.0", "0.8.1", "0.9.0", "1.0.0", "1.1.0"):
        scene = parse(stac(stac_version=version, links=links, stac_extensions=["commons", "eo"]))
        assert [asset.key for asset in scene.assets] == ["red"]


def test_the_last_of_equal_keys_counts_as_in_other_readers():
    text = json.dumps(stac())
    text = text.replace('"red": {', '"red": {"href": "first.tif"}, "red": {')
    assert parse(text.encode()).assets[0].href.endswith("/red.tif")


def test_a_document_over_the_limit_is_not_read(tmp_path):
    path = tmp_path / "item.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(SceneError, match="has at most 8 MiB"):
        read_item(str(path))
    with pytest.raises(SceneError, match="has at most 8 MiB"):
        parse_item(b" " * (MAX_DOCUMENT_BYTES + 1), URI)


def test_a_document_of_many_small_values_is_not_parsed():
    for value in ("{}", "[]", '""', "1"):
        text = json.dumps(stac(x=0)).replace('"x": 0', f'"x": [{",".join([value] * 500_000)}]')
        with pytest.raises(SceneError, match="the document of a scene has at most 500,000"):
            parse(text.encode())


def test_only_some_alternate_addresses_are_considered():
    alternates = {str(index): {"href": "s3://other/red.tif"} for index in range(25)}
    for last, allowed in ((15, True), (24, False)):
        known = alternates | {str(last): {"href": "red.tif"}}
        scene = parse(
            stac(assets={"red": {"href": "s3://x/red.tif", "type": COG, "alternate": known}})
        )
        assert bool(scene.assets[0].href) is allowed


def test_a_large_old_item_is_not_upgraded():
    text = json.dumps(stac(stac_version="0.9.0", description="x" * (1 << 20)))
    with pytest.raises(SceneError, match="and more than 1 MiB"):
        parse(text.encode())


def test_a_document_is_read_with_its_etag(tmp_path):
    path = tmp_path / "item.json"
    path.write_text(json.dumps(stac()))
    scene = read_item(str(path))
    assert scene.etag
    assert scene.assets[0].href == f"{tmp_path}/red.tif"
    with pytest.raises(SceneError, match="does not exist"):
        read_item(f"{tmp_path}/other.json")


def test_an_https_document_has_to_lie_in_a_source():
    with pytest.raises(SceneError, match="outside the allowed sources"):
        read_item("https://evil.example/item.json")


def test_a_list_of_files_is_known_by_its_files():
    uris = ["/data/x_B02.tif", "/data/x_B03.tif"]
    scene = item_from_files(uris)
    assert scene.scene_id == ""
    assert scene.uri == item_from_files(uris[::-1]).uri
    assert scene.uri != item_from_files(uris[:1]).uri
    assert scene.uri.startswith("/data/files-")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    ["type", "href", "roles", "gsd", "bands", "eo:bands", "raster:bands", "nodata", "alternate"]
)


@pytest.mark.fuzz
@hypothesis.settings(max_examples=draws(200, fuzz=5000))
@hypothesis.given(
    st.dictionaries(MEMBERS, JSON, max_size=4),
    st.dictionaries(
        st.sampled_from(["datetime", "platform", "gsd", "eo:bands", "eo:cloud_cover"]), JSON
    ),
    st.dictionaries(
        st.sampled_from(["id", "collection", "stac_version", "files"]), JSON, max_size=2
    ),
)
def test_any_item_is_read_or_refused(asset, properties, members):
    data = stac(assets={"red": {"href": "red.tif", **asset}}, properties=properties, **members)
    for read in (lambda: item_from_dict(data, URI), lambda: parse(data)):
        try:
            select_assets(read(), ["red"])
        except SceneError as error:
            message = str(error)
        else:
            message = ""
        assert "\n" not in message
