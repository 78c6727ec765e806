"""Pixels as a person can look at them: which bands, and how bright."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.image import imsave

from swath.raster.interpretation import COLOURS, select_bands
from swath.raster.scene import OpenScene
from swath.raster.scene_info import Box, SceneInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHOWN = [COLOURS[colour] for colour in ("red", "green", "blue")]
_DARKEST, _BRIGHTEST = 1, 99.5
"""Percentiles of the valid pixels that are drawn black and white."""
_WIDEST = 512
"""px; larger tiles are drawn smaller."""
_EMPTY = (0.85, 0.85, 0.85)


def picture_of(scene: OpenScene, window: Box, bands: Sequence[str]) -> str:
    """A window as a PNG, in a `data:` URI.

    Args:
        scene: the scene.
        window: x, y, width, height.
        bands: the model's, of which the display takes some.
    """
    shown = display_bands(scene.info, bands)
    pixels, valid = scene.read_layers(window, shown)
    layers = np.broadcast_to(True if valid.shown is None else valid.shown, pixels.shape)
    step = -(-max(window[2:]) // _WIDEST)
    image = stretch(pixels[:, ::step, ::step], layers[:, ::step, ::step])
    png = io.BytesIO()
    imsave(png, image, format="png")
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()


def display_bands(scene: SceneInfo, bands: Sequence[str]) -> list[int]:
    """Red, green and blue if the scene has them; else the model's first three, or its first."""
    for known in (scene.colours, scene.band_names):
        names = [(name or "").casefold() for name in known]
        found = [[n for n, name in enumerate(names, 1) if name in alike] for alike in _SHOWN]
        if all(len(numbers) == 1 for numbers in found):
            return [numbers[0] for numbers in found]
    numbers = select_bands(scene, bands)
    return numbers[:3] if len(numbers) >= len(_SHOWN) else numbers[:1]


def stretch(pixels: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Bands (1 or 3, rows, cols) as colours (rows, cols, 3) from 0 to 1, each band for itself.

    Complex numbers show their magnitude. A pixel is grey where no band is valid.

    Args:
        pixels: the bands.
        valid: (rows, cols) or as wide as the bands, True = valid.
    """
    plain = np.abs(pixels) if np.iscomplexobj(pixels) else pixels
    layers = plain.astype(np.float64)
    known = np.broadcast_to(valid, layers.shape)
    image = np.empty((*layers.shape[1:], len(layers)))
    for band, layer in enumerate(layers):
        low, high = _limits(layer[known[band] & np.isfinite(layer)])
        image[..., band] = np.clip((np.nan_to_num(layer) - low) / (high - low), 0, 1)
    image = np.broadcast_to(image, (*layers.shape[1:], 3)).copy()
    image[~known.any(axis=0)] = _EMPTY
    return image


def _limits(pixels: NDArray[np.float64]) -> tuple[float, float]:
    """What is drawn black and what white; a few bright dots on nothing are still seen."""
    if not pixels.size:
        return 0.0, 1.0
    for darkest, brightest in ((_DARKEST, _BRIGHTEST), (0, 100)):
        low, high = (float(limit) for limit in np.percentile(pixels, (darkest, brightest)))
        if high > low:
            return low, high
    return low, low + 1
