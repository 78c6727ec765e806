"""Polygonize label rasters by swath and by GDAL, to the same shapely polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import shapely

from benchmarks.meter import Meter, Sample
from swath.detection.detections import NO_LABEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pattern = Literal["fields", "objects", "speckle"]
_TILE_SIZE = 512
"""Side of a tile's core in px."""
_PATTERNS: dict[Pattern, tuple[int, float]] = {
    "fields": (20, 24.0),
    "objects": (20, 4.0),
    "speckle": (4, 0.7),
}
"""Number of tiles, and the smoothing of their noise: standard deviation in px."""


def swath(pattern: Pattern) -> Sample:
    """Make the polygons of each tile by swath."""
    from swath.detection.segmentation.polygonize import polygonize  # noqa: PLC0415

    rasters = draw_rasters(pattern)
    polygonize(rasters[0])
    with Meter() as meter:
        regions = [polygonize(labels) for labels in rasters]
    return meter.sample(polygons=sum(len(region.outline) for region in regions))


def gdal(pattern: Pattern) -> Sample:
    """Make the polygons by rasterio.features.shapes, from whose GeoJSON shapely makes polygons."""
    from rasterio.features import shapes  # noqa: PLC0415

    def polygons(labels: NDArray[np.uint8]) -> list[shapely.Geometry]:
        regions = shapes(labels, mask=labels != NO_LABEL, connectivity=4)
        return [shapely.geometry.shape(geometry) for geometry, _ in regions]

    rasters = draw_rasters(pattern)
    polygons(rasters[0])
    with Meter() as meter:
        count = sum(len(polygons(labels)) for labels in rasters)
    return meter.sample(polygons=count)


def draw_rasters(pattern: Pattern) -> list[NDArray[np.uint8]]:
    """Draw label rasters as segmentations give them: large fields, small objects or speckle."""
    tiles, smoothing = _PATTERNS[pattern]
    rng = np.random.default_rng(0)
    return [
        _label_noise(rng.standard_normal((_TILE_SIZE, _TILE_SIZE)), smoothing) for _ in range(tiles)
    ]


def _label_noise(noise: NDArray[np.float64], smoothing: float) -> NDArray[np.uint8]:
    """Return the classes of smoothed noise: four of them in one half, none in the other."""
    y, x = np.fft.fftfreq(_TILE_SIZE)[:, None], np.fft.rfftfreq(_TILE_SIZE)
    gaussian = np.exp(-2 * (np.pi * smoothing) ** 2 * (x**2 + y**2))
    smooth = np.fft.irfft2(np.fft.rfft2(noise) * gaussian)
    classes = np.digitize(smooth, np.quantile(smooth, [0.5, 0.7, 0.8, 0.9]))
    return np.where(classes == 0, NO_LABEL, classes - 1).astype(np.uint8)
