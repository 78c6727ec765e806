"""Measure the time that a run takes whatever the scene's size: that of a run of a few tiles.

It includes starting the interpreter, importing libraries, loading the model, computing one round of
tiles, merging and writing the files. A process of its own does all of it, as `swath run` does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from math import ceil, inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.transform import Affine

from swath.errors import ModelTimeoutError, PackageError
from swath.storage.output_folder import SUMMARY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription

_ROUNDS = 2
"""Number of measured runs. The first may read the libraries from the disk, and the shortest counts:
other processes only lengthen a run."""
_LONG_SECONDS = 30.0
"""Time in s of a run above which it is not repeated: what varies is small beside it."""
_TIMEOUT_SECONDS = 600
_DEFAULT_PIXEL_SIZE = 10.0
"""Pixel size in m of the tiles of a package without a resolution."""
_MAX_REASON_CHARACTERS = 300


def measure_start(
    model: str, description: ModelDescription, tile: NDArray[Any], *, tiles: int
) -> float:
    """Return the time in s of a run of a few equal tiles, without that of its plan.

    Args:
        model: Address of the model package.
        description: Description of the package.
        tile: Pixels (bands, rows, cols) of a tile of a scene. The run does what detections need
            only if there are some, so a blank tile would take less time.
        tiles: Number of tiles.

    Raises:
        PackageError: The run failed.
        ModelTimeoutError: The run took longer than ten minutes.
    """
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        scene = write_tiles(Path(folder, "tiles.tif"), description, tile, tiles)
        shortest = inf
        for _ in range(_ROUNDS):
            shortest = min(shortest, _time_run(scene, model, Path(folder, "out")))
            if shortest > _LONG_SECONDS:
                break
        return shortest


def write_tiles(path: Path, description: ModelDescription, tile: NDArray[Any], tiles: int) -> Path:
    """Write a scene of one row of tiles with the bands of a model, and return its path.

    Args:
        path: Path of the scene.
        description: Description of the model package.
        tile: Pixels (bands, rows, cols) that are repeated.
        tiles: Number of tiles of the model's size.
    """
    size = description.tile_size
    width = size + (tiles - 1) * (size - description.overlap)
    repeats = (1, ceil(size / tile.shape[1]), ceil(width / tile.shape[2]))
    pixels = np.tile(tile, repeats)[:, :size, :width]
    pixel_size = description.gsd or _DEFAULT_PIXEL_SIZE
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=size,
        count=len(pixels),
        dtype=pixels.dtype,
        photometric="MINISBLACK",
        tiled=True,
        crs="EPSG:32631",
        transform=Affine(pixel_size, 0, 500_000, 0, -pixel_size, 5_400_000),
    ) as target:
        target.write(pixels)
        target.descriptions = tuple(description.bands)
    return path


def _time_run(scene: Path, model: str, out: Path) -> float:
    command = [sys.executable, "-m", "swath", "run", str(scene), "--model", model]
    command += ["--out", str(out)]
    started = time.perf_counter()
    try:
        completed = subprocess.run(  # noqa: S603 (this interpreter, and swath itself)
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise ModelTimeoutError(
            f"{model} did not finish a run of a few tiles within {_TIMEOUT_SECONDS} s; calibrate "
            "on a faster machine"
        ) from None
    elapsed = time.perf_counter() - started
    if completed.returncode:
        reason = " ".join(completed.stderr.split())[-_MAX_REASON_CHARACTERS:]
        raise PackageError(f"{model} cannot be calibrated: a run of some tiles failed ({reason})")
    seconds = json.loads((out / SUMMARY).read_text())["seconds"]
    return float(elapsed - seconds["plan"])
