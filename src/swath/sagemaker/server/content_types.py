"""Media types: what a request says that it is, what its bytes say, and what it wants back."""

from __future__ import annotations

from typing import Literal

from swath.errors import SceneError
from swath.sagemaker.server.errors import NotAcceptableError, UnknownTypeError

Format = Literal["tiff", "png", "jpeg", "npy"]

JSON = "application/json"
GEOJSON = "application/geo+json"
ANY_BYTES = "application/octet-stream"

_FORMATS: dict[str, Format] = {
    "image/tiff": "tiff",
    "image/geotiff": "tiff",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/x-npy": "npy",
}
MEDIA_TYPES: dict[Format, str] = {kind: media for media, kind in reversed(_FORMATS.items())}
_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),  # BigTIFF
    (b"MM\0+", "tiff"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x93NUMPY", "npy"),
)
MAGIC_BYTES = max(len(magic) for magic, _ in _MAGIC)


def media_type(header: str) -> str:
    """The type in a Content-Type header, without its parameters; of none, that of any bytes."""
    return header.partition(";")[0].strip().lower() or ANY_BYTES


def check_type(header: str) -> None:
    """Refuse what is neither an image nor a shard's request, before any of it is read.

    Raises:
        UnknownTypeError: it is something else.
    """
    if media_type(header) not in {JSON, ANY_BYTES, *_FORMATS}:
        known = ", ".join([*_FORMATS, ANY_BYTES])
        raise UnknownTypeError(
            f"the Content-Type is {header!r}; an image is one of {known}, a shard's request {JSON}"
        )


def check_encoding(header: str) -> None:
    """Refuse a body that is compressed as a whole, whose size nobody could know before it is read.

    Args:
        header: its Content-Encoding.

    Raises:
        UnknownTypeError: it is compressed.
    """
    if header.strip().lower() not in {"", "identity"}:
        raise UnknownTypeError(
            f"the Content-Encoding is {header!r}; send the body as it is, without compression"
        )


def image_format(header: str, head: bytes) -> Format:
    """What an image is.

    Args:
        header: its Content-Type.
        head: its first bytes, `MAGIC_BYTES` of them.

    Raises:
        SceneError: it begins like no image, or like one of another type.
    """
    found = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    said = _FORMATS.get(media_type(header))
    if found is None:
        raise SceneError("the image is empty, or does not begin like a GeoTIFF, PNG, JPEG or NPY")
    if said not in {None, found}:
        raise SceneError(
            f"the Content-Type is {header!r}, but the image begins like {MEDIA_TYPES[found]}"
        )
    return found


def answer_type(header: str) -> str:
    """The media type to answer an image with; GeoJSON where anything will do.

    Args:
        header: Accept: media types, perhaps with weights, which are passed over.

    Raises:
        NotAcceptableError: neither of the two will do.
    """
    wanted = [part.partition(";")[0].strip().lower() for part in header.split(",")]
    for media in wanted:
        if media in {"", "*/*", "application/*", GEOJSON}:
            return GEOJSON
        if media == JSON:
            return JSON
    raise NotAcceptableError(f"Accept is {header!r}; answers are {GEOJSON} or {JSON}")
