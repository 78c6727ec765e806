"""Refuse scenes that some annotation tools rotate: their labels in px would not fit the pixels.

GDAL, and so swath, ignores the TIFF tag Orientation. Many annotation tools apply it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from swath import storage
from swath.errors import LabelsError
from swath.labels.files import map_concurrently
from swath.raster.files import tiff_header

_UPRIGHT = 1
_TIFF_SUFFIXES = (".tif", ".tiff")
_HEADER_BYTES = 64 << 10
"""Number of bytes that are read from a scene on S3; they contain the tags of most files."""


def refuse_rotated(uris: Sequence[str]) -> None:
    """Raise an error if the TIFF tag Orientation of a scene is not "upright".

    Args:
        uris: Addresses of the scenes with labels in px.

    Raises:
        LabelsError: A scene has another orientation. The message names the scene.
    """
    images = [uri for uri in uris if uri.lower().endswith(_TIFF_SUFFIXES)]
    for uri, orientation in zip(images, map_concurrently(_orientation, images), strict=True):
        if orientation != _UPRIGHT:
            raise LabelsError(
                f"{uri} has the TIFF tag Orientation {orientation}, which some annotation "
                "tools apply and swath ignores; store the pixels upright (ImageMagick's "
                "-auto-orient can) and label the scene again, or remove the tag (tiffset -u 274 "
                "can)"
            )


def _orientation(uri: str) -> int:
    try:
        if not storage.is_s3(uri):
            with Path(uri).open("rb") as file:
                return _read_tag(lambda offset, length: _read_at(file, offset, length))
        status_and_head = storage.status_and_head(uri, _HEADER_BYTES)
        head = status_and_head[1] if status_and_head else b""
        return _read_tag(lambda offset, length: head[offset : offset + length])
    except (tiff_header.UnsupportedLayoutError, ValueError):
        return _UPRIGHT  # a damaged file is reported when its pixels are read


def _read_tag(read: tiff_header.ReadBytes) -> int:
    first, *_ = tiff_header.read_pages(read)
    return first.number(tiff_header.ORIENTATION, _UPRIGHT)


def _read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)
