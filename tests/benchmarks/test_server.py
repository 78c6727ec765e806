import http.client

import boto3
import numpy as np
import pytest
import rasterio

from benchmarks.server import BUCKET, run_server
from swath import storage
from swath.raster.scene import open_scene


@pytest.fixture
def served(tmp_path):
    (tmp_path / "digits").write_bytes(b"0123456789" * 100)
    with run_server(tmp_path, latency=0.0) as endpoint:
        yield endpoint


@pytest.fixture
def s3(served, monkeypatch):
    for name, value in served.environment().items():
        monkeypatch.setenv(name, value)
    storage.s3.cache_clear()
    yield boto3.client("s3")
    storage.s3.cache_clear()


def ask(served, key="digits", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    connection.request("GET", f"/{BUCKET}/{key}", headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


@pytest.mark.parametrize(
    ("header", "wanted"), [("bytes=3-6", b"3456"), ("bytes=995-", b"56789"), ("bytes=-2", b"89")]
)
def test_ranges_are_those_asked_for(served, header, wanted):
    assert ask(served, Range=header) == (206, wanted)


def test_requests_and_bytes_are_counted_once(served):
    ask(served)
    ask(served, Range="bytes=10-19")
    assert served.take_requests() == [["GET", 0, 1000], ["GET", 10, 10]]
    assert served.take_requests() == []


def test_a_replaced_object_is_refused(served):
    assert ask(served, **{"If-Match": '"another"'})[0] == 412


def test_boto3_takes_it_for_s3(s3, tmp_path):
    head = s3.head_object(Bucket=BUCKET, Key="digits")
    assert head["ContentLength"] == 1000
    body = s3.get_object(Bucket=BUCKET, Key="digits", Range="bytes=0-4", IfMatch=head["ETag"])
    assert body["Body"].read() == b"01234"
    assert storage.etag(f"s3://{BUCKET}/nothing") is None
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=BUCKET, Key="nothing")


def test_swath_reads_a_scene_from_it(s3, make_scene):
    path = make_scene(np.array([[[1, 2], [3, 4]]], np.uint8), name="scene.tif")
    with open_scene(f"s3://{BUCKET}/scene.tif") as scene, rasterio.open(path) as truth:
        pixels, _ = scene.read((0, 0, 2, 2), [1])
        assert (pixels == truth.read()).all()
