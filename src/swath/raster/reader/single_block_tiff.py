"""Decode single blocks with GDAL: each becomes a TIFF of its own in memory.

So GDAL decodes bytes that swath fetched one block row at a time, in any thread.
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
from swath.raster.files.tiff_header import UnsupportedLayoutError
from swath.raster.files.tiff_layout import JPEG, LZMA, Layout
from swath.raster.reader.block_schedule import CopyTarget

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COPIED_TAGS = (
    tiff_header.BITS_PER_SAMPLE,
    tiff_header.COMPRESSION,
    tiff_header.PHOTOMETRIC,
    tiff_header.SAMPLES_PER_PIXEL,
    tiff_header.PLANAR_CONFIGURATION,
    tiff_header.PREDICTOR,
    tiff_header.EXTRA_SAMPLES,
    tiff_header.SAMPLE_FORMAT,
    tiff_header.JPEG_TABLES,
    tiff_header.YCBCR_SUBSAMPLING,
    tiff_header.LERC_PARAMETERS,
)
"""Tags that define the encoding of a block, which are copied to its own TIFF."""
_PIXEL_SCALE, _TIE_POINT = 33550, 33922
"""Tags of a georeference, which is written because rasterio warns about a raster without one."""
_TYPE_CODES = {"u1": 1, "u2": 3, "u4": 4, "f8": 12}
"""Codes in TIFF of NumPy's types."""
_FIRST_ENTRY_OFFSET, _ENTRY_BYTES, _INLINE_BYTES = 10, 12, 4
"""Offset of a page's first entry, size of an entry, and size of the value in it, in bytes."""
_COMPRESSIONS = {JPEG, 34887, LZMA, 50002}
"""Compressions whose blocks can be decoded alone: JPEG, LERC, LZMA and JPEG XL."""


class SingleBlockTiff:
    """Decoder that passes the blocks of one layout to GDAL."""

    def __init__(self, layout: Layout, samples: Sequence[int]) -> None:
        """Write the header that the TIFFs of all blocks share.

        Args:
            layout: Layout of an image in tiles, in which a block has all bands of its pixels.
            samples: Indices, from 0, of the wanted bands.

        Raises:
            UnsupportedLayoutError: Blocks of this layout cannot be decoded alone.
        """
        if not layout.tiled or layout.separate or layout.compression not in _COMPRESSIONS:
            raise UnsupportedLayoutError(f"compression {layout.compression}, which only GDAL knows")
        self._bands = [sample + 1 for sample in samples]
        self._has_checksum, self._block_bytes = layout.compression == LZMA, layout.block_bytes
        self._order = layout.page.order
        self._header_bytes, self._length_offset = _build_header(layout)

    def __call__(self, content: memoryview, targets: Sequence[CopyTarget], rows: int) -> None:  # noqa: ARG002
        """Decode a block into its destinations.

        Args:
            content: Bytes of the block, as stored in the file.
            targets: Destinations of the pixels, (bands, rows, cols) each.
            rows: Number of rows of the block in px, the same for all blocks; not used.

        Raises:
            UnsupportedLayoutError: The block does not match its checksum.
            Exception: GDAL cannot decode the block.
        """
        if self._has_checksum and is_damaged(LZMA, content, self._block_bytes):
            raise UnsupportedLayoutError("a block that does not match its checksum")
        with (
            Env(session=DummySession(), **gdal_env.STRICT_OPTIONS),
            gdal_env.raise_warnings(),
            MemoryFile(self._header(len(content)) + content) as file,
            file.open(driver="GTiff") as block,
        ):
            pixels = block.read(self._bands)
        for target in targets:
            target.pixels[...] = target.crop(pixels)

    def _header(self, length: int) -> bytes:
        """Return a TIFF up to its single block of `length` bytes, which must be appended."""
        end = self._length_offset + _INLINE_BYTES
        stored = _encode_int(length, _INLINE_BYTES, self._order)
        return self._header_bytes[: self._length_offset] + stored + self._header_bytes[end:]


def _build_header(layout: Layout) -> tuple[bytes, int]:
    """Return a TIFF up to its single block, and the offset in it of the block's length."""
    fields: dict[int, NDArray[Any]] = {
        tag: layout.page.values(tag) for tag in _COPIED_TAGS if tag in layout.page.fields
    }
    numbers = {
        tiff_header.WIDTH: layout.block_width,
        tiff_header.HEIGHT: layout.block_height,
        tiff_header.TILE_WIDTH: layout.block_width,
        tiff_header.TILE_HEIGHT: layout.block_height,
        tiff_header.TILE_OFFSETS: 0,
        tiff_header.TILE_BYTE_COUNTS: 0,
    }
    fields |= {tag: np.array([number], "u4") for tag, number in numbers.items()}
    fields |= {_PIXEL_SCALE: np.array([2.0, 2, 0]), _TIE_POINT: np.zeros(6)}
    start = _FIRST_ENTRY_OFFSET + _ENTRY_BYTES * len(fields) + _INLINE_BYTES
    sizes = [values.nbytes for values in fields.values()]
    fields[tiff_header.TILE_OFFSETS][0] = start + sum(
        size for size in sizes if size > _INLINE_BYTES
    )
    index = sorted(fields).index(tiff_header.TILE_BYTE_COUNTS)
    return _encode_page(fields, layout.page.order), _FIRST_ENTRY_OFFSET + _ENTRY_BYTES * (
        index + 1
    ) - _INLINE_BYTES


def _encode_page(fields: dict[int, NDArray[Any]], order: tiff_header.ByteOrder) -> bytes:
    """Encode a TIFF's header and a page with the given fields.

    Values that do not fit into an entry follow after all entries.
    """
    start = _FIRST_ENTRY_OFFSET + _ENTRY_BYTES * len(fields) + _INLINE_BYTES
    entries, more = b"", b""
    for tag, values in sorted(fields.items()):
        stored = values.astype(values.dtype.newbyteorder(order)).tobytes()
        type_code = _TYPE_CODES[values.dtype.newbyteorder("=").str[1:]]
        entries += (
            _encode_int(tag, 2, order)
            + _encode_int(type_code, 2, order)
            + _encode_int(values.size, 4, order)
        )
        if len(stored) > _INLINE_BYTES:
            entries += _encode_int(start + len(more), _INLINE_BYTES, order)
            more += stored
        else:
            entries += stored.ljust(_INLINE_BYTES, b"\0")
    header = (
        (b"II" if order == "<" else b"MM") + _encode_int(42, 2, order) + _encode_int(8, 4, order)
    )
    return (
        header
        + _encode_int(len(fields), 2, order)
        + entries
        + _encode_int(0, _INLINE_BYTES, order)
        + more
    )


def _encode_int(number: int, size: int, order: tiff_header.ByteOrder) -> bytes:
    return number.to_bytes(size, "little" if order == "<" else "big")
