"""Parse the header of a TIFF: the layout of its blocks, and their offsets in the file.

GDAL parses the header too, but returns the offset of one block at a time, and fetches the tables
from S3 in small pieces.

TIFF 6.0 and BigTIFF: https://www.awaresystems.be/imaging/tiff/specification
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ByteOrder = Literal["<", ">"]
"""Byte order: little-endian or big-endian."""
ReadBytes = Callable[[int, int], bytes]
"""Function from an offset and a length to bytes of a file; fewer only at the file's end."""

NEW_SUBFILE_TYPE = 254
WIDTH = 256
HEIGHT = 257
BITS_PER_SAMPLE = 258
COMPRESSION = 259
PHOTOMETRIC = 262
FILL_ORDER = 266
STRIP_OFFSETS = 273
ORIENTATION = 274
SAMPLES_PER_PIXEL = 277
ROWS_PER_STRIP = 278
STRIP_BYTE_COUNTS = 279
PLANAR_CONFIGURATION = 284
PREDICTOR = 317
TILE_WIDTH = 322
TILE_HEIGHT = 323
TILE_OFFSETS = 324
TILE_BYTE_COUNTS = 325
EXTRA_SAMPLES = 338
SAMPLE_FORMAT = 339
JPEG_TABLES = 347
YCBCR_SUBSAMPLING = 530
LERC_PARAMETERS = 50674
GDAL_METADATA = 42112
BLOCK_TABLES = {True: (TILE_OFFSETS, TILE_BYTE_COUNTS), False: (STRIP_OFFSETS, STRIP_BYTE_COUNTS)}
"""Tags of the blocks' offsets and sizes, by whether the blocks are tiles (True) or strips."""

_DTYPES = {1: "u1", 2: "S1", 3: "u2", 4: "u4", 7: "u1", 13: "u4", 16: "u8", 18: "u8"}
"""NumPy types of the TIFF types that the tags above have."""
_ENTRY_FIELDS = ("tag", "kind", "count", "value")
_MAX_ENTRIES = 4096
_MAX_PAGES = 64
_MAX_VALUE_BYTES = 64 << 20
"""Largest number of bytes of a tag's values that are read at once."""


class UnsupportedLayoutError(Exception):
    """A header, or a block, that swath cannot read itself; GDAL may be able to."""


