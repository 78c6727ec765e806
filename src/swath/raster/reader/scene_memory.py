"""Estimate the memory for reading a scene of one or several files with GDAL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from swath.raster.reader.memory_check import file_memory_need
from swath.raster.reader.tiled_scene import TiledScene

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.raster.reader.memory_check import MemoryNeed
    from swath.raster.scene import Scene


def gdal_memory_need(scene: Scene, bands: Sequence[int], windows: Ints) -> MemoryNeed:
    """Return the memory for reading windows of a scene with GDAL.

    Args:
        scene: Scene to read.
        bands: Numbers of the bands, from 1.
        windows: Windows (n, 4) x, y, width and height in px.
    """
    if isinstance(scene, TiledScene):
        return scene.memory_need(bands, windows)
    return file_memory_need(scene.files[0], len(bands), windows)
