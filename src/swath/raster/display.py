"""Render a scene's pixels for display: choose the bands, stretch the contrast, reduce the size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from swath import storage
from swath.raster.interpretation import COLOR_BAND_NAMES, select_bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.raster.dataset import PinnedDataset
    from swath.raster.scene import Scene
    from swath.raster.scene_info import SceneInfo

MAX_PIXELS_READ = 128_000_000
"""Largest number of pixels of a band that are decoded for a thumbnail of a local scene."""
MAX_PIXELS_FETCHED = 16_000_000
"""Largest number of pixels of a band that are decoded for a thumbnail of a scene on S3."""
_RGB_BAND_NAMES = [COLOR_BAND_NAMES[color] for color in ("red", "green", "blue")]
"""Band names of red, green and blue."""
_BLACK_PERCENTILE, _WHITE_PERCENTILE = 1, 99.5
"""Percentiles of the valid pixels that are drawn black and white."""
_SHARED_PERCENTILE = 0.5
"""Percentile of the valid pixels of all bands that is drawn black."""
_GAMMA = 0.65
"""Exponent of the brightness; a value below 1 brightens dark pixels."""
_INVALID_COLOR = (0.85, 0.85, 0.85)
"""Color (red, green, blue), from 0 to 1, of pixels that are not valid."""


def read_thumbnail(scene: Scene, bands: Sequence[str], *, side: int) -> NDArray[np.uint8] | None:
    """Read a whole scene at a small size, from its overviews if it has any.

    Args:
        scene: Scene to read.
        bands: Names of the model's bands, of which up to three are shown.
        side: Largest number of rows and of columns of the thumbnail.

    Returns:
        Colors (rows, cols, 3), stretched from the 1st to the 99.5th percentile of each band. None
        if too many pixels would have to be decoded, as for a large scene without overviews.

    Raises:
        SceneError: The scene is damaged.
    """
    info = scene.info
    shown = display_bands(info, bands)
    shrink = max(info.width, info.height) / side
    level = min(_overview_factor(file, shrink) for file in scene.files)
    max_pixels = MAX_PIXELS_FETCHED if storage.is_remote(info.uri) else MAX_PIXELS_READ
    if info.width * info.height / level**2 > max_pixels:
        return None
    rows, cols = (max(1, round(size / max(shrink, 1))) for size in (info.height, info.width))
    pixels, valid = scene.read_reduced((rows, cols), shown)
    return np.asarray(np.round(stretch(pixels, valid) * 255), np.uint8)


def _overview_factor(file: PinnedDataset, shrink: float) -> int:
    """Return the reduction factor of the overview that GDAL reads; 1 for the full resolution.

    Args:
        file: File to read.
        shrink: Reduction factor of the image wanted.
    """
    return max((level for level in file.overviews() if level <= shrink), default=1)


def display_bands(scene: SceneInfo, bands: Sequence[str]) -> list[int]:
    """Return the numbers, from 1, of the bands to display.

    These are red, green and blue if the scene has them. Otherwise they are the model's first three
    bands, or its first band if it has fewer than three.
    """
    if colors := _find_colors(scene):
        return colors
    numbers = select_bands(scene, bands)
    return numbers[:3] if len(numbers) >= len(_RGB_BAND_NAMES) else numbers[:1]


def color_bands(scene: SceneInfo) -> list[int]:
    """Return the numbers, from 1, of the bands to display whatever the model.

    These are red, green and blue if the scene has them. Otherwise they are its first three bands,
    or its first band if it has fewer than three; an alpha band does not count.
    """
    if colors := _find_colors(scene):
        return colors
    numbers = [number for number, color in enumerate(scene.colors, 1) if color != "alpha"]
    return numbers[:3] if len(numbers) >= len(_RGB_BAND_NAMES) else numbers[:1]


def _find_colors(scene: SceneInfo) -> list[int] | None:
    """Return the numbers of red, green and blue; None if the scene does not name them."""
    for known in (scene.colors, scene.band_names):
        names = [(name or "").casefold() for name in known]
        matches = [
            [n for n, name in enumerate(names, 1) if name in wanted] for wanted in _RGB_BAND_NAMES
        ]
        if all(len(numbers) == 1 for numbers in matches):
            return [numbers[0] for numbers in matches]
    return None


def color_limits(pixels: NDArray[Any], valid: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the pixel values to draw black and white, equal for all bands to keep colors true.

    Args:
        pixels: Bands (1 or 3, rows, cols).
        valid: Mask (rows, cols) or in the shape of `pixels`, True = valid.
    """
    plain = _magnitudes(pixels)
    return _contrast_limits(
        plain[np.broadcast_to(valid, plain.shape) & np.isfinite(plain)], darkest=_SHARED_PERCENTILE
    )


def to_colors(
    pixels: NDArray[Any], valid: NDArray[np.bool_], limits: tuple[float, float]
) -> NDArray[np.uint8]:
    """Convert bands to colors (rows, cols, 3); dark pixels are brightened.

    Args:
        pixels: Bands (1 or 3, rows, cols).
        valid: Mask (rows, cols) or in the shape of `pixels`, True = valid.
        limits: Pixel values to draw black and white.
    """
    plain, (low, high) = _magnitudes(pixels), limits
    known = np.broadcast_to(valid, plain.shape)
    bright = np.clip((np.nan_to_num(plain, nan=low) - low) / (high - low), 0, 1) ** _GAMMA
    image = np.broadcast_to(bright.transpose(1, 2, 0), (*plain.shape[1:], 3)).copy()
    image[~known.any(axis=0)] = _INVALID_COLOR
    return np.asarray(np.round(image * 255), np.uint8)


def _magnitudes(pixels: NDArray[Any]) -> NDArray[np.float64]:
    plain = np.abs(pixels) if np.iscomplexobj(pixels) else pixels
    return np.asarray(plain, np.float64)


def stretch(pixels: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Convert bands to colors, stretching the contrast of each band separately.

    Complex numbers are drawn by their magnitude. Pixels without a valid band are drawn gray.

    Args:
        pixels: Bands (1 or 3, rows, cols).
        valid: Mask (rows, cols) or in the shape of `pixels`, True = valid.

    Returns:
        Colors (rows, cols, 3) from 0 to 1.
    """
    layers = _magnitudes(pixels)
    known = np.broadcast_to(valid, layers.shape)
    image = np.empty((*layers.shape[1:], len(layers)))
    for band, layer in enumerate(layers):
        low, high = _contrast_limits(layer[known[band] & np.isfinite(layer)])
        image[..., band] = np.clip((np.nan_to_num(layer) - low) / (high - low), 0, 1)
    image = np.broadcast_to(image, (*layers.shape[1:], 3)).copy()
    image[~known.any(axis=0)] = _INVALID_COLOR
    return image


def _contrast_limits(
    pixels: NDArray[np.float64], *, darkest: float = _BLACK_PERCENTILE
) -> tuple[float, float]:
    """Return the pixel values to draw black and white: the 1st and the 99.5th percentile.

    If the percentiles are equal, the least and the greatest value are returned, so that a few
    bright dots on a uniform background stay visible.
    """
    if not pixels.size:
        return 0.0, 1.0
    for percentiles in ((darkest, _WHITE_PERCENTILE), (0, 100)):
        low, high = (float(limit) for limit in np.percentile(pixels, percentiles))
        if high > low:
            return low, high
    return low, low + 1
