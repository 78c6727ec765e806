"""Scenes to measure on: drawn once, written as cloud-optimised GeoTIFFs, and kept."""

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

from benchmarks.report import say
from benchmarks.texture import BAND, LOOKS, Kind, Landscape
from benchmarks.worker import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

Compression = Literal["deflate", "zstd"]

CACHE = ROOT / "benchmarks" / ".cache"
BLOCK = 512
"""px; the side of a block."""
CRS = "EPSG:32631"
PIXEL = 0.5
"""m"""
_DRAWN = 1
"""To be raised when the same scene is drawn otherwise."""
_LEVELS = {"deflate": 6, "zstd": 9}


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """A square scene."""

    kind: Kind
    size: int
    compression: Compression

    @property
    def path(self) -> Path:
        """Path of the scene in the cache."""
        return CACHE / "scenes" / f"{self.kind}_{self.size}_{self.compression}_v{_DRAWN}.tif"


def make_scene(kind: Kind, size: int, compression: Compression) -> Path:
    """Return the path of one scene; draw it if it is missing."""
    spec = SceneSpec(kind, size, compression)
    make_scenes([spec])
    return spec.path


def make_scenes(specs: Iterable[SceneSpec]) -> None:
    """Draw the scenes that are not there yet, each landscape once."""
    missing = [spec for spec in specs if not spec.path.exists()]
    for kind, size in sorted({(spec.kind, spec.size) for spec in missing}):
        wanted = [spec for spec in missing if (spec.kind, spec.size) == (kind, size)]
        say(f"  drawing {kind} of {size} x {size} px: {', '.join(s.compression for s in wanted)}")
        CACHE.joinpath("scenes").mkdir(parents=True, exist_ok=True)
        with _drawn(kind, size) as raw:
            for spec in wanted:
                _compress(raw, spec)


@contextmanager
def _drawn(kind: Kind, size: int) -> Iterator[Path]:
    """Write the scene without compression, in bands of rows: memory grows only with its width."""
    look = LOOKS[kind]
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        path = Path(folder, "raw.tif")
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=size,
            height=size,
            count=look.bands,
            dtype=look.dtype,
            crs=CRS,
            transform=Affine(PIXEL, 0, 500_000, 0, -PIXEL, 5_400_000),
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            interleave="pixel",
            photometric="RGB" if kind == "rgb8" else "MINISBLACK",
            BIGTIFF="IF_SAFER",
        ) as target:
            for number, pixels in enumerate(Landscape(kind, size).bands(size)):
                window = Window(0, number * BAND, size, len(pixels))
                target.write(np.moveaxis(pixels, -1, 0), window=window)
        yield path


def _compress(raw: Path, spec: SceneSpec) -> None:
    partial = spec.path.with_suffix(".partial")
    copy_raster(
        raw,
        partial,
        driver="COG",
        COMPRESS=spec.compression,
        LEVEL=_LEVELS[spec.compression],
        PREDICTOR="YES",
        BLOCKSIZE=BLOCK,
        OVERVIEWS="AUTO",
        RESAMPLING="AVERAGE",
        NUM_THREADS="ALL_CPUS",
        BIGTIFF="IF_SAFER",
    )
    partial.replace(spec.path)
