"""Tests of times of acquisition that users and documents state."""

import boto3
import pytest
from moto import mock_aws

from swath import storage
from swath.messages import UNKNOWN_ACQUISITION, Acquisition
from swath.raster.stated_acquisition import stated_acquisition

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
