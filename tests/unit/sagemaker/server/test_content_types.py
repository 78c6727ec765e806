import pytest

from swath.errors import SceneError
from swath.sagemaker.server.content_types import (
    GEOJSON,
    JSON,
    OCTET_STREAM,
    check_content_encoding,
    check_content_type,
    image_format,
    media_type,
    response_type,
)
from swath.sagemaker.server.errors import NotAcceptableError, UnknownTypeError

HEADS = {
    "tiff": [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"],
    "png": [b"\x89PNG\r\n\x1a\n"],
    "jpeg": [b"\xff\xd8\xff\xe0"],
    "npy": [b"\x93NUMPY\x01\x00"],
}


@pytest.mark.parametrize("header", ["", OCTET_STREAM, "Application/Octet-Stream; x=1"])
@pytest.mark.parametrize(("kind", "head"), [(k, h) for k, heads in HEADS.items() for h in heads])
def test_what_an_image_is_can_be_seen_from_its_bytes(header, kind, head):
    check_content_type(header)
    assert image_format(header, head + b"....") == kind


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("image/tiff", "tiff"),
        ("image/tiff; application=geotiff", "tiff"),
        ("image/geotiff", "tiff"),
        ("image/png", "png"),
        ("IMAGE/JPEG", "jpeg"),
        ("application/x-npy", "npy"),
    ],
)
def test_what_is_said_must_agree_with_the_bytes(header, kind):
    check_content_type(header)
    assert image_format(header, HEADS[kind][0]) == kind
    other = next(k for k in HEADS if k != kind)
    with pytest.raises(SceneError, match="but the image is"):
        image_format(header, HEADS[other][0])


@pytest.mark.parametrize("head", [b"", b"hello", b"GIF89a", b"II*"])
def test_what_begins_like_no_image_is_refused(head):
    with pytest.raises(SceneError, match="is not a GeoTIFF"):
        image_format("image/png", head)


@pytest.mark.parametrize("header", ["text/plain", "image/gif", "image/*", "multipart/form-data"])
def test_other_types_are_not_known(header):
    with pytest.raises(UnknownTypeError, match=r"image/tiff.*application/json"):
        check_content_type(header)


def test_json_is_a_shards():
    check_content_type("application/json; charset=utf-8")
    assert media_type("application/json; charset=utf-8") == JSON


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ("", GEOJSON),
        ("*/*", GEOJSON),
        ("application/geo+json", GEOJSON),
        ("application/json", JSON),
        ("text/html, application/json;q=0.9, */*;q=0.1", JSON),
        ("application/*", GEOJSON),
    ],
)
def test_the_answer_is_of_the_first_type_wanted_that_there_is(header, answer):
    assert response_type(header) == answer


def test_an_answer_of_another_type_is_not_to_be_had():
    with pytest.raises(NotAcceptableError, match="text/csv"):
        response_type("text/csv, image/png")


def test_a_body_that_is_compressed_as_a_whole_is_refused():
    for header in ("", " Identity"):
        check_content_encoding(header)
    with pytest.raises(UnknownTypeError, match="send the body without compression"):
        check_content_encoding("gzip")
