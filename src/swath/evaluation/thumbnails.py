"""Pixels as a person can look at them: which bands, and how bright."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from matplotlib.image import imsave

from swath.raster.display import display_bands, stretch
from swath.raster.scene import OpenScene
from swath.raster.scene_info import Box

_WIDEST = 512
"""px; larger tiles are drawn smaller."""


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
