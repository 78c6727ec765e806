"""Blocks of TIFFs decoded, to the same pixels as GDAL's, without holding the interpreter's lock.

A block that is not quite as it should be raises, and is left to GDAL: it knows a hundred old
mistakes of other writers, and what to say of the rest.
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
"""The bytes of a block: a memoryview, which imagecodecs takes though its type hints deny it."""
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
    """What turns the bytes of a block into pixels."""

    layout: Layout
    samples: Sequence[int]
    """Which samples of a pixel are wanted, from 0."""
    scratch: threading.local = field(default_factory=threading.local)

    def __call__(self, content: Content, parts: Sequence[Part], rows: int) -> None:
        """Decode a block.

        Args:
            content: its bytes as in the file.
            parts: where its pixels go, (samples wanted, rows, cols).
            rows: how many the block has, in px.

        Raises:
            NotReadableError: it holds more or fewer pixels than it should.
            Exception: whatever imagecodecs raises of one that it cannot decode.
        """
        webp = self.layout.compression == tiff_layout.WEBP
        decode = self._decode_image if webp else self._samples
        block = decode(content, self._room(rows))
        if self._whole and self.layout.predictor == _HORIZONTAL and block.dtype.isnative:
            # Summed up on the way, while the block is still in the core's cache.
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
        """The block as it was compressed, (rows, cols, samples), in this thread's scratch."""
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
        """The pixels of a block, in this machine's order of bytes."""
        if self.layout.predictor == _FLOATING:
            # What is stored has no order of bytes: the highest bytes of a row come first.
            native = block.view(block.dtype.newbyteorder("="))
            return np.asarray(imagecodecs.floatpred_decode(native, axis=1))
        native = block
        if not block.dtype.isnative:
            native = block.byteswap().view(block.dtype.newbyteorder("="))
        if self.layout.predictor == _HORIZONTAL:
            _sum_up(native, native)
        return native

    def _decode_image(self, content: Content, room: NDArray[np.uint8]) -> NDArray[Any]:
        """A block that is an image of its own; one of another size does not fit in."""
        layout = self.layout
        image = room.reshape(-1, layout.cols, layout.depth)
        imagecodecs.webp_decode(content, hasalpha=layout.depth == _RGBA, out=image)
        return image

    def _take(self, block: NDArray[Any], target: NDArray[Any]) -> None:
        """Copy the samples wanted."""
        if self._whole:
            target[...] = block
            return
        for place, sample in enumerate(self.samples):
            target[..., place] = block[..., sample]

    def _room(self, rows: int) -> NDArray[np.uint8]:
        """This thread's own room; new memory for each block would cost as much as a predictor."""
        found: NDArray[np.uint8] | None = getattr(self.scratch, "room", None)
        if found is None:
            found = self.scratch.room = np.empty(self.layout.block_bytes, np.uint8)
        return found[: rows * self.layout.row_bytes]


def _sum_up(differences: NDArray[Any], target: NDArray[Any]) -> None:
    """Undo predictor 2; the sums wrap around as unsigned numbers do, whatever the bits mean."""
    unsigned = np.dtype(f"u{target.dtype.itemsize}")
    imagecodecs.delta_decode(differences.view(unsigned), axis=1, out=target.view(unsigned))


def decode_mask(layout: Layout, content: Content, rows: int) -> NDArray[np.uint8]:
    """A block of one bit a pixel as 0 and 1, (rows, cols)."""
    place = bytearray(rows * layout.row_bytes)
    if layout.compression == tiff_layout.NONE:
        place[:] = content[: len(place)]
    elif len(_DECOMPRESS[layout.compression](content, out=memoryview(place))) != len(place):
        raise NotReadableError("a block of a mask that is too short")
    bits = np.frombuffer(place, np.uint8).reshape(rows, layout.row_bytes)
    return np.unpackbits(bits, axis=1, count=layout.cols)
