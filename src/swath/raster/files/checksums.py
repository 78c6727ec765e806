"""Checksums of a TIFF's blocks, which GDAL passes over.

A deflated block ends in a checksum. GDAL stops as soon as a block is full, before it comes there:
of a damaged block it gives out what it made up. Blocks that are decoded here are held to theirs.
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
from swath.raster.files.byte_ranges import Head, joined, open_file
from swath.raster.files.tiff_header import NotReadableError, Page
from swath.raster.files.tiff_layout import DEFLATE, LARGEST_STRIP, LZMA, MASK_PAGE, OLD_DEFLATE

if TYPE_CHECKING:
    from rasterio.windows import Window

    from swath.raster.files.byte_ranges import File, HeadParts

_SEPARATE = 2
Content = Any
"""The bytes of a block: a memoryview, which imagecodecs takes though its type hints deny it."""
_GROWTH, _OVERHEAD = 2, 64 << 10
"""How much more than its pixels a block may hold."""
_PIECE = 16 << 20
"""Bytes of a large block that are here at once, compressed or not."""


@dataclass(slots=True, eq=False)
class Blocks:
    """The blocks of a page, tiles or strips, and which of them were looked at."""

    page: Page
    rows: int
    cols: int
    across: int
    down: int
    separate: bool
    compression: int
    block_bytes: int
    tags: tuple[int, int]
    """Of the offsets and of the lengths."""
    seen: bytearray = field(default_factory=bytearray)

    @classmethod
    def of(cls, page: Page) -> Blocks:
        """Read how a page is laid out.

        Raises:
            NotReadableError: its header is damaged.
        """
        width, height = page.number(tiff_header.WIDTH, 0), page.number(tiff_header.HEIGHT, 0)
        tiled = tiff_header.TILE_WIDTH in page.fields
        rows = page.number(tiff_header.TILE_HEIGHT if tiled else tiff_header.STRIP_ROWS, height)
        cols = page.number(tiff_header.TILE_WIDTH, width)
        if min(width, height, rows, cols) < 1:
            raise NotReadableError("no blocks")
        rows = rows if tiled else min(rows, height)
        separate = page.number(tiff_header.PLANAR, 1) == _SEPARATE
        samples = page.number(tiff_header.SAMPLES, 1)
        across, down = -(-width // cols), -(-height // rows)
        depth = (1 if separate else samples) * page.number(tiff_header.BITS, 1)
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
            seen=bytearray(across * down * (samples if separate else 1)),
        )

    def new(self, window: Window, bands: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """Number, offset and length of the blocks of a window that were not looked at."""
        x, y, width, height = (int(v) for v in window.flatten())
        first, last = x // self.cols, (x + width - 1) // self.cols + 1
        planes = [band - 1 for band in bands] if self.separate else [0]
        for plane in planes:
            for row in range(y // self.rows, (y + height - 1) // self.rows + 1):
                start = (plane * self.down + row) * self.across
                numbers = range(start + first, start + last)
                if all(self.seen[numbers.start : numbers.stop]):
                    continue
                places = [self.page.numbers(tag, numbers.start, numbers.stop) for tag in self.tags]
                if min(len(part) for part in places) < len(numbers):
                    raise NotReadableError("a table of blocks that is too short")
                for number, offset, length in zip(numbers, *places, strict=True):
                    if not self.seen[number]:
                        yield number, int(offset), int(length)


class Checksums:
    """Holds the blocks of a file to their checksums, each once."""

    def __init__(self, uri: str, etag: str, known: HeadParts = ()) -> None:
        """Open a TIFF of which parts of the header may be known already."""
        self._fetchers = ThreadPoolExecutor(1)
        self._file: File = open_file(uri, etag, self._fetchers)
        image, *others = tiff_header.pages(Head(self._file, known).read)
        masks = [
            page for page in others if page.number(tiff_header.NEW_SUBFILE_TYPE, 0) == MASK_PAGE
        ]
        self._image = Blocks.of(image)
        self._mask = Blocks.of(masks[0]) if masks else None

    def damage(self, window: Window, bands: Sequence[int], *, mask: bool = False) -> str:
        """Say what is wrong with the blocks of a window; nothing if nothing is known to be."""
        blocks = self._mask if mask else self._image
        if blocks is None or blocks.compression not in {DEFLATE, OLD_DEFLATE, LZMA}:
            return ""
        new = list(blocks.new(window, bands))
        for number, offset, length in new:
            if (offset == 0) != (length == 0):
                return f"block {number} has {length} bytes at offset {offset}"
        kept = [(number, offset, length) for number, offset, length in new if length > 0]
        most = _GROWTH * blocks.block_bytes + _OVERHEAD
        if any(length > most or offset < 0 for _, offset, length in kept):
            return ""  # GDAL says what there is to say
        if blocks.block_bytes > LARGEST_STRIP:
            return self._damage_of_large(blocks, kept)
        for number, offset, content in self._contents(kept):
            if is_damaged(blocks.compression, content, blocks.block_bytes):
                return (
                    f"the block at byte {offset} does not match its checksum; copy the file again"
                )
            blocks.seen[number] = 1
        return ""

    def _damage_of_large(self, blocks: Blocks, places: Sequence[tuple[int, int, int]]) -> str:
        """Say what is wrong with blocks that are too large to be here whole."""
        for number, offset, length in places:
            if not self._file.read(offset + length - 1, 1):
                continue  # GDAL says that the file ends before
            pieces = (
                self._file.read(start, min(_PIECE, offset + length - start))
                for start in range(offset, offset + length, _PIECE)
            )
            if not _whole(blocks.compression, pieces, blocks.block_bytes):
                return (
                    f"the block at byte {offset} does not match its checksum; copy the file again"
                )
            blocks.seen[number] = 1
        return ""

    def _contents(
        self, places: Sequence[tuple[int, int, int]]
    ) -> Iterator[tuple[int, int, memoryview]]:
        """Fetch blocks, in as few ranges as make sense; those beyond the end are left out."""
        table = np.array([place[1:] for place in places], np.int64).reshape(-1, 2)
        for start, end in joined(table):
            content = memoryview(self._file.read(start, end - start))
            for number, offset, length in places:
                if start <= offset and offset + length <= start + len(content):
                    yield number, offset, content[offset - start : offset - start + length]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._fetchers.shutdown()


def checksums_of(uri: str, etag: str, known: HeadParts = ()) -> Checksums | None:
    """Return the checksums of a TIFF's blocks; None where its header is damaged."""
    try:
        return Checksums(uri, etag, known)
    except NotReadableError:
        return None


