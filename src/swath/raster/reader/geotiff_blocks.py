"""Decode the blocks of a GeoTIFF in swath rather than in GDAL, each once, in several threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from swath.raster.files.byte_ranges import File, places_of
from swath.raster.files.tiff_header import NotReadableError
from swath.raster.files.tiff_layout import Layout, decoded_here
from swath.raster.reader.block_schedule import BlockRow, Lattice, Part
from swath.raster.reader.buffer_pool import Memory
from swath.raster.reader.codecs import Decoder, decode_mask
from swath.raster.reader.single_block_tiff import Capsule
from swath.raster.reader.validity import Wanted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Decode = Callable[[memoryview, Sequence[Part], int], None]
"""Function that decodes the bytes of a block into its destinations.

Its arguments are the bytes, the destinations and the number of rows of the block.
"""

_GROWTH, _OVERHEAD = 2, 64 << 10
"""Largest stored size of a block: `_GROWTH` times its decoded bytes, plus `_OVERHEAD` bytes.

Compression can enlarge a block, but not by so much.
"""
_STACK_ROWS, _STACK_BYTES = 256, 4 << 20
"""Rows of pixels, and decoded bytes, up to which low strips are decoded together."""


class Blocks:
    """Source of the blocks of a GeoTIFF."""

    def __init__(
        self,
        file: File,
        layouts: tuple[Layout, Layout | None],
        wanted: Wanted,
        *,
        fill: float | None,
        rows: range,
        decoders: Executor,
    ) -> None:
        """Read where the blocks are in the file.

        Args:
            file: File to read.
            layouts: Layout of the image, and that of the mask within its file, if any.
            wanted: Layers to read.
            fill: Value of the pixels of blocks that the file leaves out; None if only GDAL knows
                it.
            rows: Rows of pixels that will be read.
            decoders: Executor that decodes the blocks.

        Raises:
            NotReadableError: The file ends before its tables of blocks, the tables are invalid, or
                a mask is needed whose layout is not supported.
        """
        self._file, self._wanted, self._fill = file, wanted, fill
        self._decoders = decoders
        self._image, mask = layouts
        self._mask = mask if wanted.masked is not None else None
        if wanted.masked is not None and mask is None:
            raise NotReadableError("a mask in another layout")
        samples = [band - 1 for band in wanted.samples]
        planes = samples if self._image.separate else [0]
        self._stack = _stack(self._image, len(planes))
        height = self._stack * self._image.rows
        self.lattice = Lattice(x=0, y=0, cols=self._image.cols, rows=height)
        self._decode_block = _decoder(self._image, samples)
        self._memory = Memory(
            wanted.layers,
            self._image.dtype.newbyteorder("="),
            interleaved=not (self._image.separate or isinstance(self._decode_block, Capsule)),
        )
        self._first = rows.start // height * self._stack
        last = min(self._image.down, -(-rows.stop // height) * self._stack)
        self._places = _places(self._image, range(self._first, last), planes)
        self._mask_places = (
            _places(self._mask, range(self._first, last), [0]) if self._mask else None
        )

    def expect(self, row: BlockRow) -> int:
        """Start prefetching the bytes of a block row, and return their number."""
        start = row.row * self._stack - self._first
        here = slice(start, start + self._stack)
        parts = [self._places[:, here, row.columns]]
        if self._mask_places is not None:
            parts.append(self._mask_places[:, here, row.columns])
        places = places_of(parts)
        self._file.expect(row.row, places)
        return int(places[:, 1].sum())

    def room(self, rows: int, cols: int) -> NDArray[Any]:
        """Return memory for pixels, (layers, rows, cols), in the memory layout of the blocks."""
        return self._memory.room(rows, cols)

    def decode(self, row: int, column: int, parts: Sequence[Part]) -> Future[None]:
        """Start decoding a block."""
        return self._decoders.submit(self._decode, row, column, parts)

    def forget(self, row: int) -> None:
        """Release the bytes of a block row."""
        self._file.forget(row)

    def _decode(self, row: int, column: int, parts: Sequence[Part]) -> None:
        start = row * self._stack
        for number in range(start, min(start + self._stack, self._image.down)):
            top = (number - start) * self._image.rows
            height = self._image.rows_of(number)
            here = parts if self._stack == 1 else _within(parts, range(top, top + height))
            if here:
                self._decode_one(row, (number - self._first, column), here, height)

    def _decode_one(
        self, row: int, place: tuple[int, int], parts: Sequence[Part], height: int
    ) -> None:
        """Decode a block, or one strip of a stack.

        Args:
            row: Row of the lattice.
            place: Row, from the first row read, and column of the block in the tables of blocks.
            parts: Destinations of the pixels.
            height: Number of rows of the block, in px.
        """
        count = len(self._wanted.samples)
        if self._image.separate:
            for layer, places in enumerate(self._places):
                here = [part.layers(slice(layer, layer + 1)) for part in parts]
                self._decode_into(row, places[place], here, height)
        else:
            here = [part.layers(slice(count)) for part in parts]
            self._decode_into(row, self._places[0][place], here, height)
        if self._mask and self._mask_places is not None:
            content = self._content(row, self._mask_places[0][place])
            bits = None if content is None else decode_mask(self._mask, content, height)
            for part in parts:  # no pixel is valid where the file leaves out the mask's block
                part.place[-1] = 0 if bits is None else part.of(bits)

    def _decode_into(
        self, row: int, place: NDArray[np.int64], parts: Sequence[Part], height: int
    ) -> None:
        content = self._content(row, place)
        if content is not None:
            self._decode_block(content, parts, height)
        elif self._fill is None:
            raise NotReadableError("a block that is left out")
        else:
            for part in parts:
                part.place[...] = self._fill

    def _content(self, row: int, place: NDArray[np.int64]) -> memoryview | None:
        """Return the bytes of a block; None if the file leaves the block out."""
        offset, length = place.tolist()
        if (offset == 0) != (length == 0):
            raise NotReadableError(f"a block of {length} bytes at offset {offset}")
        return self._file.content(row, offset, length) if length else None


def _stack(layout: Layout, planes: int) -> int:
    """Return the number of strips, one above the other, that are decoded together; 1 for tiles."""
    if layout.tiled:
        return 1
    most = _STACK_BYTES // (layout.block_bytes * planes)
    return max(1, min(_STACK_ROWS // layout.rows, most))


def _within(parts: Sequence[Part], rows: range) -> list[Part]:
    """Return the destinations that lie in some rows of a stack, relative to the first of them."""
    found = []
    for part in parts:
        low, high = max(rows.start, part.rows.start), min(rows.stop, part.rows.stop)
        if low < high:
            place = part.place[:, low - part.rows.start : high - part.rows.start]
            found.append(Part(slice(low - rows.start, high - rows.start), place))
    return found


def _decoder(layout: Layout, samples: Sequence[int]) -> Decode:
    """Return the decoder of a layout's blocks.

    It decodes the wanted samples of a pixel or, where each band has blocks of its own, the only
    one.
    """
    here = [0] if layout.separate else samples
    return Decoder(layout, here) if decoded_here(layout) else Capsule(layout, here)


def _places(layout: Layout, rows: range, planes: Sequence[int]) -> NDArray[np.int64]:
    """Return the offsets and sizes of blocks, int64 (planes, rows, columns, 2).

    Raises:
        NotReadableError: An offset is negative, or a block is implausibly large.
    """
    places = layout.places(rows, planes)
    if places.min() < 0 or places[..., 1].max() > _GROWTH * layout.block_bytes + _OVERHEAD:
        raise NotReadableError("blocks where none can be, or of a size that none has")
    return places
