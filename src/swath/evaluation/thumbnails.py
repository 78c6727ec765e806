"""Draw a window of a scene as a PNG for display."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from matplotlib.image import imsave

from swath.raster.display import display_bands, stretch
from swath.raster.scene import Scene
from swath.raster.scene_info import PixelWindow

_MAX_SIDE_PX = 512
"""Maximum side of a picture in px; larger tiles are subsampled."""


def draw_window(scene: Scene, window: PixelWindow, bands: Sequence[str]) -> str:
    """Return a window as a PNG in a `data:` URI.

    Args:
        scene: Open scene.
        window: Window in scene px: x, y, width, height.
        bands: Names of the model's bands, of which some are displayed.
    """
    shown = display_bands(scene.info, bands)
    pixels, valid = scene.read_layers(window, shown)
    layers = np.broadcast_to(True if valid.input_mask is None else valid.input_mask, pixels.shape)
    step = -(-max(window[2:]) // _MAX_SIDE_PX)
    image = stretch(pixels[:, ::step, ::step], layers[:, ::step, ::step])
    png = io.BytesIO()
    imsave(png, image, format="png")
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
