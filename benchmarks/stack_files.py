"""Write a scene of several files, as archives of Sentinel-2 have it: bands of 10, 20 and 60 m."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import rasterio
from rasterio.enums import Resampling
from rasterio.shutil import copy as copy_raster
from rasterio.transform import Affine

from benchmarks.scenes import BLOCK_SIZE, CACHE_FOLDER, CRS, make_scene

RESOLUTIONS = {"B02": 10, "B03": 10, "B04": 10, "B05": 20, "B11": 20, "B01": 60}
"""Pixel size of each band in m."""
_VERSION = 1
"""Version of the cached files; increment it when the code changes the pixels."""


@dataclass(frozen=True, slots=True)
class StackFiles:
    """Files of a scene, one for each band."""

    width: int
    """Width in px of 10 m."""
    height: int
    """Height in px of 10 m."""

    @property
    def folder(self) -> Path:
        """Folder of the files in the cache."""
        return CACHE_FOLDER / "stacks" / f"{self.width}_{self.height}_v{_VERSION}"

    @property
    def paths(self) -> dict[str, Path]:
        """Path of each band's file."""
        return {name: self.folder / f"{name}.tif" for name in RESOLUTIONS}


def make_stack(width: int, height: int) -> StackFiles:
    """Return the files of a scene; write those that are missing.

    Args:
        width: Width in px of 10 m, a multiple of 6.
        height: Height in px of 10 m, a multiple of 6.
    """
    files = StackFiles(width, height)
    missing = [name for name, path in files.paths.items() if not path.exists()]
    if missing:
        files.folder.mkdir(parents=True, exist_ok=True)
        source = make_scene("ms16", 6144, "deflate")
        for name in missing:
            _write_band(source, files, name)
    return files


def _write_band(source: Path, files: StackFiles, name: str) -> None:
    """Write a band of a scene, repeated downwards to the height of the files, as a COG."""
    size = RESOLUTIONS[name]
    step = size // 10
    band = 1 + list(RESOLUTIONS).index(name) % 4
    with rasterio.open(source) as scene:
        window = ((0, min(files.height, scene.height)), (0, min(files.width, scene.width)))
        shape = (window[0][1] // step, window[1][1] // step)
        pixels = scene.read(band, window=window, out_shape=shape, resampling=Resampling.average)
    width, height = files.width // step, files.height // step
    profile = {"driver": "GTiff", "count": 1, "dtype": pixels.dtype, "crs": CRS}
    transform = Affine(size, 0, 500_000, 0, -size, 5_400_000)
    path = files.paths[name]
    raw, partial = path.with_suffix(".raw"), path.with_suffix(".partial")
    with rasterio.open(
        raw, "w", width=width, height=height, transform=transform, **profile
    ) as target:
        for top in range(0, height, len(pixels)):
            rows = min(len(pixels), height - top)
            target.write(pixels[:rows], 1, window=((top, top + rows), (0, width)))
    copy_raster(
        raw,
        partial,
        driver="COG",
        COMPRESS="deflate",
        PREDICTOR="YES",
        BLOCKSIZE=BLOCK_SIZE,
        OVERVIEWS="NONE",
        NUM_THREADS="ALL_CPUS",
    )
    raw.unlink()
    partial.replace(path)
