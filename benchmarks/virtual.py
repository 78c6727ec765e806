"""Scenes of any size on a few MB of disk: a TIFF whose many blocks are a few real ones, repeated.

Each block's offset points at one of a handful of compressed blocks, in a pattern without rows or
columns; a corner has no blocks at all, as scenes have a collar of nodata. To any reader of TIFF it
is a scene like any other: each pixel is real, has to be fetched and decoded, and belongs to one
ETag. (A VRT would be smaller still, but it names other files, which its ETag does not pin, so swath
reads none.)
"""

from __future__ import annotations

import functools
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.texture import LOOKS, Kind, Landscape

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 512
_VARIETY = 4
"""There are the square of this many different blocks."""
_HEADER = 16
_ASCII, _SHORT, _DOUBLE, _LONG8 = 2, 3, 12, 16
_PACKING = {_ASCII: "s", _SHORT: "H", _DOUBLE: "d", _LONG8: "Q"}
_UTM_31N = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32631)
"""GeoKeys: projected, pixels are areas, EPSG:32631."""

Tag = tuple[int, int, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class VirtualScene:
    """A scene that repeats itself."""

    width: int
    height: int
    kind: Kind = "rgb8"
    collar: float = 0.1
    """Share of the top and of the left edge that the empty corner covers."""

    def write(self, path: Path) -> Path:
        """Write the file; deflate, predictor 2, blocks of 512 px, nodata 0."""
        blocks = [_encode(block) for block in self.blocks()]
        lengths = np.array([len(block) for block in blocks])
        starts = _HEADER + np.cumsum(lengths) - lengths
        used = self.pattern().ravel()
        offsets = np.where(used < 0, 0, starts[used])
        counts = np.where(used < 0, 0, lengths[used])
        directory = _HEADER + int(lengths.sum())
        with path.open("wb") as file:
            file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, directory))
            file.write(b"".join(blocks))
            file.write(_directory(self._tags(offsets, counts), directory))
        return path

    def pattern(self) -> NDArray[np.int64]:
        """Return the index into `blocks` of each block, (rows, columns of blocks); -1: none."""
        rows, columns = -(-self.height // BLOCK), -(-self.width // BLOCK)
        row, column = np.arange(rows)[:, None], np.arange(columns)[None, :]
        which = (row * 7 + column * 3 + row * column) % _VARIETY**2
        empty = row / rows + column / columns < self.collar
        return np.where(empty, -1, which)

    def blocks(self) -> list[NDArray[Any]]:
        """Return the different blocks, (rows, cols, bands) each."""
        return _draw(self.kind)

    def _tags(self, offsets: NDArray[np.int64], counts: NDArray[np.int64]) -> list[Tag]:
        """In the order of their numbers, as TIFF wants them."""
        look = LOOKS[self.kind]
        bits = np.dtype(look.dtype).itemsize * 8
        colours = 3 if self.kind == "rgb8" else 1
        rest = (0,) * (look.bands - colours)
        return [
            (256, _LONG8, (self.width,)),
            (257, _LONG8, (self.height,)),
            (258, _SHORT, (bits,) * look.bands),
            (259, _SHORT, (8,)),  # deflate
            (262, _SHORT, (2 if colours > 1 else 1,)),
            (277, _SHORT, (look.bands,)),
            (284, _SHORT, (1,)),  # a block holds all bands
            (317, _SHORT, (2,)),  # predictor
            (322, _SHORT, (BLOCK,)),
            (323, _SHORT, (BLOCK,)),
            (324, _LONG8, tuple(offsets.tolist())),
            (325, _LONG8, tuple(counts.tolist())),
            *([(338, _SHORT, rest)] if rest else []),
            (339, _SHORT, (1,) * look.bands),  # unsigned integers
            (33550, _DOUBLE, (0.5, 0.5, 0.0)),  # m a pixel
            (33922, _DOUBLE, (0.0, 0.0, 0.0, 500_000.0, 5_400_000.0, 0.0)),
            (34735, _SHORT, _UTM_31N),
            (42113, _ASCII, (b"0\0",)),  # nodata
        ]


@functools.cache
def _draw(kind: Kind) -> list[NDArray[Any]]:
    landscape = Landscape(kind, _VARIETY * BLOCK)
    bands = [landscape.draw(number) for number in range(_VARIETY)]
    return [
        np.ascontiguousarray(band[:, start : start + BLOCK])
        for band in bands
        for start in range(0, band.shape[1], BLOCK)
    ]


def _encode(block: NDArray[Any]) -> bytes:
    """Differences along rows, then deflate."""
    differences = block.copy()
    differences[:, 1:] -= block[:, :-1]
    return zlib.compress(differences.tobytes(), 6)


def _directory(tags: list[Tag], start: int) -> bytes:
    """Return a BigTIFF's directory, followed by the values that do not fit into it."""
    entries, behind = [], b""
    values_start = start + 8 + 20 * len(tags) + 8
    for number, kind, values in tags:
        count = len(values[0]) if kind == _ASCII else len(values)
        form = f"<{count}s" if kind == _ASCII else f"<{count}{_PACKING[kind]}"
        data = struct.pack(form, *values)
        if len(data) > 8:  # noqa: PLR2004 (what an entry holds)
            behind += b"\0" * (-len(behind) % 8)
            place = struct.pack("<Q", values_start + len(behind))
            behind += data
        else:
            place = data.ljust(8, b"\0")
        entries.append(struct.pack("<HHQ", number, kind, count) + place)
    return struct.pack("<Q", len(tags)) + b"".join(entries) + struct.pack("<Q", 0) + behind
