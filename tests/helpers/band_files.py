"""Scenes of several files: bands of several resolutions, written as files of their own."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from swath.items import item_from_files
from swath.raster.assets.open import open_model_scene
from swath.raster.assets.stack import BandNeeds
from tests.helpers.rasters import UTM

ORIGIN = (500_000, 5_000_000)
TILES = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}
RESOLUTIONS = {"B02": 10, "B05": 20, "B01": 60}


def texture(width, height, dtype="uint16", seed=1):
    """Return smooth pixels with noise (rows, cols), all above 0."""
    y, x = np.mgrid[:height, :width]
    waves = 500 + 300 * np.sin(x / 5) * np.cos(y / 7)
    noise = np.random.default_rng(seed).normal(0, 20, (height, width))
    limit = 250 / 1000 if np.dtype(dtype).itemsize == 1 else 1
    return np.clip((waves + noise) * limit, 1, None).astype(dtype)


@pytest.fixture
def write_band(tmp_path):
    """Writes pixels (rows, cols) or (bands, rows, cols) as a file, and gives its path."""

    def write(name, pixels, size=10, *, shift=(0, 0), mask=None, folder="", **profile):
        pixels = np.asarray(pixels)
        pixels = pixels if pixels.ndim > 2 else pixels[None]
        count, height, width = pixels.shape
        transform = Affine(size, 0, ORIGIN[0] + shift[0], 0, -size, ORIGIN[1] + shift[1])
        defaults = {"driver": "GTiff", "crs": UTM, "transform": transform, "dtype": pixels.dtype}
        suffix = "jp2" if profile.get("driver") == "JP2OpenJPEG" else "tif"
        path = tmp_path / folder / f"{name}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path, "w", width=width, height=height, count=count, **(defaults | profile)
            ) as target,
        ):
            target.write(pixels)
            if mask is not None:
                target.write_mask(np.asarray(mask))
        return str(path)

    return write


@pytest.fixture
def three_resolutions(write_band):
    """The paths of bands of 10, 20 and 60 m over the same 360 x 240 px of 10 m, in tiles."""
    return [
        write_band(name, texture(3600 // size, 2400 // size, seed=size), size, **TILES)
        for name, size in RESOLUTIONS.items()
    ]


def open_stack(paths, names=tuple(RESOLUTIONS), **needs):
    """Open the bands of files on one grid."""
    return open_model_scene(
        item_from_files([str(path) for path in paths]), BandNeeds(names, **needs)
    )
