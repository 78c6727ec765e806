from datetime import UTC, datetime, timedelta

import boto3
import pytest

from swath import storage
from swath.errors import InputError


def fill(root, *paths):
    for path in paths:
        storage.write_bytes(storage.join(root, path), path.encode())


def test_objects_are_listed_below_their_folder_only(root):
    fill(root, "f/b.tif", "f/a/c.tif", "f/a.tif", "fg/x", "g")
    for folder in (storage.join(root, "f"), storage.join(root, "f") + "/"):
        listed = storage.list_objects(folder, 10)
        assert list(listed) == sorted(["a.tif", "a/c.tif", "b.tif"])
    found = listed["a/c.tif"]
    assert (found.size, found.etag) == (9, storage.etag(storage.join(root, "f/a/c.tif")))
    assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=1)


def test_a_list_begins_after_a_path(root):
    fill(root, "f/1/a", "f/1/b", "f/2/a")
    assert list(storage.list_objects(storage.join(root, "f"), 9, after="1/a")) == ["1/b", "2/a"]
    assert storage.list_objects(storage.join(root, "f"), 9, after="2/b") == {}


def test_a_folder_that_is_not_there_has_no_objects(root):
    assert storage.list_objects(storage.join(root, "nothing"), 10) == {}


def test_more_objects_than_wanted_are_refused(root):
    fill(root, "f/1", "f/2", "f/3")
    assert len(storage.list_objects(storage.join(root, "f"), 3)) == 3
    with pytest.raises(InputError, match="has more than 2 objects"):
        storage.list_objects(storage.join(root, "f"), 2)


def test_markers_of_folders_are_left_out_and_all_pages_are_read(bucket):
    s3 = boto3.client("s3")
    s3.put_object(Bucket="work", Key="f/")
    s3.put_object(Bucket="work", Key="f/sub/")
    for number in range(1001):
        s3.put_object(Bucket="work", Key=f"f/{number:04}")
    assert len(storage.list_objects("s3://work/f", 2000)) == 1001
