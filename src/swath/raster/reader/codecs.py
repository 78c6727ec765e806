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
from swath.raster.files.tiff_header import NotReadableError
from swath.raster.files.tiff_layout import Layout
from swath.raster.reader.block_schedule import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

Content = Any
"""Bytes of a block: a memoryview, which imagecodecs accepts although its type hints exclude it."""
Decompress = Callable[..., Any]
_DECOMPRESS: dict[int, Decompress] = {
    tiff_layout.LZW: imagecodecs.lzw_decode,
    tiff_layout.DEFLATE: imagecodecs.deflate_decode,
    tiff_layout.OLD_DEFLATE: imagecodecs.deflate_decode,
    tiff_layout.PACKBITS: imagecodecs.packbits_decode,
    tiff_layout.ZSTD: imagecodecs.zstd_decode,
}
_HORIZONTAL, _FLOATING = 2, 3
_RGBA = 4


@dataclass(frozen=True, slots=True)
class Decoder:
    """Decoder of the blocks of one layout."""

    layout: Layout
    samples: Sequence[int]
    """Indices, from 0, of the wanted samples of a pixel."""
    scratch: threading.local = field(default_factory=threading.local)

    def __call__(self, content: Content, parts: Sequence[Part], rows: int) -> None:
        """Decode a block into its destinations.

        Args:
            content: Bytes of the block, as stored in the file.
            parts: Destinations of the pixels, (wanted samples, rows, cols) each.
            rows: Number of rows of the block, in px.

        Raises:
            NotReadableError: The block decodes to an unexpected number of bytes.
            Exception: imagecodecs cannot decode the block.
        """
        webp = self.layout.compression == tiff_layout.WEBP
        decode = self._decode_image if webp else self._samples
        block = decode(content, self._room(rows))
        if self._whole and self.layout.predictor == _HORIZONTAL and block.dtype.isnative:
            # The predictor is undone while copying, with the block still in the core's cache.
            for part in parts:
                differences = block[part.rows, : part.place.shape[-1]]
                _sum_up(differences, part.place.transpose(1, 2, 0))
            return
        block = self._finished(block)
        for part in parts:
            self._take(block[part.rows, : part.place.shape[-1]], part.place.transpose(1, 2, 0))

    @property
    def _whole(self) -> bool:
        return list(self.samples) == list(range(self.layout.depth))

    def _samples(self, content: Content, room: NDArray[np.uint8]) -> NDArray[Any]:
        """Decompress a block to (rows, cols, samples) in `room`, without undoing its predictor."""
        layout = self.layout
        self._decompress(content, room.data)
        return room.view(layout.dtype).reshape(-1, layout.cols, layout.depth)

    def _decompress(self, content: Content, place: memoryview) -> None:
        if self.layout.compression == tiff_layout.NONE:
            place[:] = content[: len(place)]
            return
        if self.layout.compression == tiff_layout.LZW and content[0] == 0 and content[1] & 1:
            raise NotReadableError("LZW as it was before TIFF 6.0")
        decoded = _DECOMPRESS[self.layout.compression](content, out=place)
        if len(decoded) != len(place):
            raise NotReadableError(f"{len(decoded)} bytes in a block of {len(place)}")

    def _finished(self, block: NDArray[Any]) -> NDArray[Any]:
        """Undo the predictor of a block, and return its pixels in the native byte order."""
        if self.layout.predictor == _FLOATING:
            # The stored bytes have no byte order: the highest bytes of all values in a row come
            # first.
            native = block.view(block.dtype.newbyteorder("="))
            return np.asarray(imagecodecs.floatpred_decode(native, axis=1))
        native = block
        if not block.dtype.isnative:
            native = block.byteswap().view(block.dtype.newbyteorder("="))
        if self.layout.predictor == _HORIZONTAL:
            _sum_up(native, native)
        return native

    def _decode_image(self, content: Content, room: NDArray[np.uint8]) -> NDArray[Any]:
        """Decode a block that is a WebP image into `room`; an image of another size raises."""
        layout = self.layout
        image = room.reshape(-1, layout.cols, layout.depth)
        imagecodecs.webp_decode(content, hasalpha=layout.depth == _RGBA, out=image)
        return image

    def _take(self, block: NDArray[Any], target: NDArray[Any]) -> None:
        """Copy the wanted samples of a block, (rows, cols, samples)."""
        if self._whole:
            target[...] = block
            return
        for place, sample in enumerate(self.samples):
            target[..., place] = block[..., sample]

    def _room(self, rows: int) -> NDArray[np.uint8]:
        """Return the calling thread's buffer for a block of `rows` rows.

        Allocating memory for each block would take as long as undoing a predictor.
        """
        found: NDArray[np.uint8] | None = getattr(self.scratch, "room", None)
        if found is None:
            found = self.scratch.room = np.empty(self.layout.block_bytes, np.uint8)
        return found[: rows * self.layout.row_bytes]


def _sum_up(differences: NDArray[Any], target: NDArray[Any]) -> None:
    """Undo the horizontal predictor (2) along a row; sums wrap around as unsigned numbers do."""
    unsigned = np.dtype(f"u{target.dtype.itemsize}")
    imagecodecs.delta_decode(differences.view(unsigned), axis=1, out=target.view(unsigned))


def decode_mask(layout: Layout, content: Content, rows: int) -> NDArray[np.uint8]:
    """Decode a mask's block of one bit per pixel to 0 and 1, (rows, cols).

    Args:
        layout: Layout of the mask.
        content: Bytes of the block, as stored in the file.
        rows: Number of rows of the block, in px.

    Raises:
        NotReadableError: The block decodes to fewer or more bytes than it should.
    """
    place = bytearray(rows * layout.row_bytes)
    if layout.compression == tiff_layout.NONE:
        place[:] = content[: len(place)]
    elif len(_DECOMPRESS[layout.compression](content, out=memoryview(place))) != len(place):
        raise NotReadableError("a block of a mask that is too short")
    bits = np.frombuffer(place, np.uint8).reshape(rows, layout.row_bytes)
    return np.unpackbits(bits, axis=1, count=layout.cols)
