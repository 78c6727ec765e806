"""Items of others: on an https server, and in buckets whose readers pay."""

import json
from pathlib import Path

import numpy as np
import pytest

from swath import storage
from swath.errors import SceneError
from swath.items import SceneSources, read_item, select_assets
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import BandNeeds

PIXELS = np.arange(600, dtype=np.uint16).reshape(1, 20, 30)


def item(**hrefs):
    assets = {
        key: {"href": href, "type": "image/tiff", "bands": [{"name": key}]}
        for key, href in hrefs.items()
    }
    data = {"type": "Feature", "stac_version": "1.1.0", "id": "x", "properties": {}}
    return json.dumps(data | {"assets": assets}).encode()


@pytest.fixture
def archive(https_archive, make_scene):
    """An https server with two bands in a folder, and one outside of it."""
    for name in ("scene/red.tif", "scene/sub/nir.tif", "secret.tif"):
        https_archive.put(name, Path(make_scene(PIXELS, name="band.tif")).read_bytes())
    return https_archive


def test_an_item_on_a_server_is_read_with_the_files_beside_it(archive):
    uri = archive.put("scene/item.json", item(red="./red.tif", nir="sub/nir.tif"))
    scene = read_item(uri, SceneSources.parse([uri.rpartition("/")[0]]))
    assert archive.asked == [("scene/item.json", "bytes=0-8388607")]

    with open_model_scene(scene, BandNeeds(("nir", "red"))) as opened:
        pixels, _ = opened.scene.read((0, 0, 30, 20), opened.bands)
        np.testing.assert_array_equal(pixels, np.concatenate([PIXELS, PIXELS]))
        assert [one.etag for one in opened.stack.assets] == [
            archive.etags[name].strip('"') for name in ("scene/sub/nir.tif", "scene/red.tif")
        ]


@pytest.mark.parametrize("href", ["../secret.tif", "/secret.tif", "https://localhost:1/red.tif"])
def test_nothing_else_of_the_server_is_asked_for(archive, href):
    uri = archive.put("scene/item.json", item(red=href))
    sources = SceneSources().with_files([uri])
    with pytest.raises(SceneError), open_model_scene(read_item(uri, sources), BandNeeds(("red",))):
        pass
    assert {name for name, _ in archive.asked} == {"scene/item.json"}


def test_a_redirect_leads_nowhere(archive):
    def redirect(handler):
        handler.answer(302, {"Location": archive.address("secret.tif")}, b"")
        return True

    uri = archive.put("scene/item.json", item(red="red.tif"))
    scene = read_item(uri, SceneSources().with_files([uri]))
    archive.fault = redirect
    with pytest.raises(SceneError, match="redirect"), open_model_scene(scene, BandNeeds(("red",))):
        pass
    with pytest.raises(SceneError, match="redirect"):
        read_item(uri, SceneSources().with_files([uri]))
    assert "secret.tif" not in {name for name, _ in archive.asked}


@pytest.fixture
def requests(monkeypatch):
    """Parameters of requests to S3, which has one Item."""
    storage.forget_buckets()
    known = []

    def answer(uri, length):
        known.append((uri, storage.bucket_access(storage.split_s3(uri)[0])))
        content = item(red="red.tif")
        return storage.ObjectStatus("e", len(content)), content

    monkeypatch.setattr(storage, "status_and_head", answer)
    yield known
    storage.forget_buckets()


@pytest.mark.parametrize(
    "uri",
    [
        "s3://usgs-landsat/c2/item.json",
        "https://usgs-landsat.s3.us-west-2.amazonaws.com/c2/item.json",
    ],
)
def test_a_document_is_read_as_its_source_says(requests, uri):
    sources = SceneSources.parse(["s3://usgs-landsat/?requester_pays=true&region=us-west-2"])
    (band,) = select_assets(read_item(uri, sources), ["red"])
    access = storage.BucketAccess("us-west-2", requester_pays=True)
    assert requests == [("s3://usgs-landsat/c2/item.json", access)]
    assert band.href == "s3://usgs-landsat/c2/red.tif"
    assert (band.access.region, band.access.requester_pays) == ("us-west-2", True)


def test_a_bucket_of_no_source_has_no_access_of_its_own(requests):
    read_item("s3://scenes/item.json", SceneSources.parse(["s3://other/"]))
    assert requests == [("s3://scenes/item.json", storage.BucketAccess())]
