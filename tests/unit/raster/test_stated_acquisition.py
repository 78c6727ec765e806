"""Tests of times of acquisition that users and documents state."""

import json
from datetime import datetime

import boto3
import pytest
from moto import mock_aws

from swath import storage
from swath.items import item_from_dict
from swath.messages import UNKNOWN_ACQUISITION, Acquisition
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import BandNeeds
from swath.raster.stated_acquisition import describe_acquisition, stated_acquisition

DOCUMENT = Acquisition(acquired_at="2026-01-01T00:00:00Z", platform="sentinel-2a")


@pytest.fixture
def drop():
    """Return a function that writes an object with a time in its metadata, and gives its URI."""
    storage.s3.cache_clear()
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(
            Bucket="scenes", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )

        def put(time=None):
            metadata = {} if time is None else {"acquired-at": time}
            client.put_object(Bucket="scenes", Key="x.tif", Body=b"x", Metadata=metadata)
            return "s3://scenes/x.tif"

        yield put
    storage.s3.cache_clear()


def test_a_time_that_was_dropped_with_the_scene_counts(drop):
    uri = drop("2026-05-31T12:00:00+02:00")
    stated, warnings = stated_acquisition(uri, "", DOCUMENT)
    assert stated == Acquisition(acquired_at="2026-05-31T10:00:00Z", platform="sentinel-2a")
    assert warnings == []


def test_a_given_time_comes_first(drop):
    uri = drop("2026-05-31T12:00:00Z")
    stated, _ = stated_acquisition(uri, "2026-02-02T00:00:00Z", DOCUMENT)
    assert stated.acquired_at == "2026-02-02T00:00:00Z"


def test_without_one_the_document_decides(drop, tmp_path):
    assert stated_acquisition(drop(), "", DOCUMENT) == (DOCUMENT, [])
    local = str(tmp_path / "x.tif")
    assert stated_acquisition(local, "", UNKNOWN_ACQUISITION) == (UNKNOWN_ACQUISITION, [])


def test_a_time_that_cannot_be_used_is_said_and_not_used(drop):
    stated, (warning,) = stated_acquisition(drop("yesterday"), "", UNKNOWN_ACQUISITION)
    assert stated == UNKNOWN_ACQUISITION
    assert warning.startswith("s3://scenes/x.tif was given the time of acquisition 'yesterday'")
    assert "is no time" in warning


@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("s2_l2a_29RKH", ("red", "nir")),
        ("landsat_c2l1_089074", ("red", "nir08")),
    ],
)
def test_real_items_state_their_own(data, name, bands):
    (path,) = [
        path
        for path in (data / "items" / name).glob("*.json")
        if "stac_version" in json.loads(path.read_text())
    ]
    document = json.loads(path.read_text())
    for asset in document["assets"].values():
        asset["href"] = asset["href"].rpartition("/")[2]
    item, properties = item_from_dict(document, str(path)), document["properties"]
    with open_model_scene(item, BandNeeds(bands)) as opened:
        found, warnings = describe_acquisition(opened, item, uri=item.uri)
    assert datetime.fromisoformat(found.acquired_at) == datetime.fromisoformat(
        properties["datetime"]
    )
    assert found.platform.lower() == properties["platform"].lower()
    assert found.cloud_cover == pytest.approx(properties["eo:cloud_cover"])
    assert found.gsd == properties.get("gsd", found.gsd) > 0
    assert not [text for text in warnings if "acquisition" in text]
