"""Write the pixels of an image or an array to a GeoTIFF, so that they can be read as a scene."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.env import Env
from rasterio.errors import CRSError
from rasterio.session import DummySession
from rasterio.transform import Affine
from rasterio.windows import Window

from swath.errors import SceneError
from swath.raster import gdal_env
from swath.raster.dataset import DTYPES
from swath.raster.scene import Scene, open_scene

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.enums import ColorInterp

_BLOCK_PX = 256
"""Side of a block of the GeoTIFFs that are written, in px."""
_AXES = 3


@contextmanager
def open_array(
    pixels: NDArray[Any],
    bands: Sequence[str],
    *,
    crs: Any = None,
    transform: Sequence[float] | None = None,
    nodata: float | None = None,
) -> Iterator[tuple[Scene, str]]:
    """Open an array as a scene, through an uncompressed GeoTIFF in the temporary folder.

    Args:
        pixels: Pixels (bands, rows, cols), one band for each of `bands`. In a masked array, pixels
            that are masked in all bands are not valid.
        bands: Names of the bands, in the array's order.
        crs: Coordinate reference system, in any form that rasterio reads: `"EPSG:32652"`.
        transform: Transform from px to the CRS: the six numbers of an affine transform, or
            rasterio's `Affine`.
        nodata: Value of pixels that are not valid.

    Yields:
        Scene, and the SHA-256 of its pixels, masks and georeference in hexadecimal.

    Raises:
        SceneError: The array, the CRS or the transform cannot be used.
    """
    mask = np.asarray(pixels.mask) if isinstance(pixels, np.ma.MaskedArray) else None
    values = np.asarray(pixels)
    _check(values, bands)
    if (crs is None) != (transform is None):
        raise SceneError("crs and transform georeference an array together: give both, or neither")
    georeference: dict[str, Any] = {
        "crs": None if crs is None else _crs(crs),
        "transform": None if transform is None else _affine(transform),
        "nodata": nodata,
    }
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        path = Path(folder, "array.tif")
        digest = hashlib.sha256(repr((values.shape, values.dtype.str, georeference)).encode())
        native = values.dtype.newbyteorder("=")
        with create_geotiff(path, values.shape, native, **georeference) as out:
            for number, name in enumerate(bands, 1):
                out.set_band_description(number, name)
            for window in block_row_windows(values.shape):
                rows = slice(window.row_off, window.row_off + window.height)
                part = np.ascontiguousarray(values[:, rows], native)
                digest.update(part.tobytes())
                out.write(part, window=window)
                if mask is not None:
                    valid = ~np.broadcast_to(mask, values.shape)[:, rows].all(axis=0)
                    digest.update(valid.tobytes())
                    out.write_mask(valid, window=window)
        with open_scene(str(path)) as scene:
            yield scene, digest.hexdigest()


@contextmanager
def create_geotiff(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    colors: tuple[ColorInterp, ...] = (),
    **options: Any,
) -> Iterator[Any]:
    """Open an uncompressed GeoTIFF in square blocks for writing.

    Args:
        path: File to write.
        shape: Bands, rows and columns.
        dtype: Type of the pixel values.
        colors: Color interpretation of each band; empty where it is unknown.
        options: Further options for `rasterio.open`, such as `crs` and `transform`.

    Yields:
        rasterio's dataset, open for writing.
    """
    bands, height, width = shape
    with (
        Env(session=DummySession(), GDAL_TIFF_INTERNAL_MASK="YES", **gdal_env.STRICT_OPTIONS),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=width,
            height=height,
            count=bands,
            dtype=dtype.name,
            tiled=True,
            blockxsize=_BLOCK_PX,
            blockysize=_BLOCK_PX,
            bigtiff="IF_SAFER",
            **options,
        ) as out,
    ):
        if colors:
            out.colorinterp = colors
        yield out


def block_row_windows(shape: tuple[int, ...]) -> Iterator[Window]:
    """Yield one window per row of blocks of an image whose shape is (bands, rows, columns)."""
    _, height, width = shape
    for top in range(0, height, _BLOCK_PX):
        yield Window(0, top, width, min(_BLOCK_PX, height - top))


def _check(pixels: NDArray[Any], bands: Sequence[str]) -> None:
    if pixels.ndim != _AXES or not pixels.size:
        raise SceneError(
            f"the array has the shape {pixels.shape}; it must be (bands, rows, columns)"
        )
    if pixels.dtype.newbyteorder("=").name not in DTYPES:
        raise SceneError(
            f"the array has the type {pixels.dtype}; its type must be one of {', '.join(DTYPES)}"
        )
    if len(pixels) != len(bands):
        raise SceneError(
            f"the array has {len(pixels)} bands; the model expects {', '.join(bands)} in this order"
        )


def _crs(crs: Any) -> CRS:
    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise SceneError(
            f"{crs!r} is not a coordinate reference system: {error}; give one as 'EPSG:32652'"
        ) from None


def _affine(transform: Sequence[float]) -> Affine:
    try:
        return Affine(*[float(number) for number in transform][:6])
    except (TypeError, ValueError):
        raise SceneError(
            f"{transform!r} is not an affine transform; give six numbers, or rasterio's Affine"
        ) from None
