"""Verify the checksums of a TIFF's blocks, which GDAL ignores.

A deflated block ends with a checksum. GDAL stops as soon as the block's pixels are complete, before
it reaches the checksum, and so it returns invented pixels for a damaged block. swath decodes such
blocks to the end, so their checksums are verified.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import lzma
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.raster.files import tiff_header
from swath.raster.files.byte_ranges import HeaderReader, coalesce, open_file
from swath.raster.files.tiff_header import Page, UnsupportedLayoutError
from swath.raster.files.tiff_layout import DEFLATE, LZMA, MASK_PAGE, MAX_STRIP_BYTES, OLD_DEFLATE

if TYPE_CHECKING:
    from rasterio.windows import Window

    from swath.raster.files.byte_ranges import File, HeaderParts

_SEPARATE = 2
BlockBytes = Any
"""Bytes of a block: a memoryview, which imagecodecs accepts although its type hints exclude it."""
_MAX_GROWTH, _MAX_OVERHEAD_BYTES = 2, 64 << 10
"""Largest size of a block, stored or decoded: `_MAX_GROWTH` x its pixel bytes + the overhead."""
_CHUNK_BYTES = 16 << 20
"""Number of bytes of a large block that are held at once, compressed or not."""


@dataclass(slots=True, eq=False)
class VerifiedBlocks:
    """Blocks of a page, tiles or strips, with a record of those that were verified."""

    page: Page
    rows: int
    """Height of a block in px."""
    cols: int
    """Width of a block in px."""
    across: int
    """Number of columns of blocks."""
    down: int
    """Number of rows of blocks."""
    separate: bool
    """Whether each band has blocks of its own."""
    compression: int
    """Number of the compression in TIFF."""
    block_bytes: int
    """Decoded size of a block in bytes."""
    tags: tuple[int, int]
    """Tags of the blocks' offsets and of their sizes."""
    verified: bytearray = field(default_factory=bytearray)
    """1 for each block that was verified, otherwise 0, by number of the block."""

    @classmethod
    def from_page(cls, page: Page) -> VerifiedBlocks:
        """Read the layout of a page's blocks.

        Raises:
            UnsupportedLayoutError: The header is damaged.
        """
        width, height = page.number(tiff_header.WIDTH, 0), page.number(tiff_header.HEIGHT, 0)
        tiled = tiff_header.TILE_WIDTH in page.fields
        rows = page.number(tiff_header.TILE_HEIGHT if tiled else tiff_header.ROWS_PER_STRIP, height)
        cols = page.number(tiff_header.TILE_WIDTH, width)
        if min(width, height, rows, cols) < 1:
            raise UnsupportedLayoutError("no blocks")
        rows = rows if tiled else min(rows, height)
        separate = page.number(tiff_header.PLANAR_CONFIGURATION, 1) == _SEPARATE
        samples = page.number(tiff_header.SAMPLES_PER_PIXEL, 1)
        across, down = -(-width // cols), -(-height // rows)
        depth = (1 if separate else samples) * page.number(tiff_header.BITS_PER_SAMPLE, 1)
        return cls(
            page=page,
            rows=rows,
            cols=cols,
            across=across,
            down=down,
            separate=separate,
            compression=page.number(tiff_header.COMPRESSION, 1),
            block_bytes=rows * -(-cols * depth // 8),
            tags=tiff_header.BLOCK_TABLES[tiled],
            verified=bytearray(across * down * (samples if separate else 1)),
        )

    def unverified(self, window: Window, bands: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """Yield the blocks of a window that were not verified yet.

        Args:
            window: Window in px.
            bands: Numbers of the bands, from 1.

        Yields:
            Number of a block, and its offset and size in bytes in the file.

        Raises:
            UnsupportedLayoutError: A table of blocks is too short.
        """
        x, y, width, height = (int(v) for v in window.flatten())
        first, last = x // self.cols, (x + width - 1) // self.cols + 1
        planes = [band - 1 for band in bands] if self.separate else [0]
        for plane in planes:
            for row in range(y // self.rows, (y + height - 1) // self.rows + 1):
                start = (plane * self.down + row) * self.across
                numbers = range(start + first, start + last)
                if all(self.verified[numbers.start : numbers.stop]):
                    continue
                byte_ranges = [
                    self.page.numbers(tag, numbers.start, numbers.stop) for tag in self.tags
                ]
                if min(len(part) for part in byte_ranges) < len(numbers):
                    raise UnsupportedLayoutError("a table of blocks that is too short")
                for number, offset, length in zip(numbers, *byte_ranges, strict=True):
                    if not self.verified[number]:
                        yield number, int(offset), int(length)


class ChecksumVerifier:
    """Verifier of the checksums of a TIFF's blocks; each block is verified once."""

    def __init__(self, uri: str, etag: str, header_parts: HeaderParts = ()) -> None:
        """Open a TIFF and read its header.

        Args:
            uri: S3 URI or path of the file.
            etag: ETag of the file.
            header_parts: Parts of the header that were read already.

        Raises:
            UnsupportedLayoutError: The header is damaged.
        """
        self._fetchers = ThreadPoolExecutor(1)
        self._file: File = open_file(uri, etag, self._fetchers)
        image, *others = tiff_header.read_pages(HeaderReader(self._file, header_parts).read)
        masks = [
            page for page in others if page.number(tiff_header.NEW_SUBFILE_TYPE, 0) == MASK_PAGE
        ]
        self._image = VerifiedBlocks.from_page(image)
        self._mask = VerifiedBlocks.from_page(masks[0]) if masks else None

    def describe_damage(self, window: Window, bands: Sequence[int], *, mask: bool = False) -> str:
        """Verify the blocks of a window.

        Args:
            window: Window in px.
            bands: Numbers of the bands, from 1.
            mask: Whether to verify the mask within the file instead of the image.

        Returns:
            Description of the first damage; empty if there is none, or if GDAL reports it.
        """
        blocks = self._mask if mask else self._image
        if blocks is None or blocks.compression not in {DEFLATE, OLD_DEFLATE, LZMA}:
            return ""
        unverified = list(blocks.unverified(window, bands))
        for number, offset, length in unverified:
            if (offset == 0) != (length == 0):
                return f"block {number} has {length} bytes at offset {offset}"
        stored = [(number, offset, length) for number, offset, length in unverified if length > 0]
        max_bytes = _MAX_GROWTH * blocks.block_bytes + _MAX_OVERHEAD_BYTES
        if any(length > max_bytes or offset < 0 for _, offset, length in stored):
            return ""  # GDAL reports it
        if blocks.block_bytes > MAX_STRIP_BYTES:
            return self._describe_large_damage(blocks, stored)
        for number, offset, content in self._fetch_blocks(stored):
            if is_damaged(blocks.compression, content, blocks.block_bytes):
                return (
                    f"the block at byte {offset} does not match its checksum; copy the file again"
                )
            blocks.verified[number] = 1
        return ""

    def _describe_large_damage(
        self, blocks: VerifiedBlocks, byte_ranges: Sequence[tuple[int, int, int]]
    ) -> str:
        """Verify blocks that are too large to be held whole, and describe the first damage.

        Args:
            blocks: Blocks of the page.
            byte_ranges: Number of each block, and its offset and size in bytes in the file.
        """
        for number, offset, length in byte_ranges:
            if not self._file.read(offset + length - 1, 1):
                continue  # the file ends within the block, which GDAL reports
            pieces = (
                self._file.read(start, min(_CHUNK_BYTES, offset + length - start))
                for start in range(offset, offset + length, _CHUNK_BYTES)
            )
            if not _is_intact(blocks.compression, pieces, blocks.block_bytes):
                return (
                    f"the block at byte {offset} does not match its checksum; copy the file again"
                )
            blocks.verified[number] = 1
        return ""

    def _fetch_blocks(
        self, byte_ranges: Sequence[tuple[int, int, int]]
    ) -> Iterator[tuple[int, int, memoryview]]:
        """Fetch blocks in coalesced ranges; blocks beyond the end of the file are left out.

        Args:
            byte_ranges: Number of each block, and its offset and size in bytes in the file.

        Yields:
            Number, offset and bytes of each block.
        """
        table = np.array([byte_range[1:] for byte_range in byte_ranges], np.int64).reshape(-1, 2)
        for start, end in coalesce(table):
            content = memoryview(self._file.read(start, end - start))
            for number, offset, length in byte_ranges:
                if start <= offset and offset + length <= start + len(content):
                    yield number, offset, content[offset - start : offset - start + length]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._fetchers.shutdown()


def open_verifier(uri: str, etag: str, header_parts: HeaderParts = ()) -> ChecksumVerifier | None:
    """Return the verifier of a TIFF's checksums; None where its header cannot be parsed."""
    try:
        return ChecksumVerifier(uri, etag, header_parts)
    except UnsupportedLayoutError:
        return None


def is_damaged(compression: int, content: BlockBytes, length: int) -> bool:
    """Return whether a block is damaged.

    Args:
        compression: Number of the compression in TIFF: `DEFLATE`, `OLD_DEFLATE` or `LZMA`.
        content: Bytes of the block, as stored in the file.
        length: Decoded size of the block in bytes.
    """
    if compression != LZMA and _decodes_quickly(content, length):
        return False
    return not _is_intact(compression, [content], length)


@functools.cache
def _fast_inflate() -> Any:
    """Return imagecodecs' deflate decoder; None where it is not installed and zlib is used.

    The import takes 20 ms, so it is postponed until a block is verified.
    """
    if importlib.util.find_spec("imagecodecs") is None:
        return None
    return importlib.import_module("imagecodecs").deflate_decode


def _decodes_quickly(content: BlockBytes, length: int) -> bool:
    inflate = _fast_inflate()
    if inflate is None:
        return False
    try:
        return len(inflate(content, out=bytearray(length))) <= length
    except Exception:  # noqa: BLE001 (after any error, zlib decides)
        return False


def _is_intact(compression: int, pieces: Iterable[BlockBytes], length: int) -> bool:
    """Return whether a compressed stream is intact.

    It is intact if it ends with a valid checksum, or if it lacks an end but decodes to exactly
    `length` bytes.

    Args:
        compression: Number of the compression in TIFF.
        pieces: Bytes of the stream, in pieces.
        length: Decoded size of the block in bytes.
    """
    stream: Any = lzma.LZMADecompressor() if compression == LZMA else zlib.decompressobj()
    decoded_bytes, max_bytes = 0, _MAX_GROWTH * length + _MAX_OVERHEAD_BYTES
    try:
        for piece in pieces:
            for size in (_decompress_lzma if compression == LZMA else _inflate)(stream, piece):
                decoded_bytes += size
                if decoded_bytes > max_bytes:
                    return False
            if stream.eof:
                return True
    except (zlib.error, lzma.LZMAError):
        return False
    return decoded_bytes == length


def _inflate(stream: Any, piece: BlockBytes) -> Iterator[int]:
    """Decompress a piece of a deflate stream in parts, and yield the size in bytes of each part."""
    while piece and not stream.eof:
        yield len(stream.decompress(piece, _CHUNK_BYTES))
        piece = stream.unconsumed_tail


def _decompress_lzma(stream: Any, piece: BlockBytes) -> Iterator[int]:
    """Decompress a piece of an LZMA stream in parts, and yield the size in bytes of each part."""
    while not stream.eof and (piece or not stream.needs_input):
        yield len(stream.decompress(piece, _CHUNK_BYTES))
        piece = b""