@dataclass(frozen=True, slots=True)
class Field:
    """Location of a tag's values in the file."""

    dtype: np.dtype[np.generic]
    """Type of a value, in the file's byte order."""
    count: int
    """Number of values."""
    offset: int
    """Offset in bytes of the first value."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a TIFF: the image itself, an overview, or a mask."""

    read: ReadBytes
    """Function that reads the file's bytes."""
    order: ByteOrder
    """Byte order of the file."""
    fields: dict[int, Field]
    """Locations of the values, by tag."""

    def values(self, tag: int, start: int = 0, stop: int | None = None) -> NDArray[np.generic]:
        """Read some of a tag's values.

        Args:
            tag: Number of the tag.
            start: Index of the first value.
            stop: Index after the last value; by default, all values are read.

        Returns:
            Values (n,) in the file's dtype; none if the page lacks the tag.

        Raises:
            UnsupportedLayoutError: The file ends before the values, or there are too many values.
        """
        field = self.fields.get(tag)
        if field is None:
            return np.empty(0, np.int64)
        stop = field.count if stop is None else min(stop, field.count)
        size = field.dtype.itemsize
        length = max(0, stop - start) * size
        if length > _MAX_VALUE_BYTES:
            raise UnsupportedLayoutError(f"tag {tag} has {field.count} values")
        content = self.read(field.offset + start * size, length)
        if len(content) != length:
            raise UnsupportedLayoutError(f"tag {tag} lies beyond the end of the file")
        return np.frombuffer(content, field.dtype)

    def number(self, tag: int, default: int) -> int:
        """Return the first value of a tag, or `default` if the page lacks it."""
        values = self.values(tag, 0, 1)
        return int(values[0]) if values.size else default

    def numbers(self, tag: int, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Read some of a tag's values as int64; see `values`."""
        return np.asarray(self.values(tag, start, stop).astype(np.int64))


def read_pages(read: ReadBytes) -> list[Page]:
    """Return the pages of a TIFF in the order of the file, at most 64.

    Raises:
        UnsupportedLayoutError: The file is not a TIFF, or its header is damaged.
    """
    order, big, offset = _read_preamble(read)
    pages: list[Page] = []
    seen: set[int] = set()
    while offset and offset not in seen and len(pages) < _MAX_PAGES:
        seen.add(offset)
        page, offset = _read_page(read, order, offset, big=big)
        pages.append(page)
    return pages


def read_first_page(read: ReadBytes) -> Page:
    """Return the first page of a TIFF.

    Raises:
        UnsupportedLayoutError: The file is not a TIFF, or its header is damaged.
    """
    order, big, offset = _read_preamble(read)
    return _read_page(read, order, offset, big=big)[0]


def iter_directories(read: ReadBytes, max_entries: int) -> Iterator[NDArray[np.void]]:
    """Yield the entries of each page of a TIFF, including those of unknown types.

    Args:
        read: Function that reads the file's bytes.
        max_entries: Largest number of entries that are expected. Of a longer page, one more entry
            is read, so that the caller can notice.

    Yields:
        Structured array (n,) of a page's entries with the fields tag, kind, count and value.

    Raises:
        UnsupportedLayoutError: The file is not a TIFF, or its header is damaged.
    """
    order, big, offset = _read_preamble(read)
    word, next_word = (8, 8) if big else (2, 4)
    wide = "u8" if big else "u4"
    entry = np.dtype(
        [
            (name, order + kind)
            for name, kind in zip(_ENTRY_FIELDS, ("u2", "u2", wide, wide), strict=True)
        ]
    )
    seen: set[int] = set()
    while offset and offset not in seen:
        seen.add(offset)
        count = _int(read(offset, word), order)
        size = min(count, max_entries + 1) * entry.itemsize
        body = read(offset + word, size + next_word)
        if len(body) < size:
            raise UnsupportedLayoutError("a page lies beyond the end of the file")
        yield np.frombuffer(body[:size], entry)
        offset = _int(body[size:], order)


def _read_preamble(read: ReadBytes) -> tuple[ByteOrder, bool, int]:
    """Return a TIFF's byte order, whether it is a BigTIFF, and the offset of its first page."""
    head = read(0, 16)
    orders: dict[bytes, ByteOrder] = {b"II": "<", b"MM": ">"}
    order = orders.get(head[:2])
    if order is None or len(head) < 16:  # noqa: PLR2004 (the size of a header)
        raise UnsupportedLayoutError("no TIFF")
    big = _int(head[2:4], order) == 43  # noqa: PLR2004 (BigTIFF's version)
    return order, big, _int(head[8:16] if big else head[4:8], order)


def _read_page(read: ReadBytes, order: ByteOrder, offset: int, *, big: bool) -> tuple[Page, int]:
    """Read the page at an offset; return it and the offset of the next page, 0 after the last."""
    word, width = (8, 20) if big else (2, 12)
    count = _int(read(offset, word), order)
    if not 0 < count <= _MAX_ENTRIES:
        raise UnsupportedLayoutError(f"a page of {count} tags")
    size = count * width
    next_word = 8 if big else 4
    body = read(offset + word, size + next_word)
    if len(body) != size + next_word:
        raise UnsupportedLayoutError("a page lies beyond the end of the file")
    fields = {}
    for start in range(0, size, width):
        tag, field = _parse_field(
            body[start : start + width], order, offset + word + start, big=big
        )
        if field:
            fields[tag] = field
    return Page(read, order, fields), _int(body[size:], order)


def _parse_field(
    entry: bytes, order: ByteOrder, entry_offset: int, *, big: bool
) -> tuple[int, Field | None]:
    """Parse an entry of a page.

    Args:
        entry: Bytes of the entry.
        order: Byte order of the file.
        entry_offset: Offset of the entry in the file.
        big: Whether the file is a BigTIFF.

    Returns:
        Tag, and the location of its values; None for types that no tag used here has.
    """
    tag, kind = _int(entry[:2], order), _int(entry[2:4], order)
    if kind not in _DTYPES:
        return tag, None
    at = 12 if big else 8
    count = _int(entry[4:at], order)
    dtype = np.dtype(_DTYPES[kind]).newbyteorder(order)
    inline = count * dtype.itemsize <= len(entry) - at
    return tag, Field(dtype, count, entry_offset + at if inline else _int(entry[at:], order))


def _int(content: bytes, order: ByteOrder) -> int:
    return int.from_bytes(content, "little" if order == "<" else "big")
