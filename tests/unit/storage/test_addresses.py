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


class TestHttps:
    def test_the_canonical_address_keeps_path_and_query(self):
        uri = "HTTPS://Example.COM:8443/a%20b/./X.tif?sig=a%2Fb&x=1"

        assert storage.resolve(uri, allow_https=True) == (
            "https://example.com:8443/a%20b/./X.tif?sig=a%2Fb&x=1"
        )

    @pytest.mark.parametrize(
        "uri",
        [
            "https://",
            "https:///x.tif",
            "https://user:secret@example.com/x.tif",
            "https://example.com/x.tif#part",
            "https://example.com/x y.tif",
            "https://example.com/x.tif\r\nHost: other",
            "https://example.com:port/x.tif",
            "https://[::1/x.tif",
        ],
    )
    def test_an_address_to_which_no_request_can_be_sent_is_refused(self, uri):
        with pytest.raises(InputError) as caught:
            storage.resolve(uri, allow_https=True)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("uri", ["http://example.com/x.tif", "ftp://example.com/x.tif"])
    def test_other_schemes_are_refused(self, uri):
        with pytest.raises(InputError, match="nor an https address"):
            storage.resolve(uri, allow_https=True)

    def test_only_scenes_may_have_one(self):
        with pytest.raises(InputError, match="neither a path nor an S3 URI"):
            storage.resolve("https://example.com/model.tar.gz")

    def test_the_query_is_not_part_of_the_name(self):
        uri = "https://example.com/a/x.tif?sig=a/b"

        assert storage.file_name(uri) == "x.tif"
        assert storage.with_suffix(uri, ".msk") == "https://example.com/a/x.tif.msk?sig=a/b"
        assert storage.join("https://example.com/a/?sig=1", "b") == "https://example.com/a/b?sig=1"
        assert storage.with_suffix("s3://b/x?y.tif", ".msk") == "s3://b/x?y.tif.msk"
