"""Blocks that GDAL decodes, but does not fetch: each becomes a TIFF of its own, in memory.

So GDAL's own pixels come from any thread, from bytes that were fetched a row at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.env import Env
from rasterio.io import MemoryFile
from rasterio.session import DummySession

from swath.raster import gdal_env
from swath.raster.files import tiff_header
from swath.raster.files.checksums import is_damaged
from swath.raster.files.tiff_header import NotReadableError
from swath.raster.files.tiff_layout import JPEG, LZMA, Layout
from swath.raster.reader.block_schedule import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = (
    tiff_header.BITS,
    tiff_header.COMPRESSION,
    tiff_header.PHOTOMETRIC,
    tiff_header.SAMPLES,
    tiff_header.PLANAR,
    tiff_header.PREDICTOR,
    tiff_header.EXTRA_SAMPLES,
    tiff_header.SAMPLE_FORMAT,
    tiff_header.JPEG_TABLES,
    tiff_header.YCBCR_SUBSAMPLING,
    tiff_header.LERC_PARAMETERS,
)
"""What tells how a block is encoded."""
_PIXEL_SCALE, _TIE_POINT = 33550, 33922
"""A place on the earth, because rasterio warns of a raster without."""
_CODES = {"u1": 1, "u2": 3, "u4": 4, "f8": 12}
_FIRST_ENTRY, _ENTRY, _INLINE = 10, 12, 4
"""Bytes: where a page's first entry is, how long each is, and how long the value in it."""
_ENCODINGS = {JPEG, 34887, LZMA, 50002}
"""JPEG, LERC, LZMA, JPEG XL."""


class Capsule:
    """Has GDAL decode the blocks of one layout."""

    def __init__(self, layout: Layout, samples: Sequence[int]) -> None:
        """Write the header that all blocks share.

        Args:
            layout: of an image in tiles, with all bands of a pixel side by side.
            samples: which of them are wanted, from 0.

        Raises:
            NotReadableError: it is none that a block alone suffices for.
        """
        if not layout.tiled or layout.separate or layout.compression not in _ENCODINGS:
            raise NotReadableError(f"compression {layout.compression}, which only GDAL knows")
        self._bands = [sample + 1 for sample in samples]
        self._checked, self._block_bytes = layout.compression == LZMA, layout.block_bytes
        self._order = layout.page.order
        self._head, self._length_at = _head(layout)

    def __call__(self, content: memoryview, parts: Sequence[Part], rows: int) -> None:  # noqa: ARG002
        """Decode a block.

        Args:
            content: its bytes as in the file.
            parts: where its pixels go, (bands, rows, cols).
            rows: how many the block has, in px; as many as all.

        Raises:
            NotReadableError: the block does not match its checksum.
            Exception: whatever GDAL raises of one that it cannot decode.
        """
        if self._checked and is_damaged(LZMA, content, self._block_bytes):
            raise NotReadableError("a block that does not match its checksum")
        with (
            Env(session=DummySession(), **gdal_env.STRICT),
            gdal_env.warnings_raised(),
            MemoryFile(self._header(len(content)) + content) as file,
            file.open(driver="GTiff") as block,
        ):
            pixels = block.read(self._bands)
        for part in parts:
            part.place[...] = part.of(pixels)

    def _header(self, length: int) -> bytes:
        """All of a TIFF but its one block, which is to follow."""
        end = self._length_at + _INLINE
        stored = _int(length, _INLINE, self._order)
        return self._head[: self._length_at] + stored + self._head[end:]


def _head(layout: Layout) -> tuple[bytes, int]:
    """A TIFF's header and its one page, and where in it the length of its one block belongs."""
    fields: dict[int, NDArray[Any]] = {
        tag: layout.page.values(tag) for tag in _KEPT if tag in layout.page.fields
    }
    numbers = {
        tiff_header.WIDTH: layout.cols,
        tiff_header.HEIGHT: layout.rows,
        tiff_header.TILE_WIDTH: layout.cols,
        tiff_header.TILE_HEIGHT: layout.rows,
        tiff_header.OFFSETS: 0,
        tiff_header.COUNTS: 0,
    }
    fields |= {tag: np.array([number], "u4") for tag, number in numbers.items()}
    fields |= {_PIXEL_SCALE: np.array([2.0, 2, 0]), _TIE_POINT: np.zeros(6)}
    start = _FIRST_ENTRY + _ENTRY * len(fields) + _INLINE
    sizes = [values.nbytes for values in fields.values()]
    fields[tiff_header.OFFSETS][0] = start + sum(size for size in sizes if size > _INLINE)
    place = sorted(fields).index(tiff_header.COUNTS)
    return _encoded(fields, layout.page.order), _FIRST_ENTRY + _ENTRY * (place + 1) - _INLINE


def _encoded(fields: dict[int, NDArray[Any]], order: tiff_header.Order) -> bytes:
    """A header and a page of these fields; what does not fit into an entry follows them all."""
    start = _FIRST_ENTRY + _ENTRY * len(fields) + _INLINE
    entries, more = b"", b""
    for tag, values in sorted(fields.items()):
        stored = values.astype(values.dtype.newbyteorder(order)).tobytes()
        kind = _CODES[values.dtype.newbyteorder("=").str[1:]]
        entries += _int(tag, 2, order) + _int(kind, 2, order) + _int(values.size, 4, order)
        if len(stored) > _INLINE:
            entries += _int(start + len(more), _INLINE, order)
            more += stored
        else:
            entries += stored.ljust(_INLINE, b"\0")
    head = (b"II" if order == "<" else b"MM") + _int(42, 2, order) + _int(8, 4, order)
    return head + _int(len(fields), 2, order) + entries + _int(0, _INLINE, order) + more


def _int(number: int, size: int, order: tiff_header.Order) -> bytes:
    return number.to_bytes(size, "little" if order == "<" else "big")
