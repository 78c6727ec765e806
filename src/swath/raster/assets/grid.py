"""Choose the pixel grid of a run: that of the finest band, or of a ground sampling distance."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from rasterio.control import GroundControlPoint

from swath.errors import SceneError
from swath.raster.assets.ground_distance import ground_distances
from swath.raster.scene_info import ImageInfo

if TYPE_CHECKING:
    from swath.raster.assets.stack import BandNeeds
    from swath.raster.scene_info import SceneInfo

MAX_GSD_RATIO = 16
"""Largest ratio of a package's ground sampling distance and a scene's, in either direction."""
_RATIO_TOLERANCE = 0.01
"""Relative deviation by which a ratio may be rounded to one of small integers.

The pixels of a UTM map are up to 0.1 % longer or shorter on the ground than their nominal size.
"""
_SAME_AREA = 1e-6
"""Relative difference of pixel areas below which they are equal."""


@dataclass(frozen=True, slots=True)
class ChosenGrid:
    """Pixel grid of a run."""

    image: ImageInfo
    """Size of the grid, and its location on Earth."""
    reference: int
    """Index of the band whose pixels are the scene's own."""
    scale: tuple[float, float]
    """Width and height of a grid px in px of the reference."""


def choose_grid(bands: Sequence[SceneInfo], needs: BandNeeds) -> ChosenGrid:
    """Return the grid of the finest band, or one of the ground sampling distance of a package.

    Args:
        bands: Header of the file of each band, in the model's order.
        needs: Requirements of the package.

    Raises:
        SceneError: The package states a ground sampling distance, and that of the scene is unknown
            or differs from it too much.
    """
    reference = finest_band(bands)
    image = bands[reference]
    scale = (1.0, 1.0) if needs.gsd is None else _gsd_scale(image, needs.gsd, needs.gsd_tolerance)
    return ChosenGrid(scale_grid(image, scale), reference, scale)


def finest_band(bands: Sequence[SceneInfo]) -> int:
    """Return the index of the band with the smallest pixels; the first of several such bands.

    Args:
        bands: Header of the file of each band, in the model's order.
    """
    areas = [abs(band.transform.determinant) if band.transform else np.inf for band in bands]
    smallest = min(areas)
    return next(i for i, area in enumerate(areas) if area <= smallest * (1 + _SAME_AREA))


def scale_grid(image: ImageInfo, scale: tuple[float, float]) -> ImageInfo:
    """Return an image's grid with larger or smaller pixels.

    Half of a pixel of the result, at most, is added or lost at the right and the lower edge.

    Args:
        image: Size of the image, and its location on Earth.
        scale: Width and height of the new pixels in those of the image.
    """
    x, y = scale
    return ImageInfo(
        uri=image.uri,
        width=max(1, round(image.width / x)),
        height=max(1, round(image.height / y)),
        crs=image.crs,
        transform=_scaled(image.transform, x, y) if image.transform else None,
        gcps=tuple(
            GroundControlPoint(row=gcp.row / y, col=gcp.col / x, x=gcp.x, y=gcp.y, z=gcp.z)
            for gcp in image.gcps
        )
        if scale != (1.0, 1.0)
        else image.gcps,
        rpcs=image.rpcs,
    )


def _scaled(transform: Affine, x: float, y: float) -> Affine:
    """Return the transform of pixels that are x and y times as large, from the same origin."""
    a, b, c, d, e, f = transform[:6]
    return Affine(a * x, b * y, c, d * x, e * y, f)


def _gsd_scale(image: ImageInfo, gsd: float, tolerance: float) -> tuple[float, float]:
    """Return the scale from an image's pixels to those of a ground sampling distance.

    Args:
        image: Size of the image, and its location on Earth.
        gsd: Ground sampling distance in m.
        tolerance: Relative deviation up to which the image keeps its own pixels.
    """
    own = ground_distances(image)
    if all(abs(one / gsd - 1) <= tolerance for one in own):
        return 1.0, 1.0
    ratios = [gsd / one for one in own]
    if not all(1 / MAX_GSD_RATIO <= ratio <= MAX_GSD_RATIO for ratio in ratios):
        raise SceneError(
            f"{image.uri} has pixels of {own[0]:.4g} x {own[1]:.4g} m and the model expects "
            f"{gsd:g} m; the maximum ratio is {MAX_GSD_RATIO}: use a model for such scenes, or "
            "correct gsd in its mlm:hyperparameters"
        )
    if abs(ratios[0] / ratios[1] - 1) <= _RATIO_TOLERANCE:
        ratios = [float(np.sqrt(ratios[0] * ratios[1]))] * 2
    return _simple_ratio(ratios[0]), _simple_ratio(ratios[1])


def _simple_ratio(ratio: float) -> float:
    """Return a ratio of small integers near a ratio, with which resampling is fast and exact."""
    larger = max(ratio, 1 / ratio)
    candidates = (Fraction(round(larger * count), count) for count in itertools.count(1))
    simple = next(one for one in candidates if abs(float(one) / larger - 1) <= _RATIO_TOLERANCE)
    return float(simple if ratio >= 1 else 1 / simple)
