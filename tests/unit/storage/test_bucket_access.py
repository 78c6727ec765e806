"""Tests of buckets of others: region, payer, and the reasons of refusals."""

import contextlib
from io import BytesIO

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from urllib3 import HTTPResponse

from swath import storage
from swath.errors import InputError, SceneError
from swath.storage.s3_objects import get_range

URI = "s3://usgs-landsat/collection02/x.tif"
PAYS = storage.BucketAccess("us-west-2", requester_pays=True)
READS = {
    "status": storage.status,
    "status_and_head": lambda uri: storage.status_and_head(uri, 10),
    "read_bytes": storage.read_bytes,
    "read_end": lambda uri: storage.read_end(uri, 8),
    "get_range": lambda uri: get_range(uri, "e", 0, 10),
    "list": lambda uri: list(storage.iterate_objects(uri)),
}


@pytest.fixture(autouse=True)
def fresh():
    yield
    storage.forget_buckets()
    storage.s3.cache_clear()


@pytest.fixture
def answer():
    """Makes S3 answer with a status, a code and headers; gives the requests that were sent."""
    storage.s3.cache_clear()
    sent = []

    def answer(status, code, headers=None, region="us-west-2"):
        def send(request, **_):
            sent.append(request)
            text = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            # Responses to HEAD have no body.
            body = b"" if request.method == "HEAD" else text
            raw = HTTPResponse(BytesIO(body), status=status, preload_content=False)
            return AWSResponse(request.url, status, headers or {}, raw)

        for client in (storage.s3(region), storage.s3()):
            client.meta.events.register_first("before-send.s3", send)
        return sent

    return answer


@pytest.mark.parametrize("read", READS)
def test_each_read_is_signed_for_the_region_and_offers_to_pay(answer, read):
    storage.configure_bucket("usgs-landsat", PAYS)
    sent = answer(404, "NoSuchKey")

    with contextlib.suppress(FileNotFoundError, ClientError):
        READS[read](URI)

    for request in sent:
        assert request.headers["x-amz-request-payer"] == b"requester"
        assert b"/us-west-2/s3/" in request.headers["Authorization"]
    assert sent


@pytest.mark.parametrize("read", READS)
def test_other_buckets_have_the_region_of_the_process_and_are_not_paid_for(answer, read):
    storage.configure_bucket("usgs-landsat", PAYS)
    sent = answer(404, "NoSuchKey")

    with contextlib.suppress(FileNotFoundError, ClientError):
        READS[read]("s3://own-bucket/x.tif")

    for request in sent:
        assert "x-amz-request-payer" not in request.headers
        assert b"/eu-west-1/s3/" in request.headers["Authorization"]
    assert sent


@pytest.mark.parametrize("read", ["status", "status_and_head", "read_bytes", "read_end"])
@pytest.mark.parametrize(
    ("access", "reason"),
    [
        (storage.BucketAccess(), r"missing, may not be read, or requires the reader to pay"),
        (PAYS, r"missing, may not be read: .*; let the policy of the bucket"),
    ],
)
def test_a_refusal_says_what_may_be_the_reason(answer, read, access, reason):
    storage.configure_bucket("usgs-landsat", access)
    answer(403, "AccessDenied")

    with pytest.raises(SceneError, match=reason) as caught:
        READS[read](URI)
    assert URI in str(caught.value)


def test_an_object_that_may_not_be_read_is_not_readable(answer):
    answer(403, "AccessDenied")
    assert not storage.is_readable(URI)

    storage.configure_bucket("usgs-landsat", PAYS)
    assert not storage.is_readable(URI)


def test_an_object_that_cannot_be_read_now_is_neither(answer):
    answer(400, "ExpiredToken")

    with pytest.raises(ClientError):
        storage.is_readable(URI)


def test_a_wrong_region_names_the_right_one(answer):
    storage.configure_bucket("usgs-landsat", storage.BucketAccess("us-west-2"))
    # The region in the answer is that of the request, so that boto3 does not try another one.
    answer(301, "PermanentRedirect", {"x-amz-bucket-region": "eu-central-1"})

    with pytest.raises(SceneError, match=r"not lie in us-west-2.*\?region=eu-central-1"):
        storage.read_bytes(URI)


@pytest.mark.parametrize("region", ["us west", "US-WEST-2", "west", "us-west-2;x"])
def test_a_region_that_does_not_exist_is_refused(region):
    with pytest.raises(InputError, match="no AWS region"):
        storage.configure_bucket("x", storage.BucketAccess(region))
