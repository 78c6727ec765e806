"""Measure how fast this machine reads pixels in each compression, and estimate reads from it.

The time of a read has two parts: one grows with the decoded bytes, one with the stored bytes. Two
drawn scenes of the same size, one of which compresses well, give both. They are read by the reader
of a run. CPU time is measured, since it grows neither with the load of others nor with waiting for
a network, and since all CPUs read.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import DriverRegistrationError, RasterioError
from rasterio.transform import Affine

from swath.messages import Payload
from swath.raster.reader import read_tiles
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.raster.reader.read_sizes import ReadSize

DEFAULT_COMPRESSION = "DEFLATE"
"""Compression whose speed is used for compressions that were not measured."""
_SIZE, _TILE, _BLOCK, _BANDS = 768, 256, 256, 3
_NOISE_BITS = (2, 7)
"""Bits of noise of the two scenes."""
_ROUNDS = 3
_TIFF: dict[str, Any] = {
    "driver": "GTiff",
    "tiled": True,
    "blockxsize": _BLOCK,
    "blockysize": _BLOCK,
    "interleave": "pixel",
    "photometric": "MINISBLACK",
}
_PROFILES: dict[str, dict[str, Any]] = {
    "NONE": {**_TIFF, "dtype": "uint16"},
    "DEFLATE": {**_TIFF, "dtype": "uint16", "compress": "DEFLATE", "predictor": 2},
    "LZW": {**_TIFF, "dtype": "uint16", "compress": "LZW", "predictor": 2},
    "ZSTD": {**_TIFF, "dtype": "uint16", "compress": "ZSTD", "predictor": 2},
    "JPEG": {**_TIFF, "dtype": "uint8", "compress": "JPEG"},
    "WEBP": {**_TIFF, "dtype": "uint8", "compress": "WEBP", "photometric": "RGB"},
    "JPEG2000": {
        "driver": "JP2OpenJPEG",
        "dtype": "uint16",
        "QUALITY": "100",
        "REVERSIBLE": "YES",
        "BLOCKXSIZE": _BLOCK,
        "BLOCKYSIZE": _BLOCK,
    },
}
"""Creation options of GDAL, by name of the compression."""


class ReadingSpeed(Payload, frozen=True, kw_only=True):
    """CPU time of reading one compression on one machine."""

    seconds_per_decoded_byte: float
    seconds_per_stored_byte: float

    def seconds(self, *, decoded: int, stored: int) -> float:
        """Return the CPU time in s of reading some bytes."""
        return self.seconds_per_decoded_byte * decoded + self.seconds_per_stored_byte * stored


def reading_seconds(speeds: Mapping[str, ReadingSpeed], sizes: Iterable[ReadSize]) -> float:
    """Return the CPU time in s of reading files.

    Args:
        speeds: Speeds by compression; they have that of `DEFAULT_COMPRESSION`.
        sizes: Bytes that are read of each file.
    """
    return sum(
        speeds.get(size.compression, speeds[DEFAULT_COMPRESSION]).seconds(
            decoded=size.decoded_bytes, stored=size.block_bytes
        )
        for size in sizes
    )


def measure_reading() -> dict[str, ReadingSpeed]:
    """Return the reading speeds of this machine by compression.

    A compression that this build of GDAL cannot write is left out.
    """
    speeds = {}
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        for name, profile in _PROFILES.items():
            try:
                points = [_measure(Path(folder), profile, bits) for bits in _NOISE_BITS]
            except (CPLE_BaseError, DriverRegistrationError, RasterioError):
                continue
            speeds[name] = fit_speed(points)
    return speeds


def fit_speed(points: Iterable[tuple[float, int, int]]) -> ReadingSpeed:
    """Return the speed that two reads show; neither part of it is negative.

    Args:
        points: CPU time in s, decoded bytes and stored bytes of two reads. The second stores more.
    """
    (low, decoded, few), (high, _, many) = points
    per_stored = max(0.0, high - low) / (many - few) if many > few else 0.0
    # The scene that compresses well would then decode in no time.
    per_stored = min(per_stored, low / few)
    mean = (low - per_stored * few + high - per_stored * many) / 2
    return ReadingSpeed(
        seconds_per_decoded_byte=max(0.0, mean) / decoded, seconds_per_stored_byte=per_stored
    )


def _measure(folder: Path, profile: dict[str, Any], bits: int) -> tuple[float, int, int]:
    """Return the CPU time in s, the decoded bytes and the stored bytes of reading a drawn scene."""
    pixels = _draw(np.dtype(profile["dtype"]), bits)
    best = np.inf
    for number in range(_ROUNDS):
        # GDAL caches the blocks of a file, so each round has a file of its own.
        path = folder / f"{number}"
        with rasterio.open(
            path,
            "w",
            width=_SIZE,
            height=_SIZE,
            count=_BANDS,
            crs="EPSG:32631",
            transform=Affine(10, 0, 500_000, 0, -10, 5_400_000),
            **profile,
        ) as target:
            target.write(pixels)
        best = min(best, _time_read(path))
        stored = path.stat().st_size
    return best, pixels.nbytes, stored


def _time_read(path: Path) -> float:
    with open_scene(str(path)) as scene:
        grid = Grid(_SIZE, _SIZE, _TILE, 0)
        started = time.process_time()
        for _ in read_tiles(scene, grid, range(1, _BANDS + 1), range(grid.count)):
            pass
        return time.process_time() - started


def _draw(dtype: np.dtype[Any], bits: int) -> NDArray[Any]:
    """Return a slope with noise, (bands, rows, cols)."""
    noise = np.random.default_rng(0).integers(0, 1 << bits, (_BANDS, _SIZE, _SIZE))
    return (noise + np.arange(_SIZE) // 8).astype(dtype)
