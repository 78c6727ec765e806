"""Tests of folders of labeled scenes on S3 while S3 fails."""

from io import BytesIO

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto import mock_aws
from urllib3 import HTTPResponse

from swath import storage
from swath.errors import TransientError
from swath.labels.files import hash_files, list_scenes


@pytest.fixture
def bucket(monkeypatch):
    """Yield the client of a bucket with a scene; swath uses the same client."""
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="maps")
        client.put_object(Bucket="maps", Key="scenes/a.tif", Body=b"a")
        monkeypatch.setattr(storage, "s3", lambda: client)
        yield client


def test_a_folder_on_s3_is_listed_and_its_bytes_are_summed(bucket):
    assert list_scenes("s3://maps/scenes") == ["s3://maps/scenes/a.tif"]
    (digest,) = hash_files(["s3://maps/scenes/a.tif"])
    assert digest.startswith("ca978112")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: list_scenes("s3://maps/scenes"), "s3://maps/scenes cannot be listed"),
        (
            lambda: hash_files(["s3://maps/scenes/a.tif"]),
            "s3://maps/scenes/a.tif cannot be read",
        ),
    ],
)
def test_what_s3_cannot_do_now_may_be_asked_again(bucket, monkeypatch, ask, said):
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)

    def answer(request, **_):
        raw = HTTPResponse(BytesIO(b""), status=503, preload_content=False)
        return AWSResponse(request.url, 503, {}, raw)

    bucket.meta.events.register_first("before-send.s3", answer)

    with pytest.raises(TransientError, match=said):
        ask()
