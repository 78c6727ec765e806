"""How a scene's blocks are laid out in its file, where that is a layout decoded here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.enums import Interleaving

from swath.raster.files import tiff_header
from swath.raster.files.tiff_header import NotReadableError, Page, ReadBytes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE = 1, 5, 7, 8, 32946
PACKBITS, LZMA, ZSTD, WEBP = 32773, 34925, 50000, 50001
_CHUNKY, _SEPARATE = 1, 2
MASK_PAGE = 4
_LOSSLESS = {NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD}
_PLAIN_COLOURS = {0, 1, 2, 3, 4}
"""Photometric interpretations whose samples GDAL gives as they are."""
_FORMATS = {1: "u", 2: "i", 3: "f"}
_HORIZONTAL, _FLOATING = 2, 3
LARGEST_STRIP = 64 << 20
"""Bytes, decoded, of a strip that is held whole; what is larger GDAL reads row by row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One page of a TIFF, in blocks of a size."""

    page: Page
    width: int
    height: int
    tiled: bool
    """Whether its blocks are tiles; else they are strips, and the last one may be lower."""
    rows: int
    """Of a block, in px."""
    cols: int
    samples: int
    separate: bool
    """Whether each band has blocks of its own."""
    bits: int
    dtype: np.dtype[np.generic]
    """In the file's order of bytes."""
    compression: int
    predictor: int
    photometric: int
    jpeg_tables: bytes | None

    @property
    def across(self) -> int:
        """How many blocks lie side by side."""
        return -(-self.width // self.cols)

    @property
    def down(self) -> int:
        """How many blocks lie one above the other."""
        return -(-self.height // self.rows)

    @property
    def planes(self) -> int:
        """How many blocks make up one place."""
        return self.samples if self.separate else 1

    @property
    def depth(self) -> int:
        """How many samples a pixel has within one block."""
        return 1 if self.separate else self.samples

    @property
    def row_bytes(self) -> int:
        """Of one row of pixels in a block, decoded."""
        return -(-self.cols * self.depth * self.bits // 8)

    @property
    def block_bytes(self) -> int:
        """Of a block, decoded."""
        return self.rows * self.row_bytes

    def rows_of(self, row: int) -> int:
        """How many rows of pixels the blocks of one block row have."""
        return self.rows if self.tiled else min(self.rows, self.height - row * self.rows)

    def places(self, rows: range, planes: Sequence[int]) -> NDArray[np.int64]:
        """Where the blocks of some block rows are in the file.

        Returns:
            int64 (planes, rows, columns, 2): offset and number of bytes; 0, 0 of one left out.
        """
        shape = (len(rows), self.across)
        found = np.empty((len(planes), *shape, 2), np.int64)
        for place, plane in enumerate(planes):
            start = (plane * self.down + rows.start) * self.across
            for part, tag in enumerate(tiff_header.BLOCK_TABLES[self.tiled]):
                values = self.page.numbers(tag, start, start + len(rows) * self.across)
                found[place, :, :, part] = values.reshape(shape)
        return found


def scene_layout(reader: DatasetReader, read: ReadBytes) -> tuple[Layout, Layout | None]:
    """The layout of a scene that GDAL has opened, and of the mask within its file.

    Raises:
        NotReadableError: there is something about them that only GDAL knows how to read.
    """
    image, *others = tiff_header.pages(read)
    layout = _layout(image)
    _check_agrees(layout, reader)
    return layout, _mask_layout(layout, others)


def _mask_layout(image: Layout, others: Sequence[Page]) -> Layout | None:
    """The mask's, where it has blocks of one bit a pixel as large as the image's."""
    for page in others:
        if page.number(tiff_header.NEW_SUBFILE_TYPE, 0) != MASK_PAGE:
            continue
        mask = _layout(page)
        sizes = [(one.width, one.height, one.rows, one.cols, one.tiled) for one in (mask, image)]
        same = sizes[0] == sizes[1]
        if same and (mask.samples, mask.bits, mask.predictor) == (1, 1, 1):
            return mask if mask.compression in _LOSSLESS else None
    return None


def _layout(page: Page) -> Layout:
    bits, formats = page.numbers(tiff_header.BITS), page.numbers(tiff_header.SAMPLE_FORMAT)
    if np.unique(bits).size > 1 or np.unique(formats).size > 1:
        raise NotReadableError("samples of several kinds")
    depth, kind = page.number(tiff_header.BITS, 1), page.number(tiff_header.SAMPLE_FORMAT, 1)
    if kind not in _FORMATS or depth not in {1, 8, 16, 32, 64} or (kind, depth) == (3, 8):
        raise NotReadableError(f"samples of {depth} bits of format {kind}")
    if page.number(tiff_header.FILL_ORDER, 1) != 1 or page.number(tiff_header.ORIENTATION, 1) != 1:
        raise NotReadableError("bits or rows in another order")
    width, height = page.number(tiff_header.WIDTH, 0), page.number(tiff_header.HEIGHT, 0)
    tiled = tiff_header.TILE_WIDTH in page.fields
    layout = Layout(
        page=page,
        width=width,
        height=height,
        tiled=tiled,
        rows=page.number(tiff_header.TILE_HEIGHT, 0)
        if tiled
        else min(height, page.number(tiff_header.STRIP_ROWS, height)),
        cols=page.number(tiff_header.TILE_WIDTH, 0) if tiled else width,
        samples=page.number(tiff_header.SAMPLES, 1),
        separate=page.number(tiff_header.PLANAR, _CHUNKY) == _SEPARATE,
        bits=depth,
        dtype=np.dtype(f"{_FORMATS[kind]}{max(1, depth // 8)}").newbyteorder(page.order),
        compression=page.number(tiff_header.COMPRESSION, NONE),
        predictor=page.number(tiff_header.PREDICTOR, 1),
        photometric=page.number(tiff_header.PHOTOMETRIC, 1),
        jpeg_tables=page.values(tiff_header.JPEG_TABLES).tobytes() or None,
    )
    _check_tables(layout)
    return layout


def _check_tables(layout: Layout) -> None:
    if min(layout.width, layout.height, layout.rows, layout.cols, layout.samples) < 1:
        raise NotReadableError("no blocks")
    if not layout.tiled and layout.block_bytes > LARGEST_STRIP:
        raise NotReadableError(f"strips of {layout.block_bytes} bytes")
    blocks = layout.planes * layout.across * layout.down
    for tag in tiff_header.BLOCK_TABLES[layout.tiled]:
        field = layout.page.fields.get(tag)
        if field is None or field.count != blocks:
            raise NotReadableError("a table of blocks of another length")


def _check_agrees(layout: Layout, reader: DatasetReader) -> None:
    """GDAL's word is final: on another reading of the header, GDAL reads."""
    pixel = reader.interleaving == Interleaving.pixel or layout.samples == 1
    shapes = {(layout.rows, layout.cols)}
    if not layout.tiled and layout.compression != NONE:
        shapes.add((1, layout.cols))  # GDAL reads a scene that is one strip by rows
    same = (
        (layout.width, layout.height) == (reader.width, reader.height)
        and layout.samples == reader.count
        and reader.block_shapes[0] in shapes
        and layout.dtype.newbyteorder("=") == np.dtype(reader.dtypes[0])
        and layout.bits == layout.dtype.itemsize * 8
        and (layout.samples == 1 or pixel != layout.separate)
    )
    if not same:
        raise NotReadableError("a header that GDAL understands in another way")


def decoded_here(layout: Layout) -> bool:
    """Whether its blocks can be decoded without GDAL, surely to the same pixels.

    JPEG is none of them: each version of libjpeg has its own way to enlarge colours, and to go on
    after damage.
    """
    compression, predictor = layout.compression, layout.predictor
    if layout.photometric not in _PLAIN_COLOURS:
        return False
    if compression == WEBP:
        return not layout.separate
    if compression in {NONE, PACKBITS}:
        return predictor == 1
    floating = predictor == _FLOATING and layout.dtype.kind == "f"
    return compression in _LOSSLESS and (predictor in {1, _HORIZONTAL} or floating)
