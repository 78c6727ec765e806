import re
import tempfile
from pathlib import Path

import boto3
import pytest

from swath import storage
from swath.errors import InputError


@pytest.mark.parametrize(
    "name", ["x" * 900 + ".tif", "é" * 400 + ".tif", "a:b?c*\n.tif", "..hidden.tif", "..."]
)
def test_the_copy_of_an_object_has_a_name_that_any_disk_takes(bucket: str, name: str):
    uri = f"{bucket}/scenes/{name}"
    boto3.client("s3").put_object(Bucket="work", Key=f"scenes/{name}", Body=b"pixels")

    with storage.reading(uri) as path:
        assert path.read_bytes() == b"pixels"
        assert re.fullmatch(r"[\w-][\w.-]*", path.name)
        assert path.suffix == (".tif" if name.endswith(".tif") else "")
    assert not path.exists()


def test_a_missing_object_cannot_be_opened_as_a_file(bucket: str):
    with (
        pytest.raises(FileNotFoundError, match="s3://work/nothing"),
        storage.reading("s3://work/nothing"),
    ):
        pass


def test_a_file_is_written_whole(root: str):
    uri = storage.join(root, "c.bin")

    with storage.writing(uri) as path:
        path.write_bytes(b"x" * 1000)
        assert not storage.exists(uri)

    with storage.reading(uri) as path:
        assert path.read_bytes() == b"x" * 1000


def test_a_write_that_fails_leaves_what_was_there(root: str):
    uri = storage.join(root, "d.bin")
    storage.write_bytes(uri, b"old")

    def fail() -> None:
        with storage.writing(uri) as path:
            path.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert storage.read_bytes(uri) == b"old"


def test_a_failed_local_write_leaves_no_other_file(tmp_path: Path):
    def fail() -> None:
        with storage.writing(str(tmp_path / "e.bin")):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["s3", "local"])
def test_copies_cross_between_kinds_of_storage(root: str, target: str, tmp_path: Path, bucket: str):
    goal = "s3://work/copy.bin" if target == "s3" else str(tmp_path / "copy.bin")
    source = storage.join(root, "h.bin")
    storage.write_bytes(source, b"payload")

    storage.copy(source, goal)

    assert storage.read_bytes(goal) == b"payload"


def test_objects_are_read_one_after_the_other(root: str):
    uris = [storage.join(root, f"{number}.bin") for number in range(7)]
    for number, uri in enumerate(uris):
        storage.write_bytes(uri, bytes([number]))

    found = [path.read_bytes() for path in storage.reading_each(uris, max_prefetched=3)]

    assert found == [bytes([number]) for number in range(7)]
    assert list(storage.reading_each([], max_prefetched=3)) == []


def test_few_copies_of_objects_lie_here_at_a_time_and_none_at_last(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    uris = [storage.join(bucket, f"{number}.bin") for number in range(9)]
    for uri in uris:
        storage.write_bytes(uri, b"x")

    files = storage.reading_each(uris, max_prefetched=2)
    lying = [len(list(tmp_path.iterdir())) for _ in zip(files, range(4), strict=False)]
    files.close()

    assert max(lying) <= 3
    assert list(tmp_path.iterdir()) == []


def test_a_missing_object_ends_the_reading_where_it_should_be(root: str):
    uris = [storage.join(root, f"{number}.bin") for number in range(5)]
    for uri in uris[:2] + uris[3:]:
        storage.write_bytes(uri, b"x")
    found = []

    with pytest.raises(FileNotFoundError, match=r"2\.bin"):
        found.extend(path.read_bytes() for path in storage.reading_each(uris, max_prefetched=2))
    assert len(found) == 2


def test_a_bucket_is_no_object_to_write(bucket: str):
    """Check that the error comes before the work, whose result could not be written."""
    with pytest.raises(InputError, match="is a bucket; give the address"), storage.writing(bucket):
        pytest.fail("there is nowhere to write to")
