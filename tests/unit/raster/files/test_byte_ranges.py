"""Tests of byte ranges, which are coalesced if that pays."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from botocore.exceptions import ClientError, ResponseStreamingError
from hypothesis import given
from hypothesis import strategies as st

from swath import storage
from swath.errors import SceneChangedError, SceneError, TransientError
from swath.raster.dataset import open_dataset
from swath.raster.files.byte_ranges import (
    MIN_HEADER_BYTES,
    HeaderReader,
    LocalFile,
    S3File,
    coalesce,
    open_file,
    open_header,
)
from swath.raster.files.tiff_header import UnsupportedLayoutError

MB = 1 << 20


def test_blocks_of_a_cog_are_one_range():
    places = np.array([[1000 + i * 100_008, 100_000] for i in range(32)])

    assert coalesce(places) == [(1000, 1000 + 32 * 100_008 - 8)]


def test_what_lies_between_many_blocks_may_grow_with_them():
    """Check that one request reads a row of blocks with small gaps between them."""
    places = np.array([[number * 10_100, 10_000] for number in range(1000)])

    assert coalesce(places) == [(0, 999 * 10_100 + 10_000)]


def test_blocks_far_apart_are_fetched_alone():
    assert coalesce(np.array([[0, MB], [10 * MB, MB]])) == [(0, MB), (10 * MB, 11 * MB)]


def test_a_shared_block_is_fetched_once():
    assert coalesce(np.array([[500, 100]] * 50)) == [(500, 600)]


places = st.lists(
    st.tuples(st.integers(0, 50 * MB), st.integers(1, MB)), min_size=1, max_size=40
).map(np.array)


@given(places)
def test_every_place_lies_in_one_range_and_little_else_does(places):
    ranges = coalesce(places)
    covered = sum(end - start for start, end in ranges)
    useful = 0
    reach = 0
    for offset, length in sorted(map(tuple, places.tolist())):
        useful += max(0, offset + length - max(offset, reach))
        reach = max(reach, offset + length)

    for offset, length in places.tolist():
        assert any(start <= offset and offset + length <= end for start, end in ranges)
    assert all(a[1] < b[0] for a, b in pairwise(ranges))
    assert covered <= 1.05 * useful + 16 * 1024


class TestLocalFile:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "x.bin"
        path.write_bytes(bytes(range(100)))
        return str(path)

    def test_gives_bytes(self, path):
        file = LocalFile(path, storage.etag(path))

        assert file.read_block(0, 10, 3) == bytes([10, 11, 12])
        file.close()

    def test_does_not_give_fewer_than_asked_for(self, path):
        file = LocalFile(path, storage.etag(path))

        with pytest.raises(UnsupportedLayoutError, match="10 of 20 bytes"):
            file.read_block(0, 90, 20)
        file.close()

    def test_notices_that_the_file_is_another(self, path):
        file = LocalFile(path, storage.etag(path))
        storage.write_bytes(path, b"something else")

        with pytest.raises(SceneChangedError, match="replaced"):
            file.prefetch(0, np.empty((0, 2), np.int64))
        file.close()


def test_a_header_is_read_in_large_parts():
    content = np.random.default_rng(0).bytes(3 * MIN_HEADER_BYTES)
    asked = []

    class File:
        def read(self, offset, length):
            asked.append((offset, length))
            return content[offset : offset + length]

    head = HeaderReader(File())

    assert head.read(0, 16) == content[:16]
    assert head.read(1000, 200) == content[1000:1200]
    assert (
        head.read(2 * MIN_HEADER_BYTES, 100)
        == content[2 * MIN_HEADER_BYTES : 2 * MIN_HEADER_BYTES + 100]
    )
    assert asked == [(0, MIN_HEADER_BYTES), (2 * MIN_HEADER_BYTES, MIN_HEADER_BYTES)]
    # The first read starts before the cached bytes, and the second one reaches beyond their end.
    for offset in (2 * MIN_HEADER_BYTES - 50, 3 * MIN_HEADER_BYTES - 20):
        assert head.read(offset, 40) == content[offset : offset + 40]
    assert asked[2:] == [
        (2 * MIN_HEADER_BYTES - 50, MIN_HEADER_BYTES),
        (3 * MIN_HEADER_BYTES - 20, MIN_HEADER_BYTES),
    ]


def test_nothing_lies_where_no_file_reaches():
    """Check an offset of a damaged BigTIFF that no file can have."""
    assert HeaderReader(None).read(1 << 63, 10) == b""


def test_a_file_that_is_open_for_its_header_is_closed_again(make_scene, monkeypatch):
    closed, close = [], LocalFile.close
    monkeypatch.setattr(LocalFile, "close", lambda file: (closed.append(1), close(file))[1])

    with open_dataset(make_scene(np.ones((1, 9, 9), "uint8"))) as dataset:
        closed.clear()
        with open_header(dataset.uri, dataset.etag) as head:
            assert head.read(0, 2) in {b"II", b"MM"}
            assert not closed
        assert closed


def test_a_file_that_is_gone_when_it_is_opened_again_was_replaced(make_scene, tmp_path):
    with open_dataset(make_scene(np.ones((1, 9, 9), "uint8"))) as dataset:
        (tmp_path / "scene.tif").unlink()

        with pytest.raises(SceneChangedError, match="replaced"), ThreadPoolExecutor(1) as fetchers:
            open_file(dataset.uri, dataset.etag, fetchers)


class TestS3File:
    @pytest.fixture
    def uri(self, http_bucket):
        uri = storage.join(http_bucket, "x.bin")
        storage.write_bytes(uri, bytes(range(100)))
        return uri

    @pytest.fixture
    def file(self, uri):
        with ThreadPoolExecutor(2) as fetchers:
            yield S3File(uri, storage.etag(uri), fetchers)

    def test_gives_the_bytes_of_a_row_until_it_is_forgotten(self, file):
        file.prefetch(7, np.array([[10, 5], [40, 20]]))

        assert file.read_block(7, 42, 3) == bytes([42, 43, 44])
        file.release(7)
        with pytest.raises(KeyError):
            file.read_block(7, 42, 3)

    def test_gives_what_there_is_at_the_end(self, file):
        assert file.read(90, 100) == bytes(range(90, 100))
        assert file.read(200, 10) == b""

    def test_does_not_give_fewer_than_expected(self, file):
        file.prefetch(0, np.array([[90, 20]]))

        with pytest.raises(UnsupportedLayoutError, match="10 of 20 bytes"):
            file.read_block(0, 90, 20)

    def test_notices_that_the_object_is_another(self, uri, file):
        storage.write_bytes(uri, b"something else")

        with pytest.raises(SceneChangedError, match="replaced"):
            file.read(0, 10)

    def test_notices_that_the_object_is_gone(self, uri, file):
        bucket, key = storage.split_s3(uri)
        storage.s3().delete_object(Bucket=bucket, Key=key)

        with pytest.raises(SceneChangedError, match="replaced"):
            file.read(0, 10)

    def test_asks_again_when_an_answer_breaks_off(self, file, monkeypatch):
        broken = iter([True, True, False])
        original = storage.s3().get_object

        def get_object(**options):
            response = original(**options)
            return {"Body": Broken()} if next(broken) else response

        monkeypatch.setattr(storage.s3(), "get_object", get_object)

        assert file.read(0, 3) == bytes([0, 1, 2])

    def test_an_answer_that_keeps_breaking_off_is_no_fault_of_the_scene(
        self, uri, file, monkeypatch
    ):
        monkeypatch.setattr(storage.s3(), "get_object", lambda **_: {"Body": Broken()})

        with pytest.raises(TransientError, match=uri):
            file.read(0, 3)

    @pytest.mark.parametrize("status", [429, 503])
    def test_a_busy_store_is_no_fault_of_the_scene(self, uri, file, monkeypatch, status):
        monkeypatch.setattr(storage.s3(), "get_object", refusing(status))

        with pytest.raises(TransientError, match=uri):
            file.read(0, 3)

    def test_a_refusal_is_told(self, file, monkeypatch):
        monkeypatch.setattr(storage.s3(), "get_object", refusing(403))

        with pytest.raises(SceneError, match=r"bytes 0 to 3.*refused"):
            file.read(0, 3)


class Broken:
    """A response body whose connection is lost."""

    def read(self):
        raise ResponseStreamingError(error="connection lost")


def refusing(status):
    def get_object(**_):
        response = {
            "Error": {"Code": "Refused", "Message": "refused"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }
        raise ClientError(response, "GetObject")

    return get_object
