"""Check a raster's header against limits before GDAL opens the file.

GDAL reads all metadata when it opens a file, and compares each item with all earlier ones. So the
time grows with the square of the number of items. Each reading thread opens the file once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath.errors import SceneError
from swath.raster.files.tiff_header import (
    BLOCK_TABLES,
    GDAL_METADATA,
    ReadBytes,
    UnsupportedLayoutError,
    iter_directories,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PAGES = 512
"""Largest number of pages of a TIFF: an image, its overviews, and a mask of each."""
MAX_TAGS = 1024
"""Largest number of tags of a page, as libtiff compares each tag with all others."""
MAX_ITEMS = 10_000
"""Largest number of XML elements in GDAL's own metadata, on all pages together."""
MAX_METADATA_BYTES = 16 << 20
"""Largest number of bytes in a file that are neither pixels nor tables of blocks."""
MAX_BOXES = 1000
"""Largest number of top-level boxes of a JPEG 2000 file."""

_TYPE_BYTES = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8])
"""Size in bytes of a value, by its TIFF type; 0 where there is no such type."""
_BLOCK_TABLE_TAGS = [tag for tags in BLOCK_TABLES.values() for tag in tags]
_MIN_ITEM_BYTES = len("<Item/>")
_JP2_START = b"\0\0\0\x0cjP  "
_BOX_HEADER_BYTES, _LONG_BOX_HEADER_BYTES = 8, 16
_REWRITE = "rewrite it: gdal_translate -of COG"


def check_header(uri: str, size: int, read: ReadBytes) -> None:
    """Refuse a file whose header would take GDAL too much time or memory.

    Damaged files and files of other formats are left to GDAL.

    Args:
        uri: S3 URI or path of the file.
        size: Size of the file in bytes.
        read: Function that reads its bytes.

    Raises:
        SceneError: The header has too many pages, tags, items or boxes, or too many bytes of
            metadata.
        SceneChangedError: The file was replaced since its ETag was read.
        TransientError: S3 did not answer.
    """
    try:
        if read(0, len(_JP2_START)) == _JP2_START:
            _check_boxes(uri, size, read)
        else:
            _check_pages(uri, size, read)
    except UnsupportedLayoutError:
        return


def _check_pages(uri: str, size: int, read: ReadBytes) -> None:
    total = items = xml_bytes = 0
    for number, entries in enumerate(iter_directories(read, MAX_TAGS), 1):
        if number > MAX_PAGES:
            raise SceneError(
                f"{uri} has more than {MAX_PAGES} pages (images, overviews and masks); {_REWRITE}"
            )
        if len(entries) > MAX_TAGS:
            raise SceneError(f"{uri} has a page of more than {MAX_TAGS} tags; {_REWRITE}")
        lengths = _external_bytes(entries, size)
        total += entries.nbytes + int(lengths.sum())
        _check_bytes(uri, total)
        for entry in np.flatnonzero(entries["tag"] == GDAL_METADATA):
            xml_bytes += int(lengths[entry])
            if xml_bytes > MAX_ITEMS * _MIN_ITEM_BYTES:  # fewer bytes cannot hold too many items
                xml = read(int(entries["value"][entry]), int(lengths[entry]))
                items += xml.count(b"<") - xml.count(b"</")
        if items > MAX_ITEMS:
            raise SceneError(
                f"{uri} has {items} items of GDAL's metadata; swath reads {MAX_ITEMS} at most: "
                "rewrite it without them: gdal_translate -nomd -of COG"
            )


def _external_bytes(entries: NDArray[np.void], size: int) -> NDArray[np.int64]:
    """Return the number of bytes that each entry stores outside its page.

    It is 0 for values within the entry, for tables of blocks, and for values beyond the file's end.

    Args:
        entries: Entries of a page, (n,).
        size: Size of the file in bytes.
    """
    kinds = np.where(entries["kind"] < len(_TYPE_BYTES), entries["kind"], 0)
    counts = np.minimum(entries["count"], size + 1).astype(np.int64)
    lengths = counts * _TYPE_BYTES[kinds]
    inline = entries.dtype["value"].itemsize
    ends = np.minimum(entries["value"], size).astype(np.int64) + lengths
    outside = (lengths > inline) & (ends <= size) & ~np.isin(entries["tag"], _BLOCK_TABLE_TAGS)
    return np.where(outside, lengths, 0)


def _check_boxes(uri: str, size: int, read: ReadBytes) -> None:
    total = number = offset = 0
    while offset < size:
        head = read(offset, _LONG_BOX_HEADER_BYTES)
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:])
        length = min(length or size, size - offset)
        if length < _BOX_HEADER_BYTES:
            return
        total += length if head[4:8] != b"jp2c" else 0
        _check_bytes(uri, total)
        number, offset = number + 1, offset + length
        if number > MAX_BOXES:
            raise SceneError(f"{uri} has more than {MAX_BOXES} boxes; {_REWRITE}")


def _check_bytes(uri: str, total: int) -> None:
    if total > MAX_METADATA_BYTES:
        raise SceneError(
            f"{uri} has more than {MAX_METADATA_BYTES >> 20} MiB of metadata; rewrite it "
            "without metadata: gdal_translate -nomd -noxmp -of COG"
        )
