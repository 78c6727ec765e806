"""Decode blocks of TIFFs to the same pixels as GDAL, without holding the interpreter's lock.

A block with any irregularity raises an error and is left to GDAL. GDAL handles many known mistakes
of other writers, and has error messages for the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from swath.raster.files import tiff_layout
from swath.raster.files.tiff_header import UnsupportedLayoutError
from swath.raster.files.tiff_layout import Layout
from swath.raster.reader.block_schedule import CopyTarget

if TYPE_CHECKING:
    from numpy.typing import NDArray

BlockBytes = Any
"""Bytes of a block: a memoryview, which imagecodecs accepts although its type hints exclude it."""
Decompress = Callable[..., Any]
_DECOMPRESS: dict[int, Decompress] = {
    tiff_layout.LZW: imagecodecs.lzw_decode,
    tiff_layout.DEFLATE: imagecodecs.deflate_decode,
    tiff_layout.OLD_DEFLATE: imagecodecs.deflate_decode,
    tiff_layout.PACKBITS: imagecodecs.packbits_decode,
    tiff_layout.ZSTD: imagecodecs.zstd_decode,
}
_HORIZONTAL_PREDICTOR, _FLOATING_PREDICTOR = 2, 3
_RGBA_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Decoder:
    """Decoder of the blocks of one layout."""

    layout: Layout
    samples: Sequence[int]
    """Indices, from 0, of the wanted samples of a pixel."""
    scratch: threading.local = field(default_factory=threading.local)

    def __call__(self, content: BlockBytes, targets: Sequence[CopyTarget], rows: int) -> None:
        """Decode a block into its destinations.

        Args:
            content: Bytes of the block, as stored in the file.
            targets: Destinations of the pixels, (wanted samples, rows, cols) each.
            rows: Number of rows of the block, in px.

        Raises:
            UnsupportedLayoutError: The block decodes to an unexpected number of bytes.
            Exception: imagecodecs cannot decode the block.
        """
        webp = self.layout.compression == tiff_layout.WEBP
        decode = self._decode_image if webp else self._decode_samples
        block = decode(content, self._scratch_buffer(rows))
        if (
            self._selects_all_samples
            and self.layout.predictor == _HORIZONTAL_PREDICTOR
            and block.dtype.isnative
        ):
            # The predictor is undone while copying, with the block still in the core's cache.
            for target in targets:
                differences = block[target.rows, : target.pixels.shape[-1]]
                _undo_differences(differences, target.pixels.transpose(1, 2, 0))
            return
        block = self._undo_predictor(block)
        for target in targets:
            self._copy_samples(
                block[target.rows, : target.pixels.shape[-1]], target.pixels.transpose(1, 2, 0)
            )

    @property
    def _selects_all_samples(self) -> bool:
        return list(self.samples) == list(range(self.layout.depth))

    def _decode_samples(self, content: BlockBytes, buffer: NDArray[np.uint8]) -> NDArray[Any]:
        """Decompress a block to (rows, cols, samples) in `buffer`, but keep its predictor."""
        layout = self.layout
        self._decompress(content, buffer.data)
        return buffer.view(layout.dtype).reshape(-1, layout.block_width, layout.depth)

    def _decompress(self, content: BlockBytes, output: memoryview) -> None:
        if self.layout.compression == tiff_layout.NONE:
            output[:] = content[: len(output)]
            return
        if self.layout.compression == tiff_layout.LZW and content[0] == 0 and content[1] & 1:
            raise UnsupportedLayoutError("the LZW encoding from before TIFF 6.0")

        decoded = _DECOMPRESS[self.layout.compression](content, out=output)
        if len(decoded) != len(output):
            raise UnsupportedLayoutError(f"{len(decoded)} bytes in a block of {len(output)}")

    def _undo_predictor(self, block: NDArray[Any]) -> NDArray[Any]:
        """Undo the predictor of a block, and return its pixels in the native byte order."""
        if self.layout.predictor == _FLOATING_PREDICTOR:
            # The stored bytes have no byte order: the highest bytes of all values in a row come
            # first.
            native = block.view(block.dtype.newbyteorder("="))
            return np.asarray(imagecodecs.floatpred_decode(native, axis=1))
        native = block
        if not block.dtype.isnative:
            native = block.byteswap().view(block.dtype.newbyteorder("="))
        if self.layout.predictor == _HORIZONTAL_PREDICTOR:
            _undo_differences(native, native)
        return native

    def _decode_image(self, content: BlockBytes, buffer: NDArray[np.uint8]) -> NDArray[Any]:
        """Decode a block that is a WebP image into `buffer`; an image of another size raises."""
        layout = self.layout
        image = buffer.reshape(-1, layout.block_width, layout.depth)
        imagecodecs.webp_decode(content, hasalpha=layout.depth == _RGBA_SAMPLES, out=image)
        return image

    def _copy_samples(self, block: NDArray[Any], target: NDArray[Any]) -> None:
        """Copy the wanted samples of a block, (rows, cols, samples)."""
        if self._selects_all_samples:
            target[...] = block
            return
        for index, sample in enumerate(self.samples):
            target[..., index] = block[..., sample]

    def _scratch_buffer(self, rows: int) -> NDArray[np.uint8]:
        """Return the calling thread's buffer for a block of `rows` rows.

        Allocating memory for each block would take as long as undoing a predictor.
        """
        buffer: NDArray[np.uint8] | None = getattr(self.scratch, "buffer", None)
        if buffer is None:
            buffer = self.scratch.buffer = np.empty(self.layout.block_bytes, np.uint8)
        return buffer[: rows * self.layout.row_bytes]


def _undo_differences(differences: NDArray[Any], target: NDArray[Any]) -> None:
    """Undo the horizontal predictor (2) along a row; sums wrap around as unsigned numbers do."""
    unsigned = np.dtype(f"u{target.dtype.itemsize}")
    imagecodecs.delta_decode(differences.view(unsigned), axis=1, out=target.view(unsigned))


def decode_mask(layout: Layout, content: BlockBytes, rows: int) -> NDArray[np.uint8]:
    """Decode a mask's block of one bit per pixel to 0 and 1, (rows, cols).

    Args:
        layout: Layout of the mask.
        content: Bytes of the block, as stored in the file.
        rows: Number of rows of the block, in px.

    Raises:
        UnsupportedLayoutError: The block decodes to an unexpected number of bytes.
    """
    output = bytearray(rows * layout.row_bytes)
    if layout.compression == tiff_layout.NONE:
        output[:] = content[: len(output)]
    elif len(_DECOMPRESS[layout.compression](content, out=memoryview(output))) != len(output):
        raise UnsupportedLayoutError("a block of a mask that is too short")
    bits = np.frombuffer(output, np.uint8).reshape(rows, layout.row_bytes)
    return np.unpackbits(bits, axis=1, count=layout.block_width)
