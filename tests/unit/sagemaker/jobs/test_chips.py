import boto3
import pytest

from swath.errors import InputError
from swath.sagemaker.jobs.chips import MAX_IMAGE_MB, list_chips


@pytest.fixture
def objects(aws):
    """Return a function that puts objects of given sizes in bytes below `s3://scenes/chips/`."""

    def put(sizes):
        for key, size in sizes.items():
            boto3.client("s3").put_object(Bucket="scenes", Key=f"chips/{key}", Body=bytes(size))

    return put


def test_what_can_be_no_image_is_left_out_with_its_reason(objects):
    objects({"": 0, "a.tif": 1, "b/c.PNG": 1, "a.tif.aux.xml": 9, "empty.tif": 0})
    objects({"large.npy": MAX_IMAGE_MB * 1024**2 + 1, "largest.npy": MAX_IMAGE_MB * 1024**2})

    found = list_chips("s3://scenes/chips")

    assert found.manifest == [{"prefix": "s3://scenes/chips/"}, "a.tif", "b/c.PNG", "largest.npy"]
    assert found.skipped == (
        "s3://scenes/chips/ (empty)",
        "a.tif.aux.xml (unknown suffix)",
        "empty.tif (empty)",
        "large.npy (more than 25 MB)",
    )
    assert found.notice.endswith("empty.tif (empty) and 1 more")


def test_folders_that_begin_alike_are_others(objects):
    objects({"a.tif": 1})
    boto3.client("s3").put_object(Bucket="scenes", Key="chips-2/b.tif", Body=b"b")

    found = list_chips("s3://scenes/chips")

    assert found.keys == ("a.tif",)
    assert found.notice == ""


@pytest.mark.parametrize("sizes", [{}, {"a.txt": 1}])
def test_no_image(objects, sizes):
    objects(sizes)

    with pytest.raises(InputError, match=r"no image below s3://scenes/chips/; .* named \.tif"):
        list_chips("s3://scenes/chips/")
