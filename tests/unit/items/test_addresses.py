"""Parsing addresses of scenes strictly."""

import hypothesis
import hypothesis.strategies as st
import pytest

from swath.errors import SceneError
from swath.items.addresses import MAX_ADDRESS_CHARACTERS, parse_address, shown
from tests.helpers.fuzzing import draws


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("s3://bucket/a/b c.tif", "s3://bucket/a/b c.tif"),
        ("S3://bucket/a%20b.tif", "s3://bucket/a%20b.tif"),
        ("HTTPS://Example.COM:443/A/b.tif", "https://example.com/A/b.tif"),
        ("https://example.com:8443/b.tif", "https://example.com:8443/b.tif"),
        ("https://example.com/a%20b%7E.tif", "https://example.com/a%20b~.tif"),
        ("https://example.com/é.tif", "https://example.com/%C3%A9.tif"),
        ("https://example.com/a+b=c,d.tif", "https://example.com/a+b=c,d.tif"),
        ("/data/a.tif", "/data/a.tif"),
        ("/data/", "/data/"),
    ],
)
def test_equal_addresses_become_equal_texts(text, normalized):
    assert parse_address(text).text == normalized
    assert parse_address(normalized).text == normalized


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("http://example.com/a.tif", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("ftp://example.com/a.tif", "scheme"),
        ("gs://bucket/a.tif", "scheme"),
        ("data:image/tiff;base64,AAAA", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("s3:bucket/a.tif", "scheme"),
        ("https:example.com/a.tif", "scheme"),
        ('ZARR:"/vsicurl/https://example.com/a"', "scheme"),
        ("GTIFF_DIR:1:/data/a.tif", "scheme"),
        ("/vsicurl/https://example.com/a.tif", "path of GDAL"),
        ("/vsis3/bucket/a.tif", "path of GDAL"),
        ("//example.com/a.tif", "not an absolute address"),
        ("a.tif", "not an absolute address"),
        ("https://user@example.com/a.tif", "a user or a password"),
        ("https://user:secret@example.com/a.tif", "a user or a password"),
        ("https://example.com/a.tif?sig=secret", "a query"),
        ("https://example.com/a.tif#x", "a query or a fragment"),
        ("https:///a.tif", "no valid host"),
        ("https://exa mple.com/a.tif", "no valid host"),
        ("https://example.com:0/a.tif", "no valid host"),
        ("https://example.com:99999/a.tif", "no valid host"),
        ("https://example.com:/a.tif", "no valid host"),
        ("https://exämple.com/a.tif", "no valid host"),
        ("https://example.com./a.tif", "no valid host"),
        ("https://[::1]/a.tif", "no valid host"),
        ("https://example.com/%ff.tif", "not encoded as UTF-8"),
        ("https://example.com/100%.tif", "a % that encodes no character"),
        ("https://example.com/%0a.tif", "a control character"),
        ("https://example.com/a/%2e%2e/b.tif", "an encoded"),
        ("https://example.com/a%2Fb.tif", "an encoded"),
        ("https://example.com/a%5cb.tif", "an encoded"),
        ("https://example.com/a%252e.tif", "an encoded"),
        ("s3://bucket/a%2Fb.tif", "an encoded"),
        ("https://example.com/a/../b.tif", ". or .. as a part"),
        ("s3://bucket/../other/a.tif", ". or .. as a part"),
        ("s3://bucket/./a.tif", ". or .. as a part"),
        ("/data/../etc/a.tif", ". or .. as a part"),
        ("/data/..", ". or .. as a part"),
        ("https://example.com\\@evil.example/a.tif", "a backslash"),
        ("s3://bucket/a\\b.tif", "a backslash"),
        ("s3://bucket/a\nb.tif", "a control character"),
        ("s3://bucket/a\x00.tif", "a control character"),
        ("s3://bucket/a\u202etif.exe", "a control character"),
        ("s3://bucket/a\udc80.tif", "a control character"),
        (" s3://bucket/a.tif", "begins or ends with a space"),
        ("s3:///a.tif", "bucket name"),
        ("s3://arn:aws:s3:eu-west-1:1:accesspoint/x/a.tif", "bucket"),
        ("s3://bucket/" + "a" * 1025, "more than 1024 bytes"),
        ("https://example.com/" + "a" * MAX_ADDRESS_CHARACTERS, "more than 2,000 characters"),
    ],
)
def test_an_ambiguous_address_is_refused_in_one_sentence(text, reason):
    with pytest.raises(SceneError) as caught:
        parse_address(text)
    message = str(caught.value)
    assert reason in message
    assert message.isprintable()
    assert len(message) < 600
    assert "secret" not in message


@pytest.mark.parametrize(
    ("text", "s3", "region"),
    [
        ("https://b.s3.amazonaws.com/k/a.tif", "s3://b/k/a.tif", ""),
        ("https://b.s3.us-west-2.amazonaws.com/k%20a.tif", "s3://b/k a.tif", "us-west-2"),
        ("https://b.s3-us-west-2.amazonaws.com/a.tif", "s3://b/a.tif", "us-west-2"),
        ("https://b.s3.dualstack.eu-west-1.amazonaws.com/a.tif", "s3://b/a.tif", "eu-west-1"),
        ("https://my.b.s3.us-west-2.amazonaws.com/a.tif", "s3://my.b/a.tif", "us-west-2"),
        ("https://s3.us-west-2.amazonaws.com/b/k/a.tif", "s3://b/k/a.tif", "us-west-2"),
        ("https://s3-us-west-2.amazonaws.com/b/a.tif", "s3://b/a.tif", "us-west-2"),
        ("https://s3.amazonaws.com/b/a.tif", "s3://b/a.tif", ""),
        ("https://b.s3.amazonaws.com.evil.example/a.tif", None, ""),
        ("https://example.com/a.tif", None, ""),
        ("s3://b/a.tif", "s3://b/a.tif", ""),
    ],
)
def test_https_addresses_of_s3_are_known(text, s3, region):
    address = parse_address(text).as_s3
    assert address.text == (s3 or text)
    assert address.region == region


@pytest.mark.fuzz
@hypothesis.settings(max_examples=draws(200, fuzz=5000))
@hypothesis.given(
    st.text(max_size=40).map(lambda text: f"https://example.com/{text}")
    | st.text(max_size=40).map(lambda text: f"s3://bucket/{text}")
    | st.text(max_size=60)
)
def test_any_text_is_normalized_once_or_refused(text):
    try:
        address = parse_address(text)
    except SceneError:
        return
    assert parse_address(address.text) == address
    assert not {".", ".."} & set(address.path.split("/"))


def test_texts_of_documents_are_shown_on_one_short_line():
    assert shown("a\nb\x1b[31m") == "a�b�[31m"
    assert len(shown("x" * 10_000)) == 301
