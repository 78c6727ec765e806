"""The header of a TIFF: how its blocks are laid out, and where in the file they are.

GDAL has parsed it too, but tells the place of one block at a time, and fetches the tables from S3
in small pieces. TIFF 6.0 and BigTIFF: https://www.awaresystems.be/imaging/tiff/specification
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Order = Literal["<", ">"]
ReadBytes = Callable[[int, int], bytes]
"""The bytes of a file: from where, how many. Fewer come only at its end."""

NEW_SUBFILE_TYPE = 254
WIDTH = 256
HEIGHT = 257
BITS = 258
COMPRESSION = 259
PHOTOMETRIC = 262
FILL_ORDER = 266
STRIP_OFFSETS = 273
ORIENTATION = 274
SAMPLES = 277
STRIP_ROWS = 278
STRIP_COUNTS = 279
PLANAR = 284
PREDICTOR = 317
TILE_WIDTH = 322
TILE_HEIGHT = 323
OFFSETS = 324
COUNTS = 325
EXTRA_SAMPLES = 338
SAMPLE_FORMAT = 339
JPEG_TABLES = 347
YCBCR_SUBSAMPLING = 530
LERC_PARAMETERS = 50674
GDAL_METADATA = 42112
BLOCK_TABLES = {True: (OFFSETS, COUNTS), False: (STRIP_OFFSETS, STRIP_COUNTS)}
"""Where blocks are and how long: of tiles, and of strips."""

_TYPES = {1: "u1", 2: "S1", 3: "u2", 4: "u4", 7: "u1", 13: "u4", 16: "u8", 18: "u8"}
"""Of the types that TIFF knows, those of the tags above."""
_ENTRY = ("tag", "kind", "count", "value")
_MAX_ENTRIES = 4096
_MAX_PAGES = 64
_MAX_BYTES = 64 << 20
"""Of a tag's values at once."""


class NotReadableError(Exception):
    """The header, or a block, is none that this package reads; GDAL may."""


@dataclass(frozen=True, slots=True)
class Field:
    """One tag of a page: where its values are."""

    dtype: np.dtype[np.generic]
    count: int
    offset: int


@dataclass(frozen=True, slots=True)
class Page:
    """One image of a TIFF: the full scene, an overview, or a mask."""

    read: ReadBytes
    order: Order
    """Of bytes."""
    fields: dict[int, Field]

    def values(self, tag: int, start: int = 0, stop: int | None = None) -> NDArray[np.generic]:
        """Some of the values of a tag; none where the page lacks it.

        Raises:
            NotReadableError: the file ends before them.
        """
        field = self.fields.get(tag)
        if field is None:
            return np.empty(0, np.int64)
        stop = field.count if stop is None else min(stop, field.count)
        size = field.dtype.itemsize
        length = max(0, stop - start) * size
        if length > _MAX_BYTES:
            raise NotReadableError(f"tag {tag} has {field.count} values")
        content = self.read(field.offset + start * size, length)
        if len(content) != length:
            raise NotReadableError(f"tag {tag} lies beyond the end of the file")
        return np.frombuffer(content, field.dtype)

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        values = self.values(tag, 0, 1)
        return int(values[0]) if values.size else default

    def numbers(self, tag: int, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Some of the values of a tag; int64."""
        return np.asarray(self.values(tag, start, stop).astype(np.int64))


def pages(read: ReadBytes) -> list[Page]:
    """The pages of a TIFF, in the order of the file.

    Raises:
        NotReadableError: it is no TIFF, or its header is damaged.
    """
    order, big, offset = _start(read)
    found: list[Page] = []
    seen: set[int] = set()
    while offset and offset not in seen and len(found) < _MAX_PAGES:
        seen.add(offset)
        page, offset = _page(read, order, offset, big=big)
        found.append(page)
    return found


def first_page(read: ReadBytes) -> Page:
    """Return the first page of a TIFF.

    Raises:
        NotReadableError: it is no TIFF, or its header is damaged.
    """
    order, big, offset = _start(read)
    return _page(read, order, offset, big=big)[0]


def directories(read: ReadBytes, most: int) -> Iterator[NDArray[np.void]]:
    """Give the entries of each page, whatever their types: their tag, kind, count and value.

    Args:
        read: reads the file.
        most: as many entries of a page are read; the first one more of a longer page.

    Raises:
        NotReadableError: it is no TIFF, or its header is damaged.
    """
    order, big, offset = _start(read)
    word, following = (8, 8) if big else (2, 4)
    wide = "u8" if big else "u4"
    entry = np.dtype(
        [(name, order + kind) for name, kind in zip(_ENTRY, ("u2", "u2", wide, wide), strict=True)]
    )
    seen: set[int] = set()
    while offset and offset not in seen:
        seen.add(offset)
        count = _int(read(offset, word), order)
        size = min(count, most + 1) * entry.itemsize
        body = read(offset + word, size + following)
        if len(body) < size:
            raise NotReadableError("a page lies beyond the end of the file")
        yield np.frombuffer(body[:size], entry)
        offset = _int(body[size:], order)


def _start(read: ReadBytes) -> tuple[Order, bool, int]:
    """Return the order of bytes, whether it is a BigTIFF, and where its first page is."""
    head = read(0, 16)
    orders: dict[bytes, Order] = {b"II": "<", b"MM": ">"}
    order = orders.get(head[:2])
    if order is None or len(head) < 16:  # noqa: PLR2004 (what a header takes)
        raise NotReadableError("no TIFF")
    big = _int(head[2:4], order) == 43  # noqa: PLR2004 (BigTIFF's version)
    return order, big, _int(head[8:16] if big else head[4:8], order)


def _page(read: ReadBytes, order: Order, offset: int, *, big: bool) -> tuple[Page, int]:
    """The page at an offset, and the offset of the next."""
    word, width = (8, 20) if big else (2, 12)
    count = _int(read(offset, word), order)
    if not 0 < count <= _MAX_ENTRIES:
        raise NotReadableError(f"a page of {count} tags")
    size = count * width
    next_word = 8 if big else 4
    body = read(offset + word, size + next_word)
    if len(body) != size + next_word:
        raise NotReadableError("a page lies beyond the end of the file")
    fields = {}
    for start in range(0, size, width):
        tag, field = _field(body[start : start + width], order, offset + word + start, big=big)
        if field:
            fields[tag] = field
    return Page(read, order, fields), _int(body[size:], order)


def _field(entry: bytes, order: Order, place: int, *, big: bool) -> tuple[int, Field | None]:
    """The tag that an entry is of, and its field; None where its type is no matter here."""
    tag, kind = _int(entry[:2], order), _int(entry[2:4], order)
    if kind not in _TYPES:
        return tag, None
    at = 12 if big else 8
    count = _int(entry[4:at], order)
    dtype = np.dtype(_TYPES[kind]).newbyteorder(order)
    inline = count * dtype.itemsize <= len(entry) - at
    return tag, Field(dtype, count, place + at if inline else _int(entry[at:], order))


def _int(content: bytes, order: Order) -> int:
    return int.from_bytes(content, "little" if order == "<" else "big")
