"""Blocks of a GeoTIFF, decoded here rather than by GDAL: each once, by several threads."""

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
"""Decodes the bytes of a block of some rows to where its pixels go."""

_GROWTH, _OVERHEAD = 2, 64 << 10
"""How much larger than its pixels a block may be: compression can fail, but not by so much."""
_STACK_ROWS, _STACK_BYTES = 256, 4 << 20
"""How many rows of pixels, and how many decoded bytes, low strips are decoded together up to."""


class Blocks:
    """A source of blocks."""

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
        """Find the blocks.

        Args:
            file: what they are read from.
            layouts: of the image and of the mask within its file.
            wanted: the layers.
            fill: the value of blocks that the file leaves out; None if only GDAL knows.
            rows: the rows of pixels that will be asked for.
            decoders: where blocks are decoded.

        Raises:
            NotReadableError: the file ends before its tables of blocks, they cannot be true, or
                its mask is needed and is not known here.
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
        """Begin to bring a row's bytes here."""
        start = row.row * self._stack - self._first
        here = slice(start, start + self._stack)
        parts = [self._places[:, here, row.columns]]
        if self._mask_places is not None:
            parts.append(self._mask_places[:, here, row.columns])
        places = places_of(parts)
        self._file.expect(row.row, places)
        return int(places[:, 1].sum())

    def room(self, rows: int, cols: int) -> NDArray[Any]:
        """Memory for pixels, in the order in which blocks have them."""
        return self._memory.room(rows, cols)

    def decode(self, row: int, column: int, parts: Sequence[Part]) -> Future[None]:
        """Begin to decode a block."""
        return self._decoders.submit(self._decode, row, column, parts)

    def forget(self, row: int) -> None:
        """Let go of a row's bytes."""
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
        """Decode a block, or one of a stack, of `height` rows."""
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
            for part in parts:  # where the file leaves the mask out, nothing is valid
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
        """Return the bytes of a block; None of one that the file leaves out."""
        offset, length = place.tolist()
        if (offset == 0) != (length == 0):
            raise NotReadableError(f"a block of {length} bytes at offset {offset}")
        return self._file.content(row, offset, length) if length else None


def _stack(layout: Layout, planes: int) -> int:
    """Return how many blocks, one above the other, are decoded together."""
    if layout.tiled:
        return 1
    most = _STACK_BYTES // (layout.block_bytes * planes)
    return max(1, min(_STACK_ROWS // layout.rows, most))


def _within(parts: Sequence[Part], rows: range) -> list[Part]:
    """Return what lies in some rows of a stack, as parts of the block that has them."""
    found = []
    for part in parts:
        low, high = max(rows.start, part.rows.start), min(rows.stop, part.rows.stop)
        if low < high:
            place = part.place[:, low - part.rows.start : high - part.rows.start]
            found.append(Part(slice(low - rows.start, high - rows.start), place))
    return found


def _decoder(layout: Layout, samples: Sequence[int]) -> Decode:
    """What decodes a block: all wanted samples of it, or the one that it has."""
    here = [0] if layout.separate else samples
    return Decoder(layout, here) if decoded_here(layout) else Capsule(layout, here)


def _places(layout: Layout, rows: range, planes: Sequence[int]) -> NDArray[np.int64]:
    """Where blocks are, unless following them would have us fetch or hold what cannot be."""
    places = layout.places(rows, planes)
    if places.min() < 0 or places[..., 1].max() > _GROWTH * layout.block_bytes + _OVERHEAD:
        raise NotReadableError("blocks where none can be, or of a size that none has")
    return places
