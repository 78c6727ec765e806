"""GDAL's warper as the oracle of resampling, and random pairs of an asset and a grid."""

from dataclasses import dataclass

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from swath.raster.scene_info import ImageInfo

UTM_33 = CRS.from_epsg(32633)
METHODS = ("nearest", "bilinear", "cubic", "average")
RATIOS = (1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 0.97, 1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 7.3)
_LEFT, _TOP = 600_000, 5_000_000


def image(width, height, transform, crs=UTM_33, uri="image.tif"):
    """The header of an image without pixels."""
    return ImageInfo(
        uri=uri,
        width=int(width),
        height=int(height),
        crs=crs,
        transform=transform,
        gcps=(),
        rpcs=False,
    )


def is_wide(dtype):
    """Return whether float32 cannot hold the values of a type."""
    dtype = np.dtype(dtype)
    return dtype.itemsize > 4 or (dtype.kind in "iu" and dtype.itemsize == 4)


def warped(pixels, asset, grid, method, *, nodata=None, mask=None):
    """Warp one band with GDAL, as float32 or float64.

    Args:
        pixels: Pixels (rows, cols) of the asset.
        asset: Header of the asset.
        grid: Header of the grid.
        method: Name of the resampling.
        nodata: Nodata value of the asset.
        mask: Mask (rows, cols) of the asset, True = valid.

    Returns:
        Pixels (rows, cols) of the grid, and their mask, True = valid.
    """
    profile = {"driver": "GTiff", "count": 1, "dtype": pixels.dtype, "nodata": nodata}
    profile |= {"width": asset.width, "height": asset.height}
    scale = grid.transform.a / asset.transform.a, grid.transform.e / asset.transform.e
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as file:
        with file.open(**profile, crs=asset.crs, transform=asset.transform) as target:
            target.write(pixels, 1)
            if mask is not None:
                target.write_mask(mask)
        with (
            file.open() as source,
            WarpedVRT(
                source,
                crs=grid.crs,
                transform=grid.transform,
                width=grid.width,
                height=grid.height,
                resampling=Resampling[method],
                # rasterio 1.4 creates no VRT for a tolerance of exactly 0.
                tolerance=1e-9,
                add_alpha=True,
                dtype="float64" if is_wide(pixels.dtype) else "float32",
                src_nodata=nodata,
                # Without these GDAL derives the scale from each window.
                XSCALE=1 / scale[0],
                YSCALE=1 / scale[1],
            ) as vrt,
        ):
            values, alpha = vrt.read()
    return values, alpha > 0


@dataclass(frozen=True)
class Pair:
    """A random asset and a random grid over it."""

    pixels: np.ndarray
    asset: ImageInfo
    grid: ImageInfo
    nodata: float | None
    mask: np.ndarray | None


def random_pair(seed):
    """Return a pair of grids; origin, sizes, ratio, dtype and validity depend on the seed."""
    rng = np.random.default_rng(seed)
    width, height = rng.integers(16, 90, 2)
    size = float(rng.choice([2.5, 5, 10, 20, 60, 3.75]))
    across = size * float(rng.choice(RATIOS))
    down = across if rng.random() < 0.7 else size * float(rng.choice(RATIOS))
    x, y = (float(size * rng.integers(-40, 40) / 8) for _ in range(2))
    if rng.random() < 0.3:
        x, y = round(x / size) * size, round(y / size) * size
    asset = image(width, height, Affine(size, 0, _LEFT, 0, -size, _TOP))
    transform = Affine(across, 0, _LEFT + x, 0, -down, _TOP + y)
    grid = image(*rng.integers(8, 140, 2), transform)
    dtype = str(rng.choice(["uint8", "int16", "uint16", "float32", "float64", "uint32", "int32"]))
    pixels = _random_pixels(rng, (int(height), int(width)), dtype)
    kind = rng.choice(["all valid", "nodata", "mask"])
    mask = rng.random(pixels.shape) > rng.choice([0.02, 0.3])
    mask[: height // 4] &= rng.random() < 0.5
    if kind == "nodata":
        pixels[~mask] = 0
    return Pair(
        pixels, asset, grid, 0.0 if kind == "nodata" else None, mask if kind == "mask" else None
    )


def _random_pixels(rng, shape, dtype):
    if dtype.startswith("float"):
        return rng.normal(0, 1000, shape).astype(dtype)
    limits = np.iinfo(dtype)
    low = limits.min // 3
    return rng.integers(low, limits.max // 2, shape, dtype)