def is_damaged(compression: int, content: Content, length: int) -> bool:
    """Whether a block is none that its writer wrote."""
    if compression != LZMA and _decodes_quickly(content, length):
        return False
    return not _whole(compression, [content], length)


@functools.cache
def _fast_inflate() -> Any:
    """Return the inflate of imagecodecs; None in an image without it, which has zlib.

    The import takes 20 ms, which a process that only opens scenes does not pay.
    """
    if importlib.util.find_spec("imagecodecs") is None:
        return None
    return importlib.import_module("imagecodecs").deflate_decode


def _decodes_quickly(content: Content, length: int) -> bool:
    inflate = _fast_inflate()
    if inflate is None:
        return False
    try:
        return len(inflate(content, out=bytearray(length))) <= length
    except Exception:  # noqa: BLE001 (whatever it raises, zlib decides)
        return False


def _whole(compression: int, pieces: Iterable[Content], length: int) -> bool:
    """Whether a stream ends as it should, or at least when the block is full, to the byte."""
    stream: Any = lzma.LZMADecompressor() if compression == LZMA else zlib.decompressobj()
    made, most = 0, _GROWTH * length + _OVERHEAD
    try:
        for piece in pieces:
            for size in (_unpacked if compression == LZMA else _inflated)(stream, piece):
                made += size
                if made > most:
                    return False
            if stream.eof:
                return True
    except (zlib.error, lzma.LZMAError):
        return False
    return made == length


def _inflated(stream: Any, piece: Content) -> Iterator[int]:
    """Sizes of what a piece of a deflated stream holds, a part at a time."""
    while piece and not stream.eof:
        yield len(stream.decompress(piece, _PIECE))
        piece = stream.unconsumed_tail


def _unpacked(stream: Any, piece: Content) -> Iterator[int]:
    """Sizes of what a piece of an LZMA stream holds, a part at a time."""
    while not stream.eof and (piece or not stream.needs_input):
        yield len(stream.decompress(piece, _PIECE))
        piece = b""
