"""Determine the media types of requests and of answers."""

from __future__ import annotations

from typing import Literal

from swath.errors import SceneError
from swath.sagemaker.server.errors import NotAcceptableError, UnknownTypeError

ImageFormat = Literal["tiff", "png", "jpeg", "npy"]

JSON = "application/json"
GEOJSON = "application/geo+json"
OCTET_STREAM = "application/octet-stream"

_FORMATS: dict[str, ImageFormat] = {
    "image/tiff": "tiff",
    "image/geotiff": "tiff",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/x-npy": "npy",
}
MEDIA_TYPES: dict[ImageFormat, str] = {kind: media for media, kind in reversed(_FORMATS.items())}
_MAGIC_NUMBERS: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),  # BigTIFF
    (b"MM\0+", "tiff"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x93NUMPY", "npy"),
)
MAGIC_BYTES = max(len(magic) for magic, _ in _MAGIC_NUMBERS)


def media_type(header: str) -> str:
    """Return the media type of a Content-Type header without parameters; by default, any bytes."""
    return header.partition(";")[0].strip().lower() or OCTET_STREAM


def check_content_type(header: str) -> None:
    """Refuse requests that are neither images nor shard requests, before reading the body.

    Args:
        header: Content-Type of the request.

    Raises:
        UnknownTypeError: The media type is not supported.
    """
    if media_type(header) not in {JSON, OCTET_STREAM, *_FORMATS}:
        known = ", ".join([*_FORMATS, OCTET_STREAM])
        raise UnknownTypeError(
            f"the Content-Type is {header!r}; send an image as one of {known}, or a shard request "
            f"as {JSON}"
        )


def check_content_encoding(header: str) -> None:
    """Refuse a compressed body, since its size would be unknown until it is read.

    Args:
        header: Content-Encoding of the request.

    Raises:
        UnknownTypeError: The body is compressed.
    """
    if header.strip().lower() not in {"", "identity"}:
        raise UnknownTypeError(
            f"the Content-Encoding is {header!r}; send the body without compression"
        )


def image_format(header: str, head: bytes) -> ImageFormat:
    """Return the format of an image, determined from its first bytes.

    Args:
        header: Content-Type of the image.
        head: First `MAGIC_BYTES` bytes of the image.

    Raises:
        SceneError: The bytes match no supported format, or contradict the header.
    """
    detected = next((kind for magic, kind in _MAGIC_NUMBERS if head.startswith(magic)), None)
    declared = _FORMATS.get(media_type(header))
    if detected is None:
        raise SceneError("the image is empty, or is not a GeoTIFF, PNG, JPEG or NPY file")
    if declared not in {None, detected}:
        raise SceneError(
            f"the Content-Type is {header!r}, but the image is {MEDIA_TYPES[detected]}"
        )
    return detected


def response_type(header: str) -> str:
    """Return the media type for the detections of an image; GeoJSON if any type is acceptable.

    Args:
        header: Accept header: media types, whose weights are ignored.

    Raises:
        NotAcceptableError: The header accepts neither GeoJSON nor JSON.
    """
    accepted = [part.partition(";")[0].strip().lower() for part in header.split(",")]
    for media in accepted:
        if media in {"", "*/*", "application/*", GEOJSON}:
            return GEOJSON
        if media == JSON:
            return JSON
    raise NotAcceptableError(f"Accept is {header!r}; this endpoint writes {GEOJSON} or {JSON}")
