"""Write scenes of any size in a few MB: TIFFs that repeat a few blocks.

Each block's offset refers to one of a few compressed blocks, in an irregular pattern. A corner has
no blocks, as scenes have a collar of nodata. A reader of TIFF has to fetch and decode every pixel,
as in any other scene. A VRT would be smaller, but its ETag does not pin the files that it names, so
swath does not read VRTs.
"""

from __future__ import annotations

import functools
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.texture import SENSORS, Kind, Landscape

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_SIZE = 512
_BLOCKS_PER_SIDE = 4
"""Square root of the number of different blocks."""
_HEADER_BYTES = 16
_ASCII, _SHORT, _DOUBLE, _LONG8 = 2, 3, 12, 16
_STRUCT_FORMATS = {_ASCII: "s", _SHORT: "H", _DOUBLE: "d", _LONG8: "Q"}
_UTM_31N = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32631)
"""GeoKeys: projected, pixels are areas, EPSG:32631."""

Tag = tuple[int, int, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class VirtualScene:
    """Scene that repeats its blocks."""

    width: int
    height: int
    kind: Kind = "rgb8"
    collar: float = 0.1
    """Fraction of the top and of the left edge that the empty corner covers."""

    def write(self, path: Path) -> Path:
        """Write the file; deflate, predictor 2, blocks of 512 px, nodata 0."""
        blocks = [_compress_block(block) for block in self.blocks()]
        lengths = np.array([len(block) for block in blocks])
        starts = _HEADER_BYTES + np.cumsum(lengths) - lengths
        indices = self.pattern().ravel()
        offsets = np.where(indices < 0, 0, starts[indices])
        byte_counts = np.where(indices < 0, 0, lengths[indices])
        directory = _HEADER_BYTES + int(lengths.sum())
        with path.open("wb") as file:
            file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, directory))
            file.write(b"".join(blocks))
            file.write(_format_directory(self._tags(offsets, byte_counts), directory))
        return path

    def pattern(self) -> NDArray[np.int64]:
        """Return the index into `blocks` of each block, (rows, columns of blocks); -1: none."""
        rows, columns = -(-self.height // BLOCK_SIZE), -(-self.width // BLOCK_SIZE)
        row, column = np.arange(rows)[:, None], np.arange(columns)[None, :]
        block_index = (row * 7 + column * 3 + row * column) % _BLOCKS_PER_SIDE**2
        empty = row / rows + column / columns < self.collar
        return np.where(empty, -1, block_index)

    def blocks(self) -> list[NDArray[Any]]:
        """Return the different blocks, (rows, cols, bands) each."""
        return _draw_blocks(self.kind)

    def _tags(self, offsets: NDArray[np.int64], byte_counts: NDArray[np.int64]) -> list[Tag]:
        """Return the tags in the order of their numbers, as TIFF requires."""
        sensor = SENSORS[self.kind]
        bits = np.dtype(sensor.dtype).itemsize * 8
        color_count = 3 if self.kind == "rgb8" else 1
        extra_samples = (0,) * (sensor.bands - color_count)
        return [
            (256, _LONG8, (self.width,)),
            (257, _LONG8, (self.height,)),
            (258, _SHORT, (bits,) * sensor.bands),
            (259, _SHORT, (8,)),  # deflate
            (262, _SHORT, (2 if color_count > 1 else 1,)),
            (277, _SHORT, (sensor.bands,)),
            (284, _SHORT, (1,)),  # a block holds all bands
            (317, _SHORT, (2,)),  # predictor
            (322, _SHORT, (BLOCK_SIZE,)),
            (323, _SHORT, (BLOCK_SIZE,)),
            (324, _LONG8, tuple(offsets.tolist())),
            (325, _LONG8, tuple(byte_counts.tolist())),
            *([(338, _SHORT, extra_samples)] if extra_samples else []),
            (339, _SHORT, (1,) * sensor.bands),  # unsigned integers
            (33550, _DOUBLE, (0.5, 0.5, 0.0)),  # m a pixel
            (33922, _DOUBLE, (0.0, 0.0, 0.0, 500_000.0, 5_400_000.0, 0.0)),
            (34735, _SHORT, _UTM_31N),
            (42113, _ASCII, (b"0\0",)),  # nodata
        ]


@functools.cache
def _draw_blocks(kind: Kind) -> list[NDArray[Any]]:
    landscape = Landscape(kind, _BLOCKS_PER_SIDE * BLOCK_SIZE)
    bands = [landscape.draw_band(index) for index in range(_BLOCKS_PER_SIDE)]
    return [
        np.ascontiguousarray(band[:, start : start + BLOCK_SIZE])
        for band in bands
        for start in range(0, band.shape[1], BLOCK_SIZE)
    ]


def _compress_block(block: NDArray[Any]) -> bytes:
    """Compress differences along rows by deflate."""
    differences = block.copy()
    differences[:, 1:] -= block[:, :-1]
    return zlib.compress(differences.tobytes(), 6)


def _format_directory(tags: list[Tag], start: int) -> bytes:
    """Return a BigTIFF's directory, followed by the values that do not fit into it."""
    entries, overflow = [], b""
    values_start = start + 8 + 20 * len(tags) + 8
    for index, kind, values in tags:
        count = len(values[0]) if kind == _ASCII else len(values)
        format_ = f"<{count}s" if kind == _ASCII else f"<{count}{_STRUCT_FORMATS[kind]}"
        data = struct.pack(format_, *values)
        if len(data) > 8:  # noqa: PLR2004 (bytes of an entry)
            overflow += b"\0" * (-len(overflow) % 8)
            offset = struct.pack("<Q", values_start + len(overflow))
            overflow += data
        else:
            offset = data.ljust(8, b"\0")
        entries.append(struct.pack("<HHQ", index, kind, count) + offset)
    return struct.pack("<Q", len(tags)) + b"".join(entries) + struct.pack("<Q", 0) + overflow
