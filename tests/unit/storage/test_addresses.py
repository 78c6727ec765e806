import pytest

from swath import storage
from swath.errors import InputError


def test_an_address_may_hold_bytes_that_are_no_text():
    """Check a file name in another encoding, as a shell passes it on."""
    key = "scenes/" + b"caf\xe9.tif".decode(errors="surrogateescape")

    assert storage.split_s3(f"s3://work/{key}") == ("work", key)


def test_an_address_below_a_bucket_without_a_name_is_no_folder_here():
    with pytest.raises(InputError, match="which S3 does not allow"):
        storage.join("s3:///", "bright", "model.tar.gz")
