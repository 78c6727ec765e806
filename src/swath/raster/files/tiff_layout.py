"""Read the layout of a scene's blocks in its file, and decide whether swath can decode them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.enums import Interleaving

from swath.raster.files import tiff_header
from swath.raster.files.tiff_header import Page, ReadBytes, UnsupportedLayoutError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE = 1, 5, 7, 8, 32946
PACKBITS, LZMA, ZSTD, WEBP = 32773, 34925, 50000, 50001
_CHUNKY, _SEPARATE = 1, 2
MASK_PAGE = 4
"""Subfile type of a page that is a mask of the image."""
_LOSSLESS = {NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD}
_UNCONVERTED_PHOTOMETRICS = {0, 1, 2, 3, 4}
"""Photometric interpretations whose samples GDAL does not convert."""
_DTYPE_KINDS = {1: "u", 2: "i", 3: "f"}
_HORIZONTAL_PREDICTOR, _FLOATING_PREDICTOR = 2, 3
MAX_STRIP_BYTES = 64 << 20
"""Largest decoded size in bytes of a strip that is held whole.

GDAL reads larger strips row by row.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Layout of a page of a TIFF, which consists of blocks of one size."""

    page: Page
    width: int
    """Width of the page in px."""
    height: int
    """Height of the page in px."""
    tiled: bool
    """Whether the blocks are tiles; otherwise they are strips, and the last may have fewer rows."""
    block_height: int
    """Height of a block in px."""
    block_width: int
    """Width of a block in px."""
    samples: int
    """Number of samples (bands) of a pixel."""
    separate: bool
    """Whether each band has blocks of its own."""
    bits: int
    """Number of bits of a sample."""
    dtype: np.dtype[np.generic]
    """Type of a sample, in the file's byte order."""
    compression: int
    """Number of the compression in TIFF."""
    predictor: int
    """Number of the predictor in TIFF; 1 for none."""
    photometric: int
    """Number of the photometric interpretation in TIFF."""
    jpeg_tables: bytes | None
    """JPEG tables that all blocks share, if any."""

    @property
    def blocks_across(self) -> int:
        """Number of columns of blocks."""
        return -(-self.width // self.block_width)

    @property
    def blocks_down(self) -> int:
        """Number of rows of blocks."""
        return -(-self.height // self.block_height)

    @property
    def planes(self) -> int:
        """Number of blocks that cover the same pixels: one per band, or one for all bands."""
        return self.samples if self.separate else 1

    @property
    def depth(self) -> int:
        """Number of samples of a pixel within one block."""
        return 1 if self.separate else self.samples

    @property
    def row_bytes(self) -> int:
        """Decoded size in bytes of a row of pixels in a block."""
        return -(-self.block_width * self.depth * self.bits // 8)

    @property
    def block_bytes(self) -> int:
        """Decoded size in bytes of a block."""
        return self.block_height * self.row_bytes

    def block_row_height(self, row: int) -> int:
        """Return the height in px of the blocks of one block row."""
        return (
            self.block_height
            if self.tiled
            else min(self.block_height, self.height - row * self.block_height)
        )

    def byte_ranges(self, rows: range, planes: Sequence[int]) -> NDArray[np.int64]:
        """Return the positions in the file of the blocks of some block rows.

        Args:
            rows: Block rows.
            planes: Indices of the planes, from 0.

        Returns:
            int64 (planes, rows, columns, 2): offset and size in bytes; 0, 0 for a block that the
            file leaves out.
        """
        shape = (len(rows), self.blocks_across)
        ranges = np.empty((len(planes), *shape, 2), np.int64)
        for index, plane in enumerate(planes):
            start = (plane * self.blocks_down + rows.start) * self.blocks_across
            for part, tag in enumerate(tiff_header.BLOCK_TABLES[self.tiled]):
                values = self.page.numbers(tag, start, start + len(rows) * self.blocks_across)
                ranges[index, :, :, part] = values.reshape(shape)
        return ranges


def read_layouts(reader: DatasetReader, read: ReadBytes) -> tuple[Layout, Layout | None]:
    """Return the layout of a scene, and that of the mask within its file.

    Args:
        reader: Scene, as opened by GDAL.
        read: Function that reads the file's bytes.

    Returns:
        Layout of the image, and layout of the mask; None instead of the latter if the file has no
        mask, or one in a layout that is not supported.

    Raises:
        UnsupportedLayoutError: Only GDAL can read the file.
    """
    image, *others = tiff_header.read_pages(read)
    layout = _parse_layout(image)
    _check_matches_gdal(layout, reader)
    return layout, _mask_layout(layout, others)


def _mask_layout(image: Layout, others: Sequence[Page]) -> Layout | None:
    """Return the mask's layout; None unless it has one bit per pixel and the image's block size."""
    for page in others:
        if page.number(tiff_header.NEW_SUBFILE_TYPE, 0) != MASK_PAGE:
            continue
        mask = _parse_layout(page)
        sizes = [
            (one.width, one.height, one.block_height, one.block_width, one.tiled)
            for one in (mask, image)
        ]
        same = sizes[0] == sizes[1]
        if same and (mask.samples, mask.bits, mask.predictor) == (1, 1, 1):
            return mask if mask.compression in _LOSSLESS else None
    return None


def _parse_layout(page: Page) -> Layout:
    bits, formats = (
        page.numbers(tiff_header.BITS_PER_SAMPLE),
        page.numbers(tiff_header.SAMPLE_FORMAT),
    )
    if np.unique(bits).size > 1 or np.unique(formats).size > 1:
        raise UnsupportedLayoutError("samples of several kinds")
    depth, kind = (
        page.number(tiff_header.BITS_PER_SAMPLE, 1),
        page.number(tiff_header.SAMPLE_FORMAT, 1),
    )
    if (
        kind not in _DTYPE_KINDS
        or depth not in {1, 8, 16, 32, 64}
        or (kind, depth) in {(3, 8), (3, 16)}
    ):
        raise UnsupportedLayoutError(f"samples of {depth} bits of format {kind}")
    if page.number(tiff_header.FILL_ORDER, 1) != 1 or page.number(tiff_header.ORIENTATION, 1) != 1:
        raise UnsupportedLayoutError("bits or rows in another order")
    width, height = page.number(tiff_header.WIDTH, 0), page.number(tiff_header.HEIGHT, 0)
    tiled = tiff_header.TILE_WIDTH in page.fields
    layout = Layout(
        page=page,
        width=width,
        height=height,
        tiled=tiled,
        block_height=page.number(tiff_header.TILE_HEIGHT, 0)
        if tiled
        else min(height, page.number(tiff_header.ROWS_PER_STRIP, height)),
        block_width=page.number(tiff_header.TILE_WIDTH, 0) if tiled else width,
        samples=page.number(tiff_header.SAMPLES_PER_PIXEL, 1),
        separate=page.number(tiff_header.PLANAR_CONFIGURATION, _CHUNKY) == _SEPARATE,
        bits=depth,
        dtype=np.dtype(f"{_DTYPE_KINDS[kind]}{max(1, depth // 8)}").newbyteorder(page.order),
        compression=page.number(tiff_header.COMPRESSION, NONE),
        predictor=page.number(tiff_header.PREDICTOR, 1),
        photometric=page.number(tiff_header.PHOTOMETRIC, 1),
        jpeg_tables=page.values(tiff_header.JPEG_TABLES).tobytes() or None,
    )
    _check_tables(layout)
    return layout


def _check_tables(layout: Layout) -> None:
    if (
        min(layout.width, layout.height, layout.block_height, layout.block_width, layout.samples)
        < 1
    ):
        raise UnsupportedLayoutError("no blocks")
    if not layout.tiled and layout.block_bytes > MAX_STRIP_BYTES:
        raise UnsupportedLayoutError(f"strips of {layout.block_bytes} bytes")
    blocks = layout.planes * layout.blocks_across * layout.blocks_down
    for tag in tiff_header.BLOCK_TABLES[layout.tiled]:
        field = layout.page.fields.get(tag)
        if field is None or field.count != blocks:
            raise UnsupportedLayoutError("a table of blocks of another length")


def _check_matches_gdal(layout: Layout, reader: DatasetReader) -> None:
    """Raise unless GDAL understands the header identically, as GDAL is authoritative."""
    is_interleaved = reader.interleaving == Interleaving.pixel or layout.samples == 1
    shapes = {(layout.block_height, layout.block_width)}
    if not layout.tiled and layout.compression != NONE:
        shapes.add((1, layout.block_width))  # GDAL presents a single compressed strip as rows
    same = (
        (layout.width, layout.height) == (reader.width, reader.height)
        and layout.samples == reader.count
        and reader.block_shapes[0] in shapes
        and layout.dtype.newbyteorder("=") == np.dtype(reader.dtypes[0])
        and layout.bits == layout.dtype.itemsize * 8
        and (layout.samples == 1 or is_interleaved != layout.separate)
    )
    if not same:
        raise UnsupportedLayoutError("a header that GDAL parses differently")


def can_decode(layout: Layout) -> bool:
    """Return whether swath can decode the blocks of a layout to exactly GDAL's pixels.

    JPEG is excluded, as versions of libjpeg differ in how they upsample colors and continue after
    damage.
    """
    compression, predictor = layout.compression, layout.predictor
    if layout.photometric not in _UNCONVERTED_PHOTOMETRICS:
        return False
    if compression == WEBP:
        return not layout.separate
    if compression in {NONE, PACKBITS}:
        return predictor == 1
    floating = predictor == _FLOATING_PREDICTOR and layout.dtype.kind == "f"
    return compression in _LOSSLESS and (predictor in {1, _HORIZONTAL_PREDICTOR} or floating)
