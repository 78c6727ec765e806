"""Decode the blocks of a GeoTIFF in swath rather than in GDAL, each once, in several threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from swath.raster.files.byte_ranges import File, concatenate_ranges
from swath.raster.files.tiff_header import UnsupportedLayoutError
from swath.raster.files.tiff_layout import Layout, can_decode
from swath.raster.reader.block_schedule import BlockGrid, BlockRow, CopyTarget
from swath.raster.reader.buffer_pool import BufferPool
from swath.raster.reader.channels import Channels
from swath.raster.reader.codecs import Decoder, decode_mask
from swath.raster.reader.single_block_tiff import SingleBlockTiff

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from swath._types import Ints

Decode = Callable[[memoryview, Sequence[CopyTarget], int], None]
"""Function that decodes the bytes of a block into its destinations.

Its arguments are the bytes, the destinations and the number of rows of the block.
"""

_MAX_GROWTH, _MAX_OVERHEAD_BYTES = 2, 64 << 10
"""Largest stored size of a block: `_MAX_GROWTH` times its decoded bytes, plus the overhead.

Compression can enlarge a block, but not by so much.
"""
_MAX_STACK_ROWS, _MAX_STACK_BYTES = 256, 4 << 20
"""Largest number of rows, and of decoded bytes, of strips that are decoded together."""


class GeoTiffBlocks:
    """Source of the blocks of a GeoTIFF."""

    def __init__(
        self,
        file: File,
        layouts: tuple[Layout, Layout | None],
        channels: Channels,
        *,
        fill: float | None,
        rows: range,
        decoders: Executor,
    ) -> None:
        """Read the offsets and sizes of the blocks in the file.

        Args:
            file: File to read.
            layouts: Layout of the image, and that of the mask within its file, if any.
            channels: Layers to read.
            fill: Value of the pixels of blocks that the file leaves out; None if only GDAL knows
                it.
            rows: Rows of pixels that will be read.
            decoders: Executor that decodes the blocks.

        Raises:
            UnsupportedLayoutError: The file ends before its tables of blocks, the tables are
                invalid, or a mask is needed whose layout is not supported.
        """
        self._file, self._channels, self._fill_value = file, channels, fill
        self._decoders = decoders
        self._image, mask = layouts
        self._mask = mask if channels.mask_band is not None else None
        if channels.mask_band is not None and mask is None:
            raise UnsupportedLayoutError("a mask in another layout")
        samples = [band - 1 for band in channels.samples]
        planes = samples if self._image.separate else [0]
        self._strips_per_stack = _strips_per_stack(self._image, len(planes))
        height = self._strips_per_stack * self._image.block_height
        self.block_grid = BlockGrid(
            x=0, y=0, block_width=self._image.block_width, block_height=height
        )
        self._decoder = _create_decoder(self._image, samples)
        self._buffers = BufferPool(
            channels.layer_count,
            self._image.dtype.newbyteorder("="),
            interleaved=not (self._image.separate or isinstance(self._decoder, SingleBlockTiff)),
        )
        self._first_block_row = rows.start // height * self._strips_per_stack
        last = min(self._image.blocks_down, -(-rows.stop // height) * self._strips_per_stack)
        self._byte_ranges = _byte_ranges(self._image, range(self._first_block_row, last), planes)
        self._mask_ranges = (
            _byte_ranges(self._mask, range(self._first_block_row, last), [0])
            if self._mask
            else None
        )

    def byte_ranges(self, row: BlockRow, spans: Ints | None = None) -> Ints:
        """Return the positions of the stored blocks of a row.

        Args:
            row: Row of blocks.
            spans: First row and end, (n, 2), of the rows of pixels that are needed; None for all.
                Of strips that are decoded together, only those with such rows are returned.

        Returns:
            Offsets and sizes in bytes, int64 (n, 2).
        """
        first = row.row * self._strips_per_stack
        numbers = range(first, min(first + self._strips_per_stack, self._image.blocks_down))
        strips = [
            number - self._first_block_row
            for number in numbers
            if spans is None or self._is_needed(number, spans)
        ]
        tables = [self._byte_ranges, *([] if self._mask_ranges is None else [self._mask_ranges])]
        return concatenate_ranges([table[:, strips][:, :, row.columns] for table in tables])

    def _is_needed(self, number: int, spans: Ints) -> bool:
        """Return whether a row of blocks has a row of pixels that is needed."""
        top = number * self._image.block_height
        bottom = top + self._image.block_row_height(number)
        return bool(((spans[:, 0] < bottom) & (spans[:, 1] > top)).any())

    def prefetch(self, row: BlockRow) -> int:
        """Start prefetching the bytes of a block row, and return how many there are."""
        byte_ranges = self.byte_ranges(row)
        self._file.prefetch(row.row, byte_ranges)
        return int(byte_ranges[:, 1].sum())

    def allocate(self, rows: int, cols: int) -> NDArray[Any]:
        """Return memory for pixels, (layers, rows, cols), in the memory layout of the blocks."""
        return self._buffers.allocate(rows, cols)

    def decode(self, row: int, column: int, targets: Sequence[CopyTarget]) -> Future[None]:
        """Start decoding a block."""
        return self._decoders.submit(self._decode, row, column, targets)

    def release(self, row: int) -> None:
        """Release the bytes of a block row."""
        self._file.release(row)

    def _decode(self, row: int, column: int, targets: Sequence[CopyTarget]) -> None:
        start = row * self._strips_per_stack
        for number in range(start, min(start + self._strips_per_stack, self._image.blocks_down)):
            top = (number - start) * self._image.block_height
            height = self._image.block_row_height(number)
            strip_targets = (
                targets
                if self._strips_per_stack == 1
                else _clip_targets(targets, range(top, top + height))
            )
            if strip_targets:
                cell = number - self._first_block_row, column
                self._decode_block(row, cell, strip_targets, height)

    def _decode_block(
        self, row: int, cell: tuple[int, int], targets: Sequence[CopyTarget], height: int
    ) -> None:
        """Decode a block, or one strip of a stack.

        Args:
            row: Row of the block grid.
            cell: Row, from the first row read, and column of the block in the tables of blocks.
            targets: Destinations of the pixels.
            height: Number of rows of the block, in px.
        """
        count = len(self._channels.samples)
        if self._image.separate:
            for layer, ranges in enumerate(self._byte_ranges):
                band = [target.select_layers(slice(layer, layer + 1)) for target in targets]
                self._decode_plane(row, ranges[cell], band, height)
        else:
            bands = [target.select_layers(slice(count)) for target in targets]
            self._decode_plane(row, self._byte_ranges[0][cell], bands, height)
        if self._mask and self._mask_ranges is not None:
            content = self._block_bytes(row, self._mask_ranges[0][cell])
            bits = None if content is None else decode_mask(self._mask, content, height)
            for target in targets:  # no pixel is valid where the file leaves out the mask's block
                target.pixels[-1] = 0 if bits is None else target.crop(bits)

    def _decode_plane(
        self, row: int, byte_range: NDArray[np.int64], targets: Sequence[CopyTarget], height: int
    ) -> None:
        content = self._block_bytes(row, byte_range)
        if content is not None:
            self._decoder(content, targets, height)
        elif self._fill_value is None:
            raise UnsupportedLayoutError("a block that is left out")
        else:
            for target in targets:
                target.pixels[...] = self._fill_value

    def _block_bytes(self, row: int, byte_range: NDArray[np.int64]) -> memoryview | None:
        """Return the bytes of a block; None if the file leaves the block out."""
        offset, length = byte_range.tolist()
        if (offset == 0) != (length == 0):
            raise UnsupportedLayoutError(f"a block of {length} bytes at offset {offset}")
        return self._file.read_block(row, offset, length) if length else None


def _strips_per_stack(layout: Layout, planes: int) -> int:
    """Return the number of strips, one above the other, that are decoded together; 1 for tiles."""
    if layout.tiled:
        return 1
    most = _MAX_STACK_BYTES // (layout.block_bytes * planes)
    return max(1, min(_MAX_STACK_ROWS // layout.block_height, most))


def _clip_targets(targets: Sequence[CopyTarget], rows: range) -> list[CopyTarget]:
    """Return the destinations that lie in some rows of a stack, relative to the first of them."""
    clipped = []
    for target in targets:
        low, high = max(rows.start, target.rows.start), min(rows.stop, target.rows.stop)
        if low < high:
            pixels = target.pixels[:, low - target.rows.start : high - target.rows.start]
            clipped.append(CopyTarget(slice(low - rows.start, high - rows.start), pixels))
    return clipped


def _create_decoder(layout: Layout, samples: Sequence[int]) -> Decode:
    """Return the decoder of a layout's blocks.

    It decodes the wanted samples of a pixel. Where each band has blocks of its own, these have one
    sample per pixel.
    """
    wanted = [0] if layout.separate else samples
    return Decoder(layout, wanted) if can_decode(layout) else SingleBlockTiff(layout, wanted)


def _byte_ranges(layout: Layout, rows: range, planes: Sequence[int]) -> NDArray[np.int64]:
    """Return the offsets and sizes of blocks, int64 (planes, rows, columns, 2).

    Raises:
        UnsupportedLayoutError: An offset is negative, or a block is implausibly large.
    """
    byte_ranges = layout.byte_ranges(rows, planes)
    if (
        byte_ranges.min() < 0
        or byte_ranges[..., 1].max() > _MAX_GROWTH * layout.block_bytes + _MAX_OVERHEAD_BYTES
    ):
        raise UnsupportedLayoutError("an impossible offset or size of a block")

    return byte_ranges
