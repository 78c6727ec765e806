"""Draw scenes, and cache them as cloud-optimized GeoTIFFs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import rasterio
from rasterio.shutil import copy as copy_raster
from rasterio.transform import Affine
from rasterio.windows import Window

from benchmarks.progress import print_line
from benchmarks.texture import BAND_ROWS, SENSORS, Kind, Landscape
from benchmarks.worker import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

Compression = Literal["deflate", "zstd"]

CACHE_FOLDER = ROOT / "benchmarks" / ".cache"
BLOCK_SIZE = 512
"""Side of a block in px."""
CRS = "EPSG:32631"
PIXEL_SIZE = 0.5
"""Pixel size in m."""
_VERSION = 1
"""Version of the cached scenes; increment it when the code changes the pixels."""
_COMPRESSION_LEVELS = {"deflate": 6, "zstd": 9}


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """Square scene."""

    kind: Kind
    size: int
    compression: Compression

    @property
    def path(self) -> Path:
        """Path of the scene in the cache."""
        return (
            CACHE_FOLDER / "scenes" / f"{self.kind}_{self.size}_{self.compression}_v{_VERSION}.tif"
        )


def make_scene(kind: Kind, size: int, compression: Compression) -> Path:
    """Return the path of one scene; draw it if it is missing."""
    spec = SceneSpec(kind, size, compression)
    make_scenes([spec])
    return spec.path


def make_scenes(specs: Iterable[SceneSpec]) -> None:
    """Draw the scenes that are not in the cache, each landscape once."""
    missing = [spec for spec in specs if not spec.path.exists()]
    for kind, size in sorted({(spec.kind, spec.size) for spec in missing}):
        same_landscape = [spec for spec in missing if (spec.kind, spec.size) == (kind, size)]
        compressions = ", ".join(spec.compression for spec in same_landscape)
        print_line(f"  drawing {kind} of {size} x {size} px: {compressions}")
        CACHE_FOLDER.joinpath("scenes").mkdir(parents=True, exist_ok=True)
        with _write_uncompressed(kind, size) as raw:
            for spec in same_landscape:
                _compress(raw, spec)


@contextmanager
def _write_uncompressed(kind: Kind, size: int) -> Iterator[Path]:
    """Write the scene without compression, in bands of rows: memory grows only with its width."""
    sensor = SENSORS[kind]
    with tempfile.TemporaryDirectory(dir=CACHE_FOLDER) as folder:
        path = Path(folder, "raw.tif")
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=size,
            height=size,
            count=sensor.bands,
            dtype=sensor.dtype,
            crs=CRS,
            transform=Affine(PIXEL_SIZE, 0, 500_000, 0, -PIXEL_SIZE, 5_400_000),
            tiled=True,
            blockxsize=BLOCK_SIZE,
            blockysize=BLOCK_SIZE,
            interleave="pixel",
            photometric="RGB" if kind == "rgb8" else "MINISBLACK",
            BIGTIFF="IF_SAFER",
        ) as target:
            for number, pixels in enumerate(Landscape(kind, size).iter_bands(size)):
                window = Window(0, number * BAND_ROWS, size, len(pixels))
                target.write(np.moveaxis(pixels, -1, 0), window=window)
        yield path


def _compress(raw: Path, spec: SceneSpec) -> None:
    partial = spec.path.with_suffix(".partial")
    copy_raster(
        raw,
        partial,
        driver="COG",
        COMPRESS=spec.compression,
        LEVEL=_COMPRESSION_LEVELS[spec.compression],
        PREDICTOR="YES",
        BLOCKSIZE=BLOCK_SIZE,
        OVERVIEWS="AUTO",
        RESAMPLING="AVERAGE",
        NUM_THREADS="ALL_CPUS",
        BIGTIFF="IF_SAFER",
    )
    partial.replace(spec.path)
