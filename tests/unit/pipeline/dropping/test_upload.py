"""Tests of uploads: order, progress, checksums, and files that change meanwhile."""

import os
from dataclasses import replace

import boto3
import pytest

from swath import storage
from swath.errors import InputError
from swath.messages.acquisition_time import METADATA_KEY
from swath.pipeline.dropping.drops import PlannedDrop, Upload
from swath.pipeline.dropping.upload import upload_drop


@pytest.fixture
def planned(tmp_path, http_bucket):
    """Two files of 9 MB and 5 bytes, and the document that names them."""
    contents = {"B02.tif": bytes(9_000_000), "B03.tif": b"small"}
    files = []
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        uri = f"{http_bucket}/files/{name}"
        files.append(Upload(path=tmp_path / name, uri=uri, size=len(content)))
    return PlannedDrop(uri=f"{http_bucket}/incoming/x.json", files=files, document=b"{}")


def test_all_objects_are_there_and_the_document_is_last(planned, http_bucket):
    dropped = upload_drop(planned, lambda *_: None)

    for file in planned.files:
        assert storage.read_bytes(file.uri) == file.path.read_bytes()
    assert storage.read_bytes(planned.uri) == b"{}"
    assert (dropped.uri, dropped.etag) == (planned.uri, storage.etag(planned.uri))
    listed = boto3.client("s3").list_objects_v2(Bucket=http_bucket.removeprefix("s3://"))
    times = {entry["Key"]: entry["LastModified"] for entry in listed["Contents"]}
    assert max(times.values()) == times["incoming/x.json"] == dropped.dropped_at


def test_progress_counts_the_bytes_of_all_files(planned):
    calls = []

    upload_drop(planned, lambda *call: calls.append(call))

    assert calls[0] == ("B02.tif", 0, 9_000_005)
    assert calls[-1] == ("B03.tif", 9_000_005, 9_000_005)
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)


def test_each_object_has_a_checksum(planned):
    upload_drop(planned, lambda *_: None)

    bucket, key = storage.split_s3(planned.files[1].uri)
    head = boto3.client("s3").head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"]


def test_a_file_that_changes_meanwhile_starts_no_run(planned):
    def change(name, done, total):
        if name == "B03.tif" and done < total:
            os.utime(planned.files[0].path)
            planned.files[1].path.write_bytes(b"other")
            os.utime(planned.files[1].path, ns=(5, 5))

    def touch(name, done, total):
        if done == total:
            os.utime(planned.files[1].path, ns=(7, 7))

    with pytest.raises(InputError, match=r"B03\.tif was changed while it was uploaded"):
        upload_drop(planned, lambda *call: (change(*call), touch(*call)))

    assert not storage.exists(planned.uri)


def test_the_time_of_acquisition_goes_with_the_object_that_starts_the_run(planned):
    upload_drop(replace(planned, acquired_at="2026-11-28T10:30:00Z"), lambda *_: None)

    assert storage.user_metadata(planned.uri)[METADATA_KEY] == "2026-11-28T10:30:00Z"
    assert storage.user_metadata(planned.files[0].uri) == {}


def test_the_time_goes_with_a_scene_of_one_file(planned):
    (first, *_) = planned.files
    drop = PlannedDrop(uri=first.uri, files=[first], acquired_at="2026-11-28T10:30:00Z")

    upload_drop(drop, lambda *_: None)

    assert storage.user_metadata(first.uri)[METADATA_KEY] == "2026-11-28T10:30:00Z"
